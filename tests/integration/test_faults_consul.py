"""What Consul can do to a shop that takes its time, or its rights: customers never notice."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.integration.consul import ConsulServer
from tests.integration.shop import Shop, opened, soak_on_nginx
from tests.integration.waiting import eventually

LIGHT = {"kept": 6, "new": 6, "websockets": 1}
OWN_RULES = """\
key_prefix "bluegreen/" { policy = "write" }
session_prefix "" { policy = "write" }
agent_prefix "" { policy = "read" }
node_prefix "" { policy = "read" }
"""
ALL_RULES = OWN_RULES + 'service_prefix "" { policy = "read" }\n'
IMPATIENT = """\
from bgd.__main__ import main
from bgd.store import catalog_watch, wish_watch
catalog_watch.WAIT_S = wish_watch.WAIT_S = 3.0
main()
"""


@soak_on_nginx
def test_consul_frozen_restored_restarted_or_without_leader(tmp_path: Path, kind: str) -> None:
    """What takes Consul half a minute to show, side by side: in each, customers are served on."""
    stories: list[Callable[[Path, str], None]] = [frozen, restored, restarted, without_leader]
    with ThreadPoolExecutor(len(stories)) as at_once:
        for ended in [at_once.submit(story, tmp_path / story.__name__, kind) for story in stories]:
            ended.result()


@contextmanager
def impatient(folder: Path, kind: str, **consul: Any) -> Iterator[Shop]:
    """A shop that is still to be opened, whose bgd lets no question to Consul wait for long.

    So it soon meets what wakes nobody; in the soak, on nginx, it is as patient as ever.
    """
    with opened(folder, kind=kind, start=False, **consul) as shop:
        if kind == "haproxy":
            shop.program = ("-c", IMPATIENT)
        shop.bgd = shop.daemon()
        yield shop


def frozen(folder: Path, kind: str) -> None:
    """A frozen agent answers nobody: store-lost, and it is followed again when it goes on."""
    with impatient(folder, kind) as shop:
        shop.open()
        with shop.load(**LIGHT):
            shop.consul.stop()
            try:
                shop.until_because("store-lost", within_s=60)
                assert shop.answer() == "blue"
            finally:
                shop.consul.cont()
            shop.until_well(within_s=60)
            shop.bgctl("set-live", "green", check=True)

            assert shop.answer() == "green"


def restored(folder: Path, kind: str) -> None:
    """An older key is no instruction; an order given in knowledge of the wish is."""
    with opened(folder, kind=kind, lasting=True) as shop, shop.load(**LIGHT):
        before = shop.consul.snapshot()
        shop.bgctl("set-live", "green", check=True)
        shop.until_serving("green")
        shop.consul.restore(before)
        shop.until_because("store-rewound", within_s=60)
        assert shop.answer() == "green"
        shop.bgctl("set-live", "blue", "--force", check=True)

        shop.until_serving("blue")


def restarted(folder: Path, kind: str) -> None:
    """Consul dies just after a wish was written: what it says on its return is done."""
    with opened(folder, kind=kind, lasting=True) as shop, shop.load(**LIGHT):
        for colour in ("green", "blue"):
            shop.put(colour)
            shop.consul.restart()

            shop.until_serving(colour, within_s=60)


def without_leader(folder: Path, kind: str) -> None:
    """Two servers of which one dies have no majority: store-lost; with its return flips go on."""
    with impatient(folder, kind, lasting=True) as shop, pair(folder, shop.consul) as second:
        shop.open()
        with shop.load(**LIGHT):
            second.kill()
            shop.until_because("store-lost", within_s=60)
            assert shop.answer() == "blue"
            second.start()
            shop.until_well(within_s=60)
            shop.put("green")

            shop.until_serving("green")


@contextmanager
def pair(folder: Path, first: ConsulServer) -> Iterator[ConsulServer]:
    """Start a server anew as one of two, and give the other."""
    place = folder / "second"
    place.mkdir()
    second = ConsulServer(place, lasting=True)
    first.kill()
    first.elect_with(second, name="agent-1")
    second.elect_with(first, name="agent-2")
    with ThreadPoolExecutor(2) as at_once:  # a server ends with the thread that started it
        try:
            list(at_once.map(ConsulServer.start, (first, second)))
            yield second
        finally:
            second.kill()


@contextmanager
def with_rights(folder: Path, kind: str) -> Iterator[Shop]:
    """A shop whose bgd has a token of its own, in a file."""
    with impatient(folder, kind, acl=True) as shop:
        file = shop.folder / "token"
        file.write_text(shop.consul.grant("bgd", ALL_RULES))
        shop.token_file = str(file)
        shop.bgd = shop.daemon()
        shop.open()
        yield shop


@soak_on_nginx
def test_all_rights_taken(tmp_path: Path, kind: str) -> None:
    """Refusals and empty answers empty nothing: store-denied, every backend stays, and it heals."""
    with with_rights(tmp_path, kind) as shop, shop.load():
        servers = shop.proxy.servers()
        shop.consul.grant("bgd", 'operator = "read"')
        shop.until_because("store-denied", within_s=60)
        assert shop.proxy.servers() == servers
        assert shop.answer() == "blue"
        shop.consul.grant("bgd", ALL_RULES)
        shop.until_well(within_s=60)
        shop.put("green")

        shop.until_serving("green")
        assert shop.proxy.servers() == servers


@soak_on_nginx
def test_the_right_to_see_services_taken(tmp_path: Path, kind: str) -> None:
    """The catalog answers 200 and empty: live keeps its backends and is weak, and it heals."""
    with with_rights(tmp_path, kind) as shop, shop.load():
        servers = shop.proxy.servers()
        shop.consul.grant("bgd", OWN_RULES)
        eventually(lambda: stir(shop) == "live-weak", "the watch has asked anew")
        assert shop.proxy.servers()["shop_blue"] == servers["shop_blue"]
        assert shop.answer() == "blue"
        shop.consul.grant("bgd", ALL_RULES)
        eventually(lambda: stir(shop) in ("converged", "probation"), "the watch has asked anew")
        shop.put("green")

        shop.until_serving("green")
        assert shop.proxy.servers() == servers


def stir(shop: Shop) -> str:
    """A question that waits has the rights of its beginning: change something, so that it is asked anew."""
    shop.join("green", "127.0.0.1:1")
    shop.leave("127.0.0.1:1")
    return shop.because()
