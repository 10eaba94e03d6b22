"""bgctl set-live --dry-run on a real Consul: every gate with its answer, and nothing changes."""

import itertools
from collections.abc import Iterator

import pytest

from tests.integration.bgctl_world import World, two_nodes
from tests.integration.consul import ConsulServer

COLD = {"gate": "backends", "ok": False, "because": "too-few-backends", "detail": "1 registered, 3 needed"}
_NUMBERS = itertools.count()


@pytest.fixture
def fleet(calm_consul: ConsulServer) -> Iterator[World]:
    """Two nodes that serve blue, of the key's generation."""
    with two_nodes(calm_consul, f"dry-{next(_NUMBERS)}") as world:
        yield world


def untouched(world: World) -> bool:
    """Neither a key nor a preparation was left."""
    return world.get("apps/shop/order") is None and world.get("apps/shop/prepare") is None


def test_all_would_take_it(fleet: World) -> None:
    """Every gate of every member stands there, the key stays as it was, and the exit is 0."""
    fleet.prepares("lb-1", "lb-2")
    before = fleet.index("apps/shop/live")

    ran = fleet.bgctl("set-live", "green", "--dry-run")

    assert ran.exit == 0, ran.err
    for node in ("lb-1", "lb-2"):
        assert f"{node}  backends  yes     3/3 healthy; blue has 3/3" in ran.out
    assert "green 2.5.0 would be taken by 2/2" in ran.out
    assert fleet.index("apps/shop/live") == before
    assert untouched(fleet)


def test_a_gate_refuses(fleet: World) -> None:
    """A gate that refuses is exit 4; in JSON the error that a flip would give stands beside all answers."""
    fleet.prepares("lb-1")
    fleet.prepares("lb-2", gate=COLD)

    ran = fleet.bgctl("-o", "json", "set-live", "green", "--dry-run")

    assert (ran.exit, ran.json["ok"], ran.json["error"]["because"]) == (4, False, "too-few-backends")
    assert [(member["node"], member["ok"]) for member in ran.json["members"]] == [
        ("lb-1", True),
        ("lb-2", False),
    ]
    assert ran.json["members"][1]["gates"] == [COLD]
    assert untouched(fleet)


def test_a_silent_member(fleet: World) -> None:
    """What the living answer is told all the same; the silent one is exit 3, unless it is left out."""
    fleet.dies("lb-2")
    fleet.prepares("lb-1")

    ran = fleet.bgctl("-o", "json", "set-live", "green", "--dry-run")
    assert (ran.exit, ran.json["error"]["because"]) == (3, "node-silent")
    assert [member["ok"] for member in ran.json["members"]] == [True, None]
    assert fleet.bgctl("set-live", "green", "--dry-run", "--without", "lb-2").exit == 0
    assert untouched(fleet)


def test_differences_are_told_once(fleet: World) -> None:
    """What all agree on is told once, by whom; what differs is told apart."""
    with fleet.started("set-live", "green", "--dry-run") as running:
        for node, diff in (("lb-1", "-blue\n+green\n"), ("lb-2", "-blue\n+green\n")):
            fleet.answers(node, fleet.until_asked(), diff=diff)
        ran = running.end()

    assert ran.exit == 0, ran.err
    assert "lb-1, lb-2 would change:\n  -blue\n  +green\n" in ran.out


@pytest.mark.parametrize("more", ["--force", "--bake", "--no-wait"])
def test_with_what_it_makes_no_sense(fleet: World, more: str) -> None:
    """A forecast neither skips the gates nor waits for what it does not do."""
    assert fleet.bgctl("set-live", "green", "--dry-run", more).exit == 2
