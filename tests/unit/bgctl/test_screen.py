"""How the live screen looks at any size, printed to text."""

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from bgctl.screen import Lost, Scene, Screen
from bgctl.standing import App
from bgd.core.model import Colour, Good, Ledger, Preparation
from tests.unit.bgctl.fleet import app, member

NOW = datetime(2026, 1, 31, 12, 5, tzinfo=UTC)
WEAK: dict[str, Any] = {
    "because": "live-weak",
    "detail": "blue 2/3 healthy: 10.0.0.3:8080 answered 503 three times in a row, the last one 2 s ago",
}
EVENT = {"what": "flip", "to": "green", "release": "2.5.0", "by": "alice", "took_ms": 3.1, "reason": "why"}


def shop(*more: Any, name: str = "shop", ledger: Ledger | None = None) -> App:
    good = Ledger({Colour.BLUE: Good("2.4.0", 10, "2026-01-31T11:00:00Z")})
    return app(*(more or (member("lb-1"), member("lb-2"))), name=name, ledger=ledger or good)


def scene(*apps: App, **more: Any) -> Scene:
    return Scene(apps, NOW, apps[0].name if apps else None, **more)


def seen(shown: Scene, width: int = 80, height: int = 24) -> list[str]:
    """The lines on a screen of this size, which is filled exactly."""
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    with console.capture() as drawn:
        console.print(Screen(shown), end="")
    lines = drawn.get().split("\n")
    assert len(lines) == height
    assert max(map(len, lines)) <= width
    return [line.rstrip() for line in lines]


def test_one_app_in_full():
    """One app is shown with its colours, its members and its way back, and the keys below."""
    lines = seen(scene(shop(member("lb-1"), member("lb-2", way_back={"open": True})), events=[EVENT]))

    assert lines[0].startswith("bgctl watch · 1 app, none to look at")
    assert lines[1].startswith("shop   ● blue 2.4.0 live since")
    assert "       way back: green 2.5.0, 3/3 healthy" in lines
    assert "blue    2.4.0    3/3      0         up       confirmed" in "\n".join(lines)
    assert "lb-1  blue    runtime  3.1 ms  converged" in lines
    assert any(line.startswith("–     flip  green  2.5.0    alice  3.1 ms  –        why") for line in lines)
    assert lines[-1] == "p pause   r revert   q leave"


def test_several_apps_are_listed_with_the_chosen_one_marked():
    """With several apps there is a list, in which the chosen one is always to be seen."""
    apps = [shop(name=f"app-{number:02}") for number in range(40)]
    lines = seen(replace(scene(*apps), chosen="app-20"))

    listed = [line.split("  blue")[0] for line in lines if "app-" in line and "3/3" in line]
    assert listed == ["   app-17", "   app-18", "   app-19", "▸  app-20"]
    assert "↑↓ choose" in lines[-1]
    assert any(line.startswith("app-20   ● blue 2.4.0 live") for line in lines)


def test_a_long_reason_is_broken_where_there_is_room():
    """A reason that is too long for its line is broken, and no word of it is lost."""
    told = " ".join(" ".join(seen(scene(shop(member("lb-1", **WEAK))), height=40)).split())

    assert "10.0.0.3:8080 answered 503 three times" in told
    assert "…" not in told


def test_a_reason_that_is_cut_is_told_once_in_full():
    """Where many members leave no room, the worst of their reasons stands in full below the title."""
    members = [member(f"lb-{number}", **WEAK) for number in range(14)]
    lines = seen(scene(shop(*members)))

    assert any(line.endswith("…") for line in lines)
    assert "the last one 2 s ago" in " ".join(" ".join(lines).split())


def test_where_not_all_fit_the_well_are_left_out():
    """Members in trouble are shown before those that are well, and who is missing is counted."""
    members = [*(member(f"lb-{number}") for number in range(40)), member("lb-99", alive=False)]
    lines = seen(scene(shop(*members)))

    assert any(line.startswith("lb-99  –") for line in lines)
    missing = 41 - sum(line.startswith("lb-") for line in lines)
    assert f"and {missing} more, {missing} of them well" in lines


def test_wide_screens_show_more():
    """A wide screen shows since when a member serves, and a very wide one what it sees."""
    assert not any("since" in line for line in seen(scene(shop()))[2:])
    assert any("because    since" in line for line in seen(scene(shop()), 120, 40))
    assert any("blue 3/3, green 3/3" in line for line in seen(scene(shop()), 200, 60))


def test_a_lost_consul_stands_above_all():
    """That Consul is lost is told with for how long, and of when what is shown is."""
    lost = Lost(12.4, NOW - timedelta(seconds=12), "connection refused")
    at = lost.known_at.astimezone().strftime("%H:%M:%S")

    assert seen(scene(shop(), lost=lost))[1].startswith(
        f" Consul lost for 12s, showing what was known at {at} · conn"
    )


def test_who_fell_silent_is_told_with_since_when():
    """A member that fell silent while it was watched is told with for how long."""
    silent = member("lb-2", alive=False)
    lines = seen(scene(shop(member("lb-1"), silent), silent_at={"lb-2": NOW - timedelta(seconds=75)}), 120)

    assert any("node-silent" in line and "silent for 1m15s · silent, last report" in line for line in lines)


def test_what_is_prepared_and_paused_is_told():
    """A preparation is told with who asks for it, a pause with its reason and the key that ends it."""
    asked = Preparation(id="1", colour=Colour.GREEN, release="2.5.0", by="alice@deploy")
    lines = seen(scene(shop(ledger=Ledger(pause="deploy freeze", preparation=asked))))

    assert "       being prepared: green 2.5.0 by alice@deploy" in lines
    assert any("paused: deploy freeze" in line for line in lines)
    assert lines[-1].startswith("p resume")


def test_a_question_takes_the_place_of_the_keys():
    """A question stands in the last line, its end in view however long it is; what was ordered above it."""
    lines = seen(scene(shop(), prompt="why? " + "x" * 100 + " end", note="shop: resumed"))

    assert lines[-1].endswith("x end▏")
    assert lines[-2] == "shop: resumed"


@pytest.mark.parametrize(("width", "height"), [(10, 3), (20, 5), (40, 10), (80, 24), (120, 40), (200, 60)])
def test_every_size_is_filled(width: int, height: int):
    """Whatever the size, no line is wider and there are not more than there is room for."""
    many = [shop(*(member(f"lb-{number}", **WEAK) for number in range(50)), name="a" * 40), shop()]
    seen(scene(*many, events=[EVENT] * 30, prompt="y/N", note="note"), width, height)
    seen(scene(), width, height)
    seen(scene(app(live=None)), width, height)


def test_nothing_steers_the_terminal():
    """No control character that stands in Consul reaches the terminal."""
    told = {
        "because": "\x1b[31m",
        "detail": "\x1b]0;title\x07",
        "release": "\x9b1m",
        "blue_release": "\x1b[2J",
    }
    lines = seen(scene(shop(member("l\x1b", **told)), events=[{"by": "\x1b[2J", "reason": "\x07"}]))

    assert not any(char in line for line in lines for char in "\x07\x9b")
    assert all("\x1b[2J" not in line and "\x1b[31m" not in line and "\x1b]" not in line for line in lines)
