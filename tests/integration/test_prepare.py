"""A node is asked whether it could take a flip: a real Consul, real proxies, the preparation put by hand."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bgd.core.model import Colour, Preparation
from bgd.store import records
from tests.integration.shop import Shop, opened
from tests.integration.waiting import eventually

KEY = "bluegreen/apps/shop/prepare"
SLOW_MS = 300
"""Each answer of green takes so long where a warm-up must be seen: far less than its probes may take."""


@pytest.fixture(params=["haproxy", pytest.param("nginx", marks=pytest.mark.soak)])
def kind(request: pytest.FixtureRequest) -> str:
    """What differs between the proxies is the forecast's, and tested with that."""
    return str(request.param)


@pytest.fixture
def shop(tmp_path: Path, kind: str) -> Iterator[Shop]:
    with opened(tmp_path, kind=kind) as shop:
        yield shop


def ask(shop: Shop, name: str = "p1", **fields: Any) -> str:
    """Put a preparation under a session, as bgctl does; gives the session."""
    body = json.dumps({"TTL": "10s", "Behavior": "delete", "LockDelay": "0s"}).encode()
    session = str(json.loads(shop.consul.request("PUT", "/v1/session/create", body))["ID"])
    asked = Preparation(**{"id": name, "colour": Colour.GREEN, "by": "alice", **fields})
    shop.consul.request("PUT", f"/v1/kv/{KEY}?acquire={session}", records.preparation_out(asked))
    return session


def withdraw(shop: Shop, session: str) -> None:
    """End the session, as a bgctl that dies does in the end: the key goes with it."""
    shop.consul.request("PUT", f"/v1/session/destroy/{session}")
    eventually(lambda: shop.report()["prepared"] is None, "the answer is gone")


def answer(shop: Shop, name: str = "p1") -> dict[str, Any]:
    """The node's answer, as the fleet reads it."""

    def told() -> Any:
        report = json.loads(shop.consul.get(f"bluegreen/nodes/shop/{shop.node}") or "{}")
        prepared = report.get("prepared") or {}
        return prepared if prepared.get("id") == name else None

    return dict(eventually(told, f"{name} is answered"))


def gates(prepared: dict[str, Any]) -> dict[str, bool]:
    return {gate["gate"]: gate["ok"] for gate in prepared["gates"]}


def detail(prepared: dict[str, Any], name: str) -> str:
    return str(next(gate["detail"] for gate in prepared["gates"] if gate["gate"] == name))


def served(shop: Shop) -> dict[str, Any]:
    """All by which customers are served."""
    return {
        "serving": shop.report()["serving"],
        "proxy": (shop.proxy.generation(), shop.proxy.decides()),
        "files": {
            path: (path.stat().st_mtime_ns, path.read_bytes())
            for path in shop.proxy.folder.rglob("*")
            if path.is_file() and "permit" not in str(path)
        },
        "live": shop.consul.index("bluegreen/apps/shop/live"),
    }


def test_it_is_asked_and_answers(shop: Shop) -> None:
    """Gate by gate, in its report, for as long as somebody asks; nothing that is served changes."""
    before = served(shop)
    session = ask(shop)
    prepared = answer(shop)

    assert prepared["ok"]
    assert gates(prepared) == dict.fromkeys(
        ["rejected", "release", "backends", "proxy", "config", "sessions"], True
    )
    assert detail(prepared, "backends") == "2/2 healthy; blue has 2/2"
    assert detail(prepared, "config") == f"flips by {'map' if shop.proxy.kind == 'haproxy' else 'flag'}"
    shop.until_because("prepared")
    withdraw(shop, session)
    shop.until_well()
    assert served(shop) == before

    shop.bgctl("set-live", "green", "--app", "shop", check=True)
    shop.until_serving("green")


def test_what_a_forecast_tells(shop: Shop) -> None:
    """Every gate although one refuses, and what of bgd's part would be another; it is gone as it came."""
    before = served(shop)
    for address in shop.backends.of("green"):
        shop.leave(address)
    eventually(lambda: shop.report()["colours"]["green"]["registered"] == 0, "green has left")
    session = ask(shop, dry=True)
    prepared = answer(shop)

    assert not prepared["ok"]
    assert not gates(prepared)["backends"]
    assert gates(prepared)["proxy"]
    assert "config" in gates(prepared)
    withdraw(shop, session)
    assert served(shop)["live"] == before["live"]


def test_a_configuration_that_the_proxy_refuses(shop: Shop) -> None:
    """Its words are the answer, and the key was never touched."""
    line = f"lines = {json.dumps([shop.proxy.bad_line])}"
    shop.apps[0] = shop.app("shop", shop.port, line)
    shop.hup()
    shop.until_because("check-failed")
    session = ask(shop)
    prepared = answer(shop)

    assert gates(prepared) == {
        "rejected": True,
        "release": True,
        "backends": True,
        "proxy": True,
        "config": False,
    }
    assert prepared["gates"][-1]["because"] == "check-failed"
    assert "nonsense" in detail(prepared, "config")
    withdraw(shop, session)
    assert shop.answer() == "blue"


def test_a_key_that_nobody_holds_asks_nothing(shop: Shop) -> None:
    """Only who lives asks: what was put into it by hand, or left, is not answered."""
    shop.consul.put(KEY, records.preparation_out(Preparation(id="p1", colour=Colour.GREEN)))
    shop.put("green")
    shop.until_serving("green")  # by one and the same watch

    assert shop.report()["prepared"] is None


@pytest.fixture
def slow_green(tmp_path: Path) -> Iterator[Shop]:
    """Green's caches are cold for as long as anybody looks."""
    with opened(tmp_path, ("blue", "green"), start=False) as shop:
        shop.apps = [shop.app("shop", shop.port, "flip = { warmup_requests = 5 }")]
        shop.bgd = shop.daemon()
        shop.open()
        for address in shop.backends.of("green"):
            shop.backends.order(f"slow {address} {SLOW_MS}")
        yield shop


def test_a_warm_up_is_a_gate(slow_green: Shop) -> None:
    """Meanwhile the node says what it does, and customers are served by blue."""
    shop = slow_green
    session = ask(shop)
    shop.until_because("preparing")
    assert shop.answer() == "blue"
    prepared = answer(shop)

    assert prepared["ok"]
    assert detail(prepared, "warm-up") == "5 requests to each backend"
    withdraw(shop, session)


def test_an_edit_is_warmed_up_first(slow_green: Shop) -> None:
    """By the node itself; another edit meanwhile has the word at once, and green has never served."""
    shop = slow_green
    shop.put("green")
    shop.until_because("preparing")
    shop.put("blue")
    shop.until_serving("blue")
    assert {line["colour"] for line in shop.bgd.said("flip proved")} == {"blue"}

    shop.put("green")
    shop.until_because("preparing")
    shop.until_serving("green")
    assert shop.answer() == "green"


def test_the_end_of_the_daemon_waits_for_no_warm_up(slow_green: Shop) -> None:
    """It ends in the middle of a request; the proxy serves on."""
    shop = slow_green
    shop.put("green")
    shop.until_because("preparing")
    shop.bgd.stop()

    assert shop.answer() == "blue"
