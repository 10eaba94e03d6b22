"""The policies that bgctl prints, under a Consul that denies by default: each call works, and no other."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bgctl.__main__ import main
from bgd.config import ConsulSettings
from bgd.store.client import Client
from bgd.store.faults import Fault, StoreFault
from bgd.store.ops import Delete, Set
from tests.integration.consul import ConsulServer
from tests.integration.consul import running as consul_running
from tests.integration.revert_world import QUICK, flip, goes_bad, good, to_green, until_good
from tests.integration.shop import Shop, opened
from tests.integration.waiting import eventually

NARROW = ("--app", "shop", "--node", "lb-1")


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What `bgctl policy` says to stdout; nobody is asked for it."""
    with pytest.raises(SystemExit) as ended:
        main(["--consul-addr", "http://127.0.0.1:1", "policy", *arguments])
    told = capsys.readouterr()
    assert not ended.value.code, told.err
    return told.out


@contextmanager
def ruled(folder: Path, daemon: str, operator: str, *lines: str) -> Iterator[Shop]:
    """A shop in which bgd has the one policy and the operator the other."""
    with opened(folder, ("blue", "green"), acl=True, start=False) as shop:
        file = shop.folder / "token"
        file.write_text(shop.consul.grant("bgd", daemon))
        shop.token_file = str(file)
        shop.token = shop.consul.grant("operator", operator)
        shop.apps = [shop.app("shop", shop.port, flip("200ms"), *lines, probe=QUICK)]
        shop.bgd = shop.daemon()
        shop.open()
        yield shop


@pytest.mark.parametrize(
    "narrow", [pytest.param((), marks=pytest.mark.soak, id="wide"), pytest.param(NARROW, id="narrow")]
)
def test_all_that_bgd_and_bgctl_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], narrow: tuple[str, ...]
) -> None:
    """Flip, confirm, fall back, revert, and every command of an operator, under the least rights."""
    daemon, operator = printed(capsys, "daemon", *narrow), printed(capsys, "operator", *narrow[:2])
    with ruled(tmp_path, daemon, operator) as shop:
        for words in (("status",), ("why",), ("history",), ("wait", "--converged"), ("pause", "a drill")):
            shop.bgctl(*words, check=True)
        shop.bgctl("resume", check=True)
        to_green(shop)
        goes_bad(shop, "fails")
        shop.until_serving("blue", within_s=15)
        eventually(lambda: shop.consul.get("bluegreen/apps/shop/rejected/2.5.0"), "it was reverted")
        shop.bgctl("unreject", "2.5.0", check=True)
        assert not shop.bgd.said("not written")

        shop.bgd.stop()
        shop.bgctl("forget", "lb-1", check=True)
        shop.bgctl("forget", "--app", "shop", check=True)


def test_a_daemon_that_reverts_nothing_needs_write_to_good_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With revert.auto = false it flips and confirms."""
    daemon, operator = printed(capsys, "daemon", *NARROW, "--no-auto"), printed(capsys, "operator")
    assert daemon.count('"bluegreen/apps/') == 1
    with ruled(tmp_path, daemon, operator, "revert = { auto = false }") as shop:
        until_good(shop, "blue")
        shop.bgctl("set-live", "green", check=True)

        eventually(lambda: good(shop, "green"), "green is known good", within_s=15)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsulServer]:
    with consul_running(tmp_path_factory.mktemp("policy"), acl=True) as server:
        yield server


REFUSED = {
    "daemon": ["bluegreen", "elsewhere/apps/shop/live"],
    "daemon narrow": [
        "bluegreen/apps/shop/prepare",
        "bluegreen/apps/till/live",
        "bluegreen/nodes/shop/lb-2",
        "bluegreen/alive/lb-2",
        "bluegreen/history/till/7",
    ],
    "daemon narrow no-auto": [f"bluegreen/apps/shop/{word}" for word in ("live", "order", "pause", "canary")],
    "operator": ["bluegreen", "elsewhere/apps/shop/live"],
    "operator narrow": ["bluegreen/apps/till/live", "bluegreen/nodes/till/lb-1"],
}
WORDS = {"narrow": NARROW, "no-auto": ("--no-auto",), "daemon": ("daemon",), "operator": ("operator",)}


@pytest.mark.parametrize("who", REFUSED)
def test_what_is_not_needed_is_refused(
    guarded: ConsulServer, capsys: pytest.CaptureFixture[str], who: str
) -> None:
    """Other apps, other nodes, other trees, and what only people may write."""
    words = [word for part in who.split() for word in WORDS[part]]
    if who.startswith("operator"):
        words = [word for word in words if word not in NARROW[2:]]
    token = guarded.grant(who.replace(" ", "-"), printed(capsys, *words))
    settings = ConsulSettings(address=guarded.address)
    client = Client(settings, {"CONSUL_HTTP_TOKEN": token})
    for key in REFUSED[who]:
        for op in (Set(key, b"x"), Delete(key)):
            with pytest.raises(StoreFault) as fault:
                client.transact([op])
            assert fault.value.kind is Fault.DENIED, key


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("daemon", "--node", "lb-1"), "which apps?"),
        (("daemon", "--no-auto"), "which apps?"),
        (("daemon", "--app", "shop", "--node", "LB 1"), "no name for a node"),
        (("operator", "--node", "lb-1", "--app", "shop"), "about daemons"),
        (("everybody",), "everybody"),
    ],
)
def test_questions_that_make_no_sense(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
) -> None:
    """A usage error with its cure, and no half of a policy."""
    with pytest.raises(SystemExit) as ended:
        main(["policy", *words])
    told = capsys.readouterr()

    assert (ended.value.code, told.out) == (2, "")
    assert says in told.err
