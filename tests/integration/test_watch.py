"""bgctl watch on a terminal and a real Consul; other nodes' daemons are stood in for, but in the last one."""

import itertools
import json
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.integration.bgctl_world import World
from tests.integration.consul import ConsulServer
from tests.integration.on_terminal import Seated, seated
from tests.integration.revert_world import shop_of, until_good
from tests.integration.waiting import eventually

_NUMBERS = itertools.count()


@pytest.fixture
def world(calm_consul: ConsulServer) -> Iterator[World]:
    world = World(calm_consul, f"watch-{next(_NUMBERS)}")
    peopled(world)
    yield world
    world.close()


def peopled(world: World) -> None:
    """Two nodes that serve green, from where blue is the way back."""
    world.live("green")
    good = {"schema": 1, "release": "2.4.0", "generation": 1, "confirmed_at": "2026-01-31T11:00:00Z"}
    world.put("apps/shop/good/blue", good)
    for node in ("lb-1", "lb-2"):
        world.member(node, "green", because="probation", way_back={"open": True})


def watching(world: World, *words: str, **more: int) -> AbstractContextManager[Seated]:
    return seated(world.command("watch", *words), world.environment(), **more)


def test_it_shows_the_worst_first_and_what_changes(world: World):
    """All apps are shown, the worst first and in full, and each change as it comes."""
    world.live("blue", app="cart")
    event = {"schema": 1, "what": "flip", "to": "green", "by": "alice", "outcome": "confirmed"}
    world.put("history/shop/7", event)
    with watching(world) as seat:
        seat.until(r"▸  cart  blue .* node-silent")
        seat.press("j")
        seat.until(r"▸  shop  green  2.5.0 .* 2/2 +probation")
        seat.until(r"way back: blue 2.4.0, 3/3 healthy")
        seat.until(r"flip  green .* alice .* confirmed")
        world.tells("lb-2", "green", because="live-weak", detail="green 2/3 healthy")
        seat.until(r"lb-2 .* live-weak  green 2/3 healthy")
        world.dies("lb-1")
        seat.until(r"lb-1 .* node-silent  silent for \d+s · silent, last report")
        seat.press("\x1b[A")
        seat.until(r"▸  cart")


def test_a_pause_and_its_end(world: World):
    """p asks for a reason, Enter alone takes the one that stands ready, Esc leaves it; p again resumes."""
    with watching(world) as seat:
        seat.until("p pause")
        seat.press("p")
        seat.until("why pause shop")
        seat.press("\x1b")
        seat.until("p pause   r revert")
        assert world.get("apps/shop/pause") is None

        seat.press("pqrx\x7f\r")
        seat.until("paused: qr ")
        assert world.get("apps/shop/pause") == "qr"
        seat.until("p resume")
        seat.press("p")
        seat.until("shop: resumed")
        assert world.get("apps/shop/pause") is None
        seat.until("p pause")

        seat.press("p\r")
        seat.until("paused: paused from bgctl watch")


def test_a_revert_is_asked_about_first(world: World):
    """r asks, anything but y leaves all as it is, and y writes the revert of bgctl revert."""
    before = world.index("apps/shop/live")
    with watching(world) as seat:
        seat.until("r revert")
        seat.press("r")
        seat.until(r"revert shop to blue 2\.4\.0\? y/N")
        seat.press("\r")
        seat.until("p pause   r revert")
        assert world.index("apps/shop/live") == before

        seat.press("ry")
        seat.until(r"shop: blue is wished, generation \d+; 2\.5\.0 is rejected")
    assert world.get("apps/shop/live") == "blue"
    order = json.loads(world.get("apps/shop/order") or "")
    assert (order["kind"], order["reason"]) == ("revert", "bgctl watch")
    assert world.get("apps/shop/rejected/2.5.0")


def test_a_revert_that_leads_nowhere_is_not_offered(world: World):
    """r says why there is no way back, with its reason code, and asks nothing."""
    world.delete("apps/shop/good/blue")
    with watching(world) as seat:
        seat.until("r revert")
        seat.press("r")
        seat.until("revert-no-good: ")


def test_a_wish_that_came_meanwhile_is_not_reverted(world: World):
    """What is confirmed is the revert of the wish that was asked about, and of no later one."""
    with watching(world) as seat:
        seat.until("r revert")
        seat.press("r")
        seat.until("y/N")
        later = world.put("apps/shop/live", "Green")
        seat.until(f"generation {later}")
        seat.press("y")
        seat.until("superseded: ")
    assert world.index("apps/shop/live") == later


def test_it_takes_any_size(world: World):
    """A terminal that grows or shrinks is filled anew, and no line is ever wider than it."""
    with watching(world) as seat:
        seat.until("sessions")
        for columns, lines in ((200, 60), (40, 10), (120, 40)):
            seat.resize(columns, lines)
            eventually(lambda c=columns, n=lines: fills(seat.text, c, n), f"{columns}x{lines} is filled")


def fills(text: str, columns: int, lines: int) -> bool:
    rows = text.split("\n")
    return len(rows) == lines and len(rows[0]) == columns and all(len(row) <= columns for row in rows)


@pytest.mark.parametrize("key", ["q", "\x03"])
def test_leaving_gives_the_terminal_back(world: World, key: str):
    """q and Ctrl-C leave with 0, also out of a question, and the terminal is as it was."""
    with watching(world) as seat:
        seat.until("q leave")
        if key == "\x03":
            seat.press("p")
            seat.until("why pause")
        seat.press(key)

        assert seat.end() == 0
        assert seat.given_back


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_terminal_back(world: World, number: signal.Signals):
    """Ended by a signal, it dies of that signal, and the terminal is as it was."""
    with watching(world) as seat:
        seat.until("q leave")
        seat.process.send_signal(number)

        assert seat.end() == -number
        assert seat.given_back


def test_a_fault_of_ours_gives_the_terminal_back(world: World):
    """An exception is told on a terminal that is as it was."""
    program = "from bgctl.terminal import Terminal\nwith Terminal() as t: t.draw(['drawn']); 1 / 0"
    with seated([sys.executable, "-c", program], world.environment()) as seat:
        assert seat.end() == 1
        seat.until("ZeroDivisionError")
        assert seat.given_back


def test_stopped_it_lends_the_terminal(world: World):
    """Ctrl-Z gives the terminal back for as long as it is stopped; in the foreground again it goes on."""
    shell = 'set -m; "$@"; echo lent; read _; fg'
    with seated(["bash", "-c", shell, "bash", *world.command("watch")], world.environment()) as seat:
        seat.until("q leave")
        seat.press("\x1a")
        seat.until("lent")
        assert seat.given_back
        seat.press("\n")
        seat.until("q leave")
        seat.press("q")
        assert seat.end() == 0
        assert seat.given_back


def test_it_outlives_consul(lasting_consul: ConsulServer):
    """While Consul is lost, what was known stays, with since when; afterwards it goes on."""
    world = World(lasting_consul, "bluegreen")
    peopled(world)
    with watching(world) as seat:
        seat.until("probation")
        lasting_consul.kill()
        seat.until(r"Consul lost for [1-9]\d*s, showing what was known at \d\d:\d\d:\d\d")
        assert "lb-2  green" in seat.text
        seat.press("p\r")
        seat.until("store-lost: ")

        lasting_consul.start()
        eventually(lambda: "Consul lost" not in seat.text, "Consul is heard again", within_s=30)
        world.tells("lb-2", "green", because="live-weak", detail="after all that")
        seat.until("after all that")


def test_without_colour(world: World):
    """With NO_COLOR nothing is coloured."""
    with seated(world.command("watch"), world.environment(NO_COLOR="1")) as seat:
        seat.until("q leave")
        styles = set(re.findall(r"\x1b\[([0-9;]*)m", seat.screen.written))
        assert styles <= {"0", "1", "2", "7", "1;7"}


def test_without_a_terminal(world: World):
    """Without a terminal, and with -o json, it is exit 2 with the command that would help."""
    ran = world.bgctl("watch")
    assert ran.exit == 2
    assert "bgctl status" in ran.err

    ran = world.bgctl("-o", "json", "watch")
    assert ran.exit == 2
    assert "bgctl status -o json" in ran.json["error"]["cure"]


def test_waiting_commands_show_a_table(world: World):
    """On a terminal, whoever waits sees each member's row in its place, and the last state stays."""
    with seated(world.command("wait", "--ready", "blue"), world.environment()) as seat:
        assert seat.end() == 0
        seat.until("shop: blue is ready on lb-1, lb-2")

    world.tells("lb-2", "green", proved=False)
    with seated(world.command("wait", "--converged"), world.environment()) as seat:
        seat.until(r"✔  lb-1 +\d\.\d s  green proved")
        seat.until(r"·  lb-2 +\d\.\d s  serves green")
        world.tells("lb-2", "green")
        assert seat.end() == 0
        seat.until(r"✔  lb-2 +\d\.\d s  green proved")
        assert seat.text.count("lb-1") == 2
        assert seat.given_back


def test_a_real_fleet_goes_back(tmp_path: Path):
    """With a real bgd and a real proxy, what is confirmed on the screen happens, and the screen shows it."""
    with shop_of(tmp_path, "haproxy", probation="2s") as shop:
        world = World(shop.consul, "bluegreen")
        until_good(shop, "blue")
        assert world.bgctl("set-live", "green", "--bake").exit == 0
        with watching(world) as seat:
            seat.until("r revert")
            seat.until("way back: blue 2.4.0, 2/2 healthy")
            seat.press("ry")
            seat.until(r"blue 2\.4\.0 live since")
            eventually(lambda: shop.answer() == "blue", "blue answers")
            seat.until(r"revert  blue")
            seat.press("q")
            assert seat.end() == 0
