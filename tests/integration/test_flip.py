"""The main job on real parts: the key names a colour, HAProxy serves it, nothing is lost."""

import json
import time
from itertools import cycle
from pathlib import Path

import pytest

from tests.integration.shop import eventually, opened

HELD = {"websockets": 6, "streams": 3, "slow": 3}


def test_flips_lose_nothing(tmp_path: Path) -> None:
    """Ten flips under load: no request lost, no websocket, stream or slow answer cut."""
    with opened(tmp_path) as shop, shop.load(**HELD):
        for colour in ["green", "blue"] * 5:
            if colour == "green":
                shop.bgctl("set-live", colour, "--reason", "ticket 4711", check=True)
            else:
                shop.put(colour)
            shop.until_serving(colour)

            assert shop.answer() == colour


@pytest.mark.soak
def test_a_hundred_flips_lose_nothing(tmp_path: Path) -> None:
    """The same a hundred times, half by bgctl and half by a plain PUT."""
    with opened(tmp_path) as shop, shop.load(**HELD) as load:
        for colour in ["green", "blue"] * 50:
            if colour == "green":
                shop.bgctl("set-live", colour, check=True)
            else:
                shop.put(colour)
            shop.until_serving(colour)
    print(json.dumps(load.summary))
