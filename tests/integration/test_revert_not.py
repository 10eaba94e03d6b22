"""What must not happen: live goes bad, or seems to, and nothing is reverted that should not be."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.revert_world import (
    QUICK,
    answers,
    ended,
    flip,
    generation,
    goes_bad,
    goes_well,
    good,
    nothing_written,
    order,
    rejected,
    reverted,
    shop_of,
    throughout,
    to_green,
    tried_to_write,
    turned_back,
    until_ended,
    until_good,
    way_back,
)
from tests.integration.shop import Shop, soak_on_nginx
from tests.integration.waiting import eventually

LIGHT = {"kept": 6, "new": 6}
SIX = ("blue", "blue", "blue", "green", "green", "green")
AFTER = [("init", "blue", "confirmed"), ("flip", "green", "reverted"), ("revert", "blue", None)]


@contextmanager
def on_green(folder: Path, kind: str = "haproxy", *lines: str, **settings: Any) -> Iterator[Shop]:
    """A shop whose green is live and good, with a way back to blue."""
    with shop_of(folder, kind, *lines, **settings) as shop:
        to_green(shop)
        until_good(shop, "green")
        yield shop


@soak_on_nginx
def test_a_rolling_restart_of_live(tmp_path: Path, kind: str) -> None:
    """Each backend of live is closed and opened again, one at a time: nothing but live-weak, nothing lost."""
    with on_green(tmp_path, kind, colours=SIX) as shop, nothing_written(shop), shop.load(**LIGHT):
        for address in shop.backends.of("green"):
            shop.backends.order(f"close {address}")
            shop.until_because("live-weak")
            shop.backends.order(f"open green={address}")
            shop.until_because("converged")

        assert good(shop, "green")
        assert shop.answer() == "green"


def test_a_check_of_consul_red_on_all_of_live(tmp_path: Path) -> None:
    """Live serves on, weak; the other colour, red as well, is no target for a flip; no vote is cast."""
    with on_green(tmp_path) as shop, nothing_written(shop), shop.load(**LIGHT):
        checked(shop, "green", "fail")
        shop.until_because("live-weak")
        checked(shop, "blue", "fail")
        eventually(lambda: shop.report()["colours"]["blue"]["verdict"] == "weak", "blue is weak")
        throughout(lambda: shop.because() == "live-weak" and not shop.report()["vote"], "live-weak, no vote")
        refused = shop.bgctl("set-live", "blue", "--app", "shop", "--timeout", "5s")

        assert refused.returncode == 4, refused.stderr
        assert "target-not-ready" in refused.stderr
        for colour in ("blue", "green"):
            checked(shop, colour, "pass")
        shop.until_because("converged")


def checked(shop: Shop, colour: str, says: str) -> None:
    """A check of Consul's on each backend of a colour says something."""
    for number, address in enumerate(shop.backends.of(colour)):
        name = f"{colour}-{number}"
        there = shop.consul.ask("/v1/agent/checks")
        if name not in there:
            check = {"Name": name, "ID": name, "ServiceID": f"shop-{address}", "TTL": "10m"}
            shop.consul.request("PUT", "/v1/agent/check/register", json.dumps(check).encode())
        shop.consul.request("PUT", f"/v1/agent/check/{says}/{name}")


@soak_on_nginx
def test_both_colours_down(tmp_path: Path, kind: str) -> None:
    """Nothing flips while both are down; whichever comes back first serves."""
    with on_green(tmp_path, kind) as shop:
        with nothing_written(shop):
            goes_bad(shop, "refuses", "blue")
            eventually(lambda: not way_back(shop), "there is no way back")
            goes_bad(shop, "refuses", "green")
            shop.until_because("revert-target-down")
            throughout(lambda: shop.serving() == "green", "nothing flips")
            goes_well(shop, "refuses", "green")
            answers(shop, "green")
            shop.until_because("converged")
            goes_bad(shop, "refuses", "green")
            shop.until_because("revert-target-down")
        before = generation(shop)
        goes_well(shop, "refuses", "blue")
        answers(shop, "blue")
        reverted(shop, before)
        shop.until_well()

        until_ended(shop, *AFTER)


@pytest.mark.soak
@pytest.mark.parametrize("how", ["fails", "refuses"])
def test_both_colours_die_at_the_same_moment(tmp_path: Path, how: str) -> None:
    """What both depend on goes: whichever is noticed first, nothing flips while neither could serve."""
    with on_green(tmp_path) as shop, nothing_written(shop):
        for _ in range(12):
            for colour in ("blue", "green"):
                goes_bad(shop, how, colour)
            shop.until_because("revert-target-down")
            throughout(lambda: shop.serving() == "green", "nothing flips", for_s=1)
            goes_well(shop, how, "green")
            shop.until_because("converged")
            goes_well(shop, how, "blue")
            eventually(lambda: way_back(shop), "there is a way back")


@pytest.mark.soak
def test_both_colours_come_back_at_the_same_moment(tmp_path: Path) -> None:
    """What both depend on is there again: live, noticed a moment later than the other, is not reverted."""
    with on_green(tmp_path) as shop, nothing_written(shop):
        for _ in range(6):
            goes_bad(shop, "fails", "blue")
            eventually(lambda: not way_back(shop), "there is no way back")
            goes_bad(shop, "fails", "green")
            shop.until_because("revert-target-down")
            for colour in ("blue", "green"):
                goes_well(shop, "fails", colour)
            eventually(shop.answer, "customers are served")
            throughout(shop.answer, "customers are served", for_s=2)
            if shop.serving() == "blue":  # fallen back meanwhile: by itself it returns after the hold-down
                break


@pytest.mark.soak
def test_a_paused_app(tmp_path: Path) -> None:
    """Paused, a dead live stays as it is and says so; resumed, it is reverted."""
    with on_green(tmp_path) as shop:
        before = generation(shop)
        shop.bgctl("pause", "moving house", "--app", "shop", check=True)
        with nothing_written(shop):
            goes_bad(shop, "fails")
            shop.until_because("paused")
            throughout(lambda: shop.because() == "paused" and shop.serving() == "green", "paused")

            assert "moving house" in shop.report()["detail"]
            assert shop.answer() == ""
        shop.bgctl("resume", "--app", "shop", check=True)
        reverted(shop, before)


@pytest.mark.soak
def test_automatic_off(tmp_path: Path) -> None:
    """With revert.auto = false nothing is done and that is said; a person may still revert."""
    with on_green(tmp_path) as shop:
        shop.apps = [shop.app("shop", shop.port, flip(), "revert = { auto = false }", probe=QUICK)]
        shop.hup()
        eventually(lambda: not way_back(shop), "there is no way back any more")
        with nothing_written(shop):
            goes_bad(shop, "fails")
            shop.until_because("auto-off")
            throughout(lambda: shop.because() == "auto-off" and shop.serving() == "green", "auto-off")

            assert shop.answer() == ""
        shop.bgctl("revert", "--app", "shop", check=True)

        assert shop.answer() == "blue"
        assert rejected(shop)


@pytest.mark.soak
def test_a_way_back_that_was_never_good(tmp_path: Path) -> None:
    """A green that dies while blue has not been confirmed stays, loudly: each command says why."""
    with shop_of(tmp_path, "haproxy", probation="1h") as shop:
        shop.bgctl("set-live", "green", "--app", "shop", check=True)
        shop.until_serving("green")
        with nothing_written(shop):
            goes_bad(shop, "fails")
            shop.until_because("revert-no-good")
            throughout(lambda: shop.because() == "revert-no-good" and shop.serving() == "green", "no good")

        for command in (["status"], ["status", "shop"], ["why", "shop"]):
            assert "revert-no-good" in shop.bgctl(*command).stdout, command
        assert not rejected(shop)
        goes_well(shop, "fails")
        shop.until_because("probation")


@pytest.mark.soak
def test_after_a_revert(tmp_path: Path) -> None:
    """Nothing automatic follows a revert, though what was left is well again and blue is dead now."""
    with on_green(tmp_path) as shop:
        turned_back(shop)
        until_good(shop, "blue")
        shop.until_because("converged")
        stands = generation(shop)
        goes_bad(shop, "fails", "blue")
        shop.until_because("after-revert")
        throughout(lambda: shop.because() == "after-revert" and generation(shop) == stands, "after-revert")

        assert order(shop) == "revert"
        assert shop.serving() == "blue"


def test_a_release_that_was_reverted(tmp_path: Path) -> None:
    """It is refused on every path until forced; another release of the same colour simply goes."""
    with on_green(tmp_path) as shop:
        turned_back(shop)
        shop.until_because("converged")
        shop.put("green")
        eventually(lambda: order(shop) == "declined", "the edit is declined")
        shop.until_serving("blue")

        assert shop.consul.get("bluegreen/apps/shop/live") == "blue"
        assert ("flip", "green", "declined") in ended(shop)
        refused = shop.bgctl("set-live", "green", "--app", "shop")
        assert refused.returncode == 4, refused.stderr
        assert "release-rejected" in refused.stderr

        shop.bgctl("set-live", "green", "--app", "shop", "--force", check=True)
        shop.until_serving("green")
        assert not rejected(shop)


@pytest.mark.soak
def test_another_release_than_the_one_reverted(tmp_path: Path) -> None:
    """Redeployed with another release, the colour that was reverted goes live without force."""
    with on_green(tmp_path) as shop:
        turned_back(shop)
        for address in shop.backends.of("green"):
            shop.join("green", address, release="2.5.1")
        eventually(lambda: shop.report()["colours"]["green"]["release"] == "2.5.1", "green is 2.5.1")
        eventually(lambda: shop.report()["colours"]["green"]["verdict"] == "up", "green is well again")
        shop.bgctl("set-live", "green", "--app", "shop", check=True)

        assert shop.answer() == "green"
        until_good(shop, "green")


@pytest.mark.soak
def test_a_wish_that_nobody_could_take(tmp_path: Path) -> None:
    """After its patience it is written back, so that it does not go live unattended later."""
    flip = 'flip = { min_healthy = 3, patience = "2s", probation = "1s" }'
    with shop_of(tmp_path, "haproxy", colours=("blue", "blue", "blue", "green", "green"), flips=flip) as shop:
        until_good(shop, "blue")
        shop.put("green")
        shop.until_because("too-few-backends")
        eventually(lambda: order(shop) == "declined", "the wish is declined")
        shop.until_serving("blue")

        assert shop.consul.get("bluegreen/apps/shop/live") == "blue"
        declined = [("flip", "green", "declined"), ("declined", "blue", None)]
        until_ended(shop, ("init", "blue", "confirmed"), *declined)
        shop.until_well()


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["haproxy", "nginx"])
def test_live_dies_while_consul_is_gone(tmp_path: Path, kind: str) -> None:
    """Customers are served by blue within moments and nobody writes; when Consul is back all follow."""
    with on_green(tmp_path, kind, lasting=True) as shop:
        before = generation(shop)
        shop.consul.kill()
        shop.until_because("store-lost")
        goes_bad(shop, "fails")
        answers(shop, "blue")
        throughout(lambda: shop.answer() == "blue", "blue answers", for_s=20)

        assert not tried_to_write(shop)
        shop.consul.start()
        reverted(shop, before, within_s=40)
        shop.until_well(within_s=40)
        assert ended(shop)[-1][0] == "revert"
