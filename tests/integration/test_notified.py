"""The host's command beside a whole shop: what the fleet does is told, once, whatever the command does."""

import json
import time
from pathlib import Path
from typing import Any

from tests.integration.shop import Shop, opened
from tests.integration.waiting import eventually


def notify(command: list[str]) -> str:
    return f"[notify]\ncommand = {json.dumps(command)}\n"


def keeping(file: Path) -> str:
    """Appends what it is told to a file."""
    return notify(["sh", "-c", 'cat >> "$0"', str(file)])


def told(file: Path) -> list[tuple[str, str, Any]]:
    """What was told: the event, the colour, and how it ended."""
    lines = file.read_text().splitlines() if file.exists() else []
    events = [json.loads(line) for line in lines]
    return [(event["what"], event["to"], event["outcome"]) for event in events]


def quick(shop: Shop, *lines: str) -> list[str]:
    """The shop's app, whose releases are good at once, and further tables."""
    return [shop.app("shop", shop.port, 'flip.probation = "0s"'), *lines]


def test_what_the_fleet_does_is_told(tmp_path: Path) -> None:
    """Each event comes once, and once more with its outcome; another command counts from a SIGHUP on."""
    first, second = tmp_path / "first", tmp_path / "second"
    with opened(tmp_path, start=False) as shop:
        shop.apps = quick(shop, keeping(first))
        shop.bgd = shop.daemon()
        shop.open()
        eventually(lambda: len(told(first)) == 2, "the beginning is told")
        worker = shop.proxy.pid()
        shop.apps = quick(shop, keeping(second))
        shop.hup()
        eventually(lambda: shop.bgd.said("configuration taken"), "the new command is taken")
        shop.bgctl("set-live", "green", "--app", "shop", "--reason", "ticket 4711", check=True)
        eventually(lambda: len(told(second)) == 2, "the flip is told")

        assert told(first) == [("init", "blue", None), ("init", "blue", "confirmed")]
        assert told(second) == [("flip", "green", None), ("flip", "green", "confirmed")]
        event = json.loads(second.read_text().splitlines()[0])
        assert (event["app"], event["node"], event["reason"]) == ("shop", "lb-1", "ticket 4711")
        assert (event["from"], event["release"]) == ("blue", "2.5.0")
        assert shop.proxy.pid() == worker  # nothing was reloaded for it


def test_a_command_that_hangs_holds_up_nobody(tmp_path: Path) -> None:
    """While a command hangs flips are made and proved; and bgd stops within moments."""
    with opened(tmp_path, start=False) as shop:
        shop.apps = quick(shop, notify(["sleep", "600"]))
        shop.bgd = shop.daemon()
        shop.open()
        shop.bgctl("set-live", "green", "--app", "shop", check=True)
        begun_s = time.monotonic()
        shop.bgd.stop()

        assert time.monotonic() - begun_s < 60, "the command would have taken 600 s"
        assert shop.bgd.said("stopped")
        assert any("was killed" in line["detail"] for line in shop.bgd.said("notify failed"))
        assert shop.answer() == "green"
