"""The world at its worst while the shop is kept open: deaths around a fallback, a revert, the way back."""

import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.revert_world import (
    generation,
    goes_bad,
    goes_well,
    order,
    rejected,
    shop_of,
    to_green,
    until_good,
)
from tests.integration.shop import RELEASES, Shop, soak_on_nginx
from tests.integration.waiting import eventually

HOWS = ("fails", "refuses")
GHOST = "bluegreen/nodes/shop/lb-9"


def a_silent_member(shop: Shop) -> None:
    """Another node's report stands in Consul: alone this one is no majority any more."""
    report = json.loads(shop.consul.get("bluegreen/nodes/shop/lb-1") or "{}")
    shop.consul.put(GHOST, json.dumps({**report, "node": "lb-9", "vote": None}))


@contextmanager
def a_way_back(folder: Path, kind: str) -> Iterator[Shop]:
    """A shop on a green that is good, whose only node can fall back and is no majority for a revert."""
    with shop_of(folder, kind) as shop:
        to_green(shop)
        until_good(shop, "green")
        a_silent_member(shop)
        yield shop


def reverts(shop: Shop) -> int:
    """How many there were at all."""
    events = (shop.consul.get(key) or "{}" for key in shop.consul.keys("bluegreen/history/shop/"))
    return sum(json.loads(event).get("what") == "revert" for event in events)


def a_moment(draw: random.Random, least_s: float, most_s: float) -> None:
    threading.Event().wait(draw.uniform(least_s, most_s))  # the moment is what is tested


def in_fallback(shop: Shop) -> bool:
    return bool((shop.report().get("serving") or {}).get("fallback"))


def revert_rounds(shop: Shop, rounds: int, seed: int, *, proxy_too: bool = False) -> None:
    """Green dies, somebody is killed a moment later: one revert, and all that decides says blue."""
    draw = random.Random(seed)
    for number in range(rounds):
        before, how = to_green(shop), HOWS[number % 2]
        goes_bad(shop, how)
        a_moment(draw, 0.3, 1.3)
        (shop.proxy.restart if proxy_too else shop.crash_bgd)()
        eventually(lambda before=before: generation(shop) > before, "a revert is written", within_s=30)
        shop.until_serving("blue", within_s=30)
        shop.in_step("blue")
        eventually(lambda: shop.answer() == "blue", "blue answers")
        assert (order(shop), rejected(shop)) == ("revert", True), f"round {number} of seed {seed}"
        goes_well(shop, how)
        shop.until_well()
        assert reverts(shop) == number + 1, f"round {number} of seed {seed}"
        shop.bgctl("unreject", RELEASES["green"], "--app", "shop", check=True)


def fallback_rounds(shop: Shop, rounds: int, seed: int) -> None:
    """bgd is killed around its fallback, and again around the way back that somebody asks for."""
    draw = random.Random(seed)
    for number in range(rounds):
        how = HOWS[number % 2]
        goes_bad(shop, how)
        a_moment(draw, 0.3, 0.9)
        shop.crash_bgd()
        eventually(lambda: in_fallback(shop) and shop.answer() == "blue", "it falls back")
        shop.in_step("blue")
        assert order(shop) == "flip", f"round {number} of seed {seed}"
        goes_well(shop, how)
        shop.until_because("fallback-serving")
        shop.bgctl("set-live", "green", "--app", "shop", "--no-wait", "--force")
        a_moment(draw, 0, 0.1)
        shop.crash_bgd()
        shop.until_well()
        shop.in_step("green")
        assert (shop.answer(), in_fallback(shop)) == ("green", False), f"round {number} of seed {seed}"


@soak_on_nginx
def test_killed_around_a_revert(tmp_path: Path, kind: str) -> None:
    """Whenever bgd dies, green is reverted exactly once, and proxy, file and state end on blue."""
    with shop_of(tmp_path, kind) as shop:
        revert_rounds(shop, 2, seed=11)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_killed_around_many_reverts(tmp_path: Path, kind: str) -> None:
    """The same a hundred times."""
    with shop_of(tmp_path, kind) as shop:
        revert_rounds(shop, 100, seed=12)


@pytest.mark.soak
def test_the_proxy_killed_around_a_revert(tmp_path: Path, kind: str) -> None:
    """What is started anew in the middle of it ends on blue too, and nothing is reverted twice."""
    with shop_of(tmp_path, kind) as shop:
        revert_rounds(shop, 12, seed=13, proxy_too=True)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_killed_around_many_fallbacks(tmp_path: Path, kind: str) -> None:
    """A daemon that starts anew is still in fallback, or out of it: never half, and it writes nothing."""
    with a_way_back(tmp_path, kind) as shop:
        fallback_rounds(shop, 50, seed=14)
        assert reverts(shop) == 0


@soak_on_nginx
def test_what_must_not_be_served_is_not(tmp_path: Path, kind: str) -> None:
    """With green dead no request goes to a blue that a person or its release forbids, however soon after."""
    with a_way_back(tmp_path, kind) as shop:
        shop.bgctl("pause", "a look at it", "--app", "shop", check=True)
        shop.until_because("converged")
        goes_bad(shop, "refuses")
        assert {shop.answer() for _ in range(20)} == {""}
        shop.until_because("paused")
        assert {shop.answer() for _ in range(20)} == {""}
        goes_well(shop, "refuses")
        shop.until_because("converged")
        shop.bgctl("resume", "--app", "shop", check=True)
        for address in shop.backends.of("blue"):
            shop.join("blue", address, release="2.4.1")
        eventually(lambda: not shop.report()["way_back"]["open"], "the way back is shut")
        goes_bad(shop, "refuses")
        shop.until_because("revert-release-changed")
        assert {shop.answer() for _ in range(20)} == {""}


@pytest.mark.soak
def test_started_anew_and_reloaded_in_fallback(tmp_path: Path, kind: str) -> None:
    """The proxy dies, its structure changes, automatic action goes off: customers are served by blue on."""
    with a_way_back(tmp_path, kind) as shop:
        goes_bad(shop, "refuses")
        eventually(lambda: in_fallback(shop) and shop.answer() == "blue", "it falls back")
        shop.proxy.restart()
        assert shop.answer() == "blue"
        shop.until_because("revert-waiting-quorum")
        with shop.load(kept=4, new=4):
            for number in range(3):
                reloads = len(shop.bgd.said("reloaded"))
                shop.turned(number, "revert = { auto = false }")
                eventually(lambda reloads=reloads: len(shop.bgd.said("reloaded")) > reloads, "a reload")
            shop.until_because("auto-off")
            assert in_fallback(shop)
        shop.in_step("blue")
