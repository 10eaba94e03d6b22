"""`bgctl wait --drained` on a real Consul: it ends with 0 when the colour may be destroyed, not before."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.bgctl_world import World
from tests.integration.consul import ConsulServer

_NUMBERS = itertools.count()


@pytest.fixture
def fleet(calm_consul: ConsulServer) -> Iterator[World]:
    """Two nodes that serve green, which is on probation."""
    world = World(calm_consul, f"drained-{next(_NUMBERS)}")
    world.live("green")
    for node in ("lb-1", "lb-2"):
        world.lives(node)
        tells(world, node, 0)
    yield world
    world.close()


def tells(world: World, node: str, blue: int | None, serves: str = "green", **told: Any) -> None:
    """A node's report, with so many open on blue."""
    up = {"verdict": "up", "healthy": 3, "registered": 3, "why": None}
    colours = {"green": up | {"release": "2.5.0"}, "blue": up | {"release": "2.4.0", "sessions": blue}}
    world.tells(node, serves, colours=colours, **told)


def confirm(world: World) -> None:
    good = {"schema": 1, "release": "2.5.0", "generation": 1, "confirmed_at": "2026-01-31T12:00:00Z"}
    world.put("apps/shop/good/green", good)


def test_it_waits_for_the_last_session_and_the_confirmation(fleet: World) -> None:
    """Each of them alone is not enough; without --timeout it waits for as long as that takes."""
    tells(fleet, "lb-2", 3)
    with fleet.started("wait", "--drained", "blue") as waiting:
        waiting.until_said("3 open on blue")
        tells(fleet, "lb-2", 0)
        waiting.until_said("not known good yet")
        confirm(fleet)
        ran = waiting.end()

    assert ran.exit == 0
    assert "blue is drained on lb-1, lb-2" in ran.out


def test_now_does_not_wait_for_the_confirmation(fleet: World) -> None:
    """And for nothing less."""
    tells(fleet, "lb-2", None)
    assert fleet.bgctl("wait", "--drained", "blue", "--now", "--timeout", "1s").exit == 3
    tells(fleet, "lb-2", 0)

    ran = fleet.bgctl("wait", "--drained", "blue", "--now", "-o", "json")

    assert ran.exit == 0
    assert (ran.json["fact"], ran.json["members"]) == ("blue is drained", ["lb-1", "lb-2"])


def test_a_silent_member_is_waited_for_until_it_is_forgotten(fleet: World) -> None:
    """Whatever it said last."""
    confirm(fleet)
    fleet.dies("lb-2")

    ran = fleet.bgctl("wait", "--drained", "blue", "--timeout", "1s", "-o", "json")

    assert (ran.exit, ran.json["error"]["because"]) == (3, "node-silent")
    assert "lb-2: silent" in ran.json["error"]["detail"]
    assert fleet.bgctl("forget", "lb-2").exit == 0
    assert fleet.bgctl("wait", "--drained", "blue").exit == 0


def test_a_fallback_is_waited_for(fleet: World) -> None:
    """There blue serves by the node's own choice."""
    confirm(fleet)
    tells(fleet, "lb-2", 0, "blue", fallback=True, because="fallback-serving")

    ran = fleet.bgctl("wait", "--drained", "blue", "--now", "--timeout", "1s")

    assert ran.exit == 3
    assert "lb-2: serves blue" in ran.err


def test_a_flip_back_ends_the_waiting(fleet: World) -> None:
    """The later word wins."""
    tells(fleet, "lb-2", 3)
    with fleet.started("wait", "--drained", "blue") as waiting:
        waiting.until_said("3 open on blue")
        fleet.live("blue")
        ran = waiting.end()

    assert ran.exit == 4
    assert fleet.bgctl("wait", "--drained", "blue").exit == 4


@pytest.mark.parametrize("words", [("--drained", "blue", "--converged"), ("--converged", "--now"), ()])
def test_one_thing_is_waited_for(fleet: World, words: tuple[str, ...]) -> None:
    """Which one must be said."""
    assert fleet.bgctl("wait", *words).exit == 2
