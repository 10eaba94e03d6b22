"""The main job on real parts: the key names a colour, the proxy serves it, nothing is lost."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.integration.shop import Churn, Shop, opened, soak_on_nginx
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
        goal = churn.gone() + 5
        eventually(lambda goal=goal: churn.gone() >= goal, "backends come and go")
        flip_in_turns(shop, ["green" if number % 2 == 0 else "blue"])


def test_flips_lose_nothing(tmp_path: Path, kind: str) -> None:
    """Ten flips under load: no request lost, no websocket, stream or slow answer cut."""
    with opened(tmp_path, kind=kind) as shop, shop.load(**HELD):
        flip_in_turns(shop, ["green", "blue"] * 5)


def test_flips_while_backends_come_and_go(tmp_path: Path, kind: str) -> None:
    """Ten backends a second join and as many leave meanwhile: still nothing is lost or cut."""
    with opened(tmp_path, kind=kind, start=False) as shop:
        shop.apps = [shop.app("shop", shop.port, HALF)]
        shop.bgd = shop.daemon()
        shop.open()
        with shop.load(**HELD), Churn(shop, per_s=10) as churn:
            flips_beside(shop, churn, 4 if kind == "haproxy" else 2)


@soak_on_nginx
def test_a_newer_wish_in_the_middle_of_a_flip(tmp_path: Path, kind: str) -> None:
    """Wishes faster than flips: the last one counts, and nothing is lost on the way."""
    with opened(tmp_path, kind=kind) as shop, shop.load():
        for _ in range(10):
            for colour in ("green", "blue", "green", "blue", "green"):
                shop.put(colour)
        shop.until_serving("green")
        shop.until_well()

        shop.in_step("green")
        assert shop.answer() == "green"


@pytest.mark.soak
def test_a_hundred_flips_lose_nothing(tmp_path: Path, kind: str) -> None:
    """The same a hundred times, half by bgctl and half by a plain PUT."""
    with opened(tmp_path, kind=kind) as shop, shop.load(**HELD):
        flip_in_turns(shop, ["green", "blue"] * 50)


@pytest.mark.soak
def test_a_hundred_flips_while_backends_come_and_go(tmp_path: Path, kind: str) -> None:
    """A hundred flips with ten backends a second joining and leaving."""
    with opened(tmp_path, kind=kind, start=False) as shop:
        shop.apps = [shop.app("shop", shop.port, HALF)]
        shop.bgd = shop.daemon()
        shop.open()
        with shop.load(**HELD), Churn(shop, per_s=10) as churn:
            flips_beside(shop, churn, 100)


def members_change(shop: Shop, changes: int) -> None:
    """One backend of live comes or goes at a time, each brought in step before the next."""
    here: list[str] = []
    for number in range(changes):
        if number % 2 == 0:
            address = f"127.0.0.1:{shop.proxy.port()}"
            shop.backends.order(f"open blue={address}")
            shop.join("blue", address)
            here.append(address)
            eventually(lambda at=address: at in names(shop), "it has joined")
        else:
            address = here.pop()
            shop.leave(address)
            eventually(lambda at=address: at not in names(shop), "it has left")


def names(shop: Shop) -> set[str]:
    return {name for name, _ in shop.proxy.servers().get("shop_blue", set())}


def test_members_change_without_a_loss(tmp_path: Path, kind: str) -> None:
    """Backends come and go one by one under load, also for clients who speak hardly once a second."""
    with opened(tmp_path, kind=kind) as shop, shop.load(**HELD, steady=8):
        members_change(shop, 4 if kind == "haproxy" else 2)


@pytest.mark.soak
def test_two_hundred_members_change_without_a_loss(tmp_path: Path, kind: str) -> None:
    """The same two hundred times."""
    with opened(tmp_path, kind=kind) as shop, shop.load(**HELD, steady=8):
        members_change(shop, 200)
