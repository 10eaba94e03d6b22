"""What an unkind user, or an attacker, puts into Consul: a sentence comes of it, and nothing else does.

One shop on real parts serves blue throughout; each test leaves it as it found it.
"""

import base64
import json
import shlex
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from bgctl.demo.process import environment
from tests.integration.shop import Shop, opened
from tests.integration.waiting import eventually

READS = (("status",), ("status", "shop"), ("why", "shop"), ("history", "shop"))
ONE_BY_ONE = """\
import json, sys
from bgctl import commands
for each in json.loads(sys.argv[1]):
    if status := commands.run(each):
        sys.exit(status)
    print(end=chr(0), flush=True)
"""
"""Many calls of bgctl in one process: each takes longer to start than to read."""
ESCAPES = "\x1b[31m\x1b]0;owned\x07\u202e\r\n"


@pytest.fixture(scope="module", params=["haproxy", pytest.param("nginx", marks=pytest.mark.soak)])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop whose blue serves, with bgd beside it."""
    with opened(tmp_path_factory.mktemp("bad-input"), kind=request.param) as shop:
        eventually(lambda: shop.report()["colours"]["green"]["verdict"] == "up", "green is up")
        yield shop


def write(shop: Shop, *pairs: tuple[str, str | bytes]) -> None:
    """Set keys below the prefix in one transaction, whatever they are called."""
    values = [(key, value.encode() if isinstance(value, str) else value) for key, value in pairs]
    ops = [
        {"KV": {"Verb": "set", "Key": f"bluegreen/{key}", "Value": base64.b64encode(value).decode()}}
        for key, value in values
    ]
    for start in range(0, len(ops), 64):
        shop.consul.request("PUT", "/v1/txn", json.dumps(ops[start : start + 64]).encode())


def take_away(shop: Shop, *keys: str) -> None:
    ops = [{"KV": {"Verb": "delete-tree", "Key": f"bluegreen/{key}"}} for key in keys]
    shop.consul.request("PUT", "/v1/txn", json.dumps(ops).encode())


@contextmanager
def written(shop: Shop, *pairs: tuple[str, str | bytes]) -> Iterator[None]:
    """Keys that are there meanwhile."""
    write(shop, *pairs)
    try:
        yield
    finally:
        take_away(shop, *(key for key, _ in pairs))


def is_harmless(text: str) -> bool:
    """Whether nothing in a text commands a terminal."""
    return all(char == "\n" or unicodedata.category(char) not in ("Cc", "Cf", "Cs") for char in text)


def strict(text: str) -> Any:
    """JSON as every reader takes it: no NaN, no Infinity."""
    return json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def all_can_be_read(shop: Shop) -> None:
    """Every reading command ends well, on paper and as JSON, and commands no terminal."""
    calls = [[*form, *words] for form in ([], ["-o", "json"]) for words in READS]
    each = [["--consul-addr", shop.consul.address, *call] for call in calls]
    ended = subprocess.run(
        [sys.executable, "-c", ONE_BY_ONE, json.dumps(each)],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=90,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    said, complained = ended.stdout.split("\0")[:-1], ended.stderr
    assert len(said) == len(calls)
    assert is_harmless(complained), complained
    for call, text in zip(calls, said, strict=True):
        if "json" in call:
            assert strict(text)["schema"] == 1
        else:
            assert is_harmless(text), text


def back_to_blue(shop: Shop) -> None:
    shop.put("blue")
    shop.until_serving("blue")
    shop.until_well()


VALUES = {
    "another colour": b"purple",
    "nothing": b"",
    "two colours": b"blue green",
    "no UTF-8": b"\xff\xfegreen",
    "a command for the terminal": ESCAPES.encode() + b"green",
    "half a megabyte": b"green" * 100_000,
    "JSON": b'"green"',
    "a look-alike": "gr\u0435en".encode(),
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
def test_what_is_no_colour_flips_nothing(shop: Shop, value: bytes) -> None:
    """A live key that names no colour is said to be so, harmlessly, and blue serves on."""
    shop.consul.put("bluegreen/apps/shop/live", value)
    shop.until_because("bad-live-value")

    assert shop.answer() == "blue"
    ended = shop.bgctl("why", "shop")
    assert "bad-live-value" in ended.stdout
    assert is_harmless(ended.stdout)
    assert len(ended.stdout) < 2_000
    back_to_blue(shop)


ORDERS = {
    "no JSON": "{",
    "a list": "[]",
    "deep": "[" * 30_000,
    "of a later schema": json.dumps({"schema": 2, "kind": "revert", "colour": "green", "by": "x"}),
    "of another colour": json.dumps({"schema": 1, "kind": "flip", "colour": "blue", "by": "mallory"}),
    "of wrong types": json.dumps({"schema": 1, "kind": ["flip"], "colour": {"green": 1}, "after": "x"}),
    "with numbers beyond all bounds": '{"schema":1,"kind":"flip","colour":"green","after":1e999}',
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS.keys())
def test_an_order_that_makes_no_sense_is_none(shop: Shop, order: str) -> None:
    """A colour that was written together with such an order is an edit like any other."""
    write(shop, ("apps/shop/live", " Green\n"), ("apps/shop/order", order))
    shop.until_serving("green")

    assert "by consul" in shop.bgctl("status", "shop", check=True).stdout
    back_to_blue(shop)


def test_an_author_commands_no_terminal(shop: Shop) -> None:
    """Who wished it, and why, is shown without being obeyed."""
    order = {"schema": 1, "kind": "flip", "colour": "green", "by": ESCAPES, "reason": ESCAPES, "at": ESCAPES}
    write(shop, ("apps/shop/live", "green"), ("apps/shop/order", json.dumps(order)))
    shop.until_serving("green")

    all_can_be_read(shop)
    back_to_blue(shop)


REPORT = {
    "schema": 1,
    "because": "converged",
    "desired": {"colour": "green", "generation": 1},
    "serving": {"colour": "blue", "generation": 1, "proved": True},
    "colours": {"green": {"verdict": "up", "healthy": 1, "registered": 1}},
}
REPORTS = {
    "nothing": "",
    "no JSON": "}{",
    "no UTF-8": b"\xff",
    "deep": json.dumps({"schema": 1, "x": 0})[:-2] + "[" * 900 + "]" * 900 + "}",
    "too deep": "[" * 100_000,
    "not a number": json.dumps(REPORT | {"detail": float("nan"), "until": float("inf")}),
    "numbers beyond all bounds": json.dumps(REPORT | {"serving": {"colour": "blue", "generation": 10**40}}),
    "digits without end": '{"schema":1,"x":' + "9" * 10_000 + "}",
    "of a later schema": json.dumps(REPORT | {"schema": 2}),
    "of wrong types": json.dumps({"schema": 1, **{key: [None, True, {}] for key in list(REPORT)[1:]}}),
    "of colours of wrong types": json.dumps(
        REPORT | {"colours": {"green": {"verdict": [], "healthy": "x", "sessions": True, "release": 3}}}
    ),
    "commands for the terminal": json.dumps(
        REPORT | {key: [ESCAPES] for key in ("because", "detail", "until", "at", "left_out", ESCAPES)}
    ),
}


def test_reports_that_make_no_sense_are_silent_members(shop: Shop) -> None:
    """They can be read by every command, count as members, and so hold up a flip."""
    nodes = [f"lb-9{number}" for number in range(len(REPORTS))]
    reports = [(f"nodes/shop/{node}", report) for node, report in zip(nodes, REPORTS.values(), strict=True)]
    with written(shop, *reports, *((f"alive/{node}", '{"schema":1}') for node in nodes)):
        all_can_be_read(shop)
        ended = shop.bgctl("set-live", "green", "--timeout", "1s")

        assert (ended.returncode, shop.serving()) == (3, "blue")
        assert "node-silent" in ended.stderr
        assert all(node in ended.stderr for node in nodes)


def test_history_that_makes_no_sense_is_left_out(shop: Shop) -> None:
    """Events that cannot be read, of generations that are none, cost only themselves."""
    junk = [("1", "{"), ("nine", "{}"), ("-1", "[]"), ("9" * 30, "{}"), ("2", "[" * 5000), ("3/x", "{}")]
    event = json.dumps({"schema": 1, "what": ESCAPES, "at": 7, "took_ms": [ESCAPES], "by": {"x": ESCAPES}})
    pairs = [(f"history/shop/{name}", value) for name, value in [*junk, ("4", event)]]
    with written(shop, *pairs):
        all_can_be_read(shop)
        shop.put("green")
        shop.until_serving("green")
    back_to_blue(shop)


def test_foreign_keys_are_nobodys(shop: Shop) -> None:
    """Thousands of keys that fit no grammar make no app, hide none, and slow no flip down."""
    odd = ["Shop", "shop!", "ün-app", "-x", "x-", "a" * 41, "a b", ESCAPES, "$(reboot)", "shop;"]
    keys = [f"apps/{name}/live" for name in odd] + [f"nodes/{name}/lb-1" for name in odd]
    keys += [f"nodes/shop/{name}" for name in ("Bad Node", ESCAPES, "x/y", "-")]
    keys += [
        "apps/shop",
        "apps/shop/live/",
        "apps/shop/live/deeper",
        "apps/shop/",
        "apps/",
        "alive/",
        "nodes/",
    ]
    keys += [f"apps/zz-{number}.x/live" for number in range(3000)]
    write(shop, *((key, "green") for key in keys))
    try:
        shop.put("green")
        shop.until_serving("green")

        assert [app["app"] for app in strict(shop.bgctl("-o", "json", "status").stdout)["apps"]] == ["shop"]
        all_can_be_read(shop)
    finally:
        take_away(
            shop, *(key for key in keys if not key.startswith(("apps/zz", "apps/shop")) and key[-1] != "/")
        )
        take_away(shop, "apps/zz-", "apps/shop/live/", "apps/shop/live/deeper")
    back_to_blue(shop)


def register(shop: Shop, **instance: Any) -> None:
    """Register an instance of the shop with whatever it says."""
    body = {"Name": "shop", "Tags": ["green"], "Meta": {"version": "2.5.0"}} | instance
    shop.consul.request("PUT", "/v1/agent/service/register", json.dumps(body).encode())


EVIL = {
    "a line more": {"Address": "1.2.3.4\n    server evil 6.6.6.6:80"},
    "a shell's word": {"Address": "$(reboot)"},
    "a variable": {"Address": "${HOME}"},
    "a socket": {"Address": "unix@/etc/passwd"},
    "a zone": {"Address": "fe80::1%evil0"},
    "spaces": {"Address": "evil 6.6.6.6"},
    "a quote": {"Address": 'evil"'},
    "a comment": {"Address": "evil#"},
    "no port": {"Address": "10.0.0.1", "Port": 0},
    "a port beyond all": {"Address": "10.0.0.1", "Port": 65536},
    "a port below all": {"Address": "10.0.0.1", "Port": -1},
    "both colours": {"Address": "10.0.0.1", "Port": 80, "Tags": ["green", "blue"]},
}


def test_instances_that_are_no_backends_are_left_out(shop: Shop) -> None:
    """They are not rendered; the log says so, and `bgctl why`; the others serve on."""
    names = [f"evil-{number}" for number in range(len(EVIL))]
    for name, instance in zip(names, EVIL.values(), strict=True):
        register(shop, **({"Port": 80} | instance), ID=name)
    try:
        eventually(lambda: len(shop.report().get("left_out", ())) == len(EVIL), "all are left out")
        told = shop.bgctl("why", "shop", check=True).stdout

        assert is_harmless(told)
        assert all(f'left out: instance "{name}" of shop' in told for name in names)
        assert all(name in shop.bgd.log.read_text() for name in names)
        assert shop.report()["colours"]["green"]["registered"] == 2
        assert all(word not in part(shop) for word in ("evil", "6.6.6.6", "10.0.0.1", "passwd", "HOME"))
    finally:
        for name in names:
            shop.consul.deregister(name)
    eventually(lambda: not shop.report().get("left_out"), "they are gone")


def part(shop: Shop) -> str:
    """bgd's part of the configuration, which the proxy itself accepts."""
    settings = shop.proxy.settings()
    command = settings.check.format(main_file=settings.main_file, folder=shop.proxy.folder)
    judged = subprocess.run(shlex.split(command), capture_output=True, check=False)
    assert judged.returncode == 0, judged.stderr
    return str(shop.proxy.part.read_text())


WORDS = (ESCAPES, '"', "'", "\\", "#", "%[env(HOME)]", "${HOME}", "x" * 10_000, "\x00", "/../..")


def test_words_of_the_catalog_stay_words(shop: Shop) -> None:
    """Ids, tags, releases and names of checks of any kind are shown, and never rendered."""
    address = shop.backends.of("green")[0].rpartition(":")
    for number, word in enumerate(WORDS):
        check = {"Name": word[:500], "Status": "critical", "TTL": "1h", "Notes": word}
        register(
            shop,
            ID=f"odd-{number}-{word}",
            Address="127.0.0.1",
            Port=int(address[2]),
            Tags=["green", word],
            Meta={"version": f"9{word}"[:500], "note": word[:500]},
            Checks=[check],
        )
    try:
        count = 2 + len(WORDS)
        eventually(lambda: shop.report()["colours"]["green"]["registered"] == count, "all are registered")
        eventually(lambda: shop.report()["colours"]["green"]["why"], "green is no target")

        all_can_be_read(shop)
        ended = shop.bgctl("set-live", "green", "--timeout", "1s")
        assert ended.returncode == 4, ended.stderr
        assert is_harmless(ended.stderr)
        assert all(word not in part(shop) for word in ("odd-", "HOME", "\x1b"))
    finally:
        for instance in shop.consul.ask("/v1/agent/services"):
            if instance.startswith("odd-"):
                body = {"Node": "agent-1", "ServiceID": instance}
                shop.consul.request("PUT", "/v1/catalog/deregister", json.dumps(body).encode())
    eventually(lambda: shop.report()["colours"]["green"]["registered"] == 2, "they are gone")


def test_one_address_in_both_colours(shop: Shop) -> None:
    """Two instances at one address are a server of each colour, and flips go on."""
    address = shop.backends.of("blue")[0]
    host, _, port = address.rpartition(":")
    register(shop, ID="twin", Address=host, Port=int(port))
    try:
        eventually(lambda: shop.report()["colours"]["green"]["healthy"] == 3, "it serves for green too")
        shop.put("green")
        shop.until_serving("green")

        eventually(lambda: all(has(shop, colour, address) for colour in ("blue", "green")), "both have it")
        back_to_blue(shop)
    finally:
        shop.consul.deregister("twin")
    eventually(lambda: shop.report()["colours"]["green"]["registered"] == 2, "it is gone")


def has(shop: Shop, colour: str, address: str) -> bool:
    return address in {name for name, _ in shop.proxy.servers().get(f"shop_{colour}", ())}


@pytest.mark.parametrize(("passing", "rendered"), [(65535, [1, 1, 100]), (1, [100, 100, 100])])
def test_weights_of_any_size_count_within_their_colour(shop: Shop, passing: int, rendered: list[int]) -> None:
    """However heavy an instance is, the others keep a share that the proxy takes."""
    host, _, port = shop.backends.of("blue")[0].rpartition(":")
    register(shop, ID="heavy", Address=host, Port=int(port), Weights={"Passing": passing, "Warning": 65535})
    try:
        eventually(lambda: green_weights(shop) == rendered, f"the weights are {rendered}")
    finally:
        shop.consul.deregister("heavy")
    eventually(lambda: len(green_weights(shop)) == 2, "it is gone")


def green_weights(shop: Shop) -> list[int]:
    """The weights of green's servers as they are rendered."""
    part(shop)
    return sorted(weight for _, weight in shop.proxy.servers()["shop_green"])


def test_nothing_of_all_this_has_hurt_bgd(shop: Shop) -> None:
    """After all of it the same daemon runs on, and has met no fault of its own."""
    log = shop.bgd.log.read_text()

    assert "Traceback" not in log
    assert len(shop.bgd.said("started")) == 1
    assert shop.answer() == "blue"
