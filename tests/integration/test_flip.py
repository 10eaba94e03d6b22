"""The main job on real parts: the key names a colour, HAProxy serves it, nothing is lost."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.integration.shop import Churn, Shop, opened
from tests.integration.waiting import eventually

HELD = {"websockets": 6, "streams": 3, "slow": 3}
HALF = 'flip = { min_healthy = "50%" }'


def flip_in_turns(shop: Shop, colours: Sequence[str]) -> None:
    """Green by bgctl, blue by a plain PUT."""
    for colour in colours:
        if colour == "green":
            shop.bgctl("set-live", colour, "--reason", "ticket 4711", check=True)
        else:
            shop.put(colour)
        shop.until_serving(colour)

        assert shop.answer() == colour


def flips_beside(shop: Shop, churn: Churn, flips: int) -> None:
    """Flips among comings and goings: between any two of them some backends have left."""
    for number in range(flips):
        goal = churn.left + 5
        eventually(lambda goal=goal: churn.left >= goal, "backends come and go")
        flip_in_turns(shop, ["green" if number % 2 == 0 else "blue"])


def test_flips_lose_nothing(tmp_path: Path) -> None:
    """Ten flips under load: no request lost, no websocket, stream or slow answer cut."""
    with opened(tmp_path) as shop, shop.load(**HELD):
        flip_in_turns(shop, ["green", "blue"] * 5)


def test_flips_while_backends_come_and_go(tmp_path: Path) -> None:
    """Ten backends a second join and as many leave meanwhile: still nothing is lost or cut."""
    with opened(tmp_path, start=False) as shop:
        shop.apps = [shop.app("shop", shop.port, HALF)]
        shop.bgd = shop.daemon()
        shop.open()
        with shop.load(**HELD), Churn(shop, per_s=10) as churn:
            flips_beside(shop, churn, 6)


def test_a_newer_wish_in_the_middle_of_a_flip(tmp_path: Path) -> None:
    """Wishes faster than flips: the last one counts, and nothing is lost on the way."""
    with opened(tmp_path) as shop, shop.load():
        for _ in range(10):
            for colour in ("green", "blue", "green", "blue", "green"):
                shop.put(colour)
        shop.until_serving("green")
        shop.until_because("converged")

        shop.in_step("green")
        assert shop.answer() == "green"


@pytest.mark.soak
def test_a_hundred_flips_lose_nothing(tmp_path: Path) -> None:
    """The same a hundred times, half by bgctl and half by a plain PUT."""
    with opened(tmp_path) as shop, shop.load(**HELD):
        flip_in_turns(shop, ["green", "blue"] * 50)


@pytest.mark.soak
def test_a_hundred_flips_while_backends_come_and_go(tmp_path: Path) -> None:
    """A hundred flips with ten backends a second joining and leaving."""
    with opened(tmp_path, start=False) as shop:
        shop.apps = [shop.app("shop", shop.port, HALF)]
        shop.bgd = shop.daemon()
        shop.open()
        with shop.load(**HELD), Churn(shop, per_s=10) as churn:
            flips_beside(shop, churn, 100)
