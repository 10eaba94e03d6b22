"""bgd killed at any moment: whatever it was doing, the next one ends where the key points."""

import random
import threading
from pathlib import Path

import pytest

from tests.integration.shop import Shop, opened, soak_on_nginx

ANY_MOMENT_S = 0.04


def kill_rounds(shop: Shop, rounds: int, seed: int) -> None:
    """Flip, kill within the moments of a flip, start anew; every second time beside a reload."""
    draw = random.Random(seed)
    for number in range(rounds):
        colour = "green" if number % 2 == 0 else "blue"
        if number % 4 >= 2:
            shop.turned(number)
        shop.put(colour)
        threading.Event().wait(draw.uniform(0, ANY_MOMENT_S))  # the moment is what is tested
        shop.crash_bgd()
        shop.until_serving(colour)
        shop.until_well()
        shop.in_step(colour)

        assert shop.answer() == colour, f"round {number} of seed {seed}"


def test_killed_at_any_moment(tmp_path: Path, kind: str) -> None:
    """Proxy, file and state agree with the key after each kill, and no request is lost."""
    with opened(tmp_path, kind=kind) as shop, shop.load(websockets=2, streams=1, slow=1):
        kill_rounds(shop, 6 if kind == "haproxy" else 4, seed=1)


@soak_on_nginx
def test_power_lost_at_any_moment(tmp_path: Path, kind: str) -> None:
    """Proxy and bgd die together in a flip: one colour serves from the start, and soon the wished one."""
    draw = random.Random(5)
    with opened(tmp_path, kind=kind) as shop:
        for colour in ("green", "blue", "green"):
            shop.put(colour)
            threading.Event().wait(draw.uniform(0, ANY_MOMENT_S))  # the moment is what is tested
            shop.bgd.kill()
            shop.proxy.restart()
            assert shop.answer() == shop.proxy.on_disk()["shop"]
            shop.bgd = shop.daemon()
            shop.bgd.start()
            shop.until_serving(colour)

            shop.in_step(colour)


@pytest.mark.soak
def test_killed_a_hundred_times(tmp_path: Path, kind: str) -> None:
    """The same a hundred times."""
    with opened(tmp_path, kind=kind) as shop, shop.load(websockets=4, streams=2, slow=2):
        kill_rounds(shop, 100, seed=2)
