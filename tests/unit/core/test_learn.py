"""What observations mean: the catalog, the wish, and what a restart remembers."""

import json
from dataclasses import replace

from bgd.core import memory
from bgd.core.knowledge import Knowledge
from bgd.core.model import Policy
from bgd.core.reasons import Because
from tests.unit.core.world import BLUE, GREEN, Node, backends, order


def test_the_catalog_never_empties_the_colour_that_is_served() -> None:
    """All of live vanishes at once: its last known set stays, and is shown as weak."""
    node = Node().serves(BLUE, 10).catalog((), backends(GREEN, 3))

    assert len(node.k.rotation(BLUE)) == 3
    assert node.because is Because.LIVE_WEAK
    assert node.snapshot.colours[BLUE].registered == 0


def test_all_of_live_replaced_at_once() -> None:
    """While nobody knows the new backends, the proxy keeps the servers that it has."""
    node = Node().serves(BLUE, 10)
    moved = tuple(replace(backend, port=9090) for backend in backends(BLUE, 2))
    node.catalog(moved, backends(GREEN, 3))
    wanted = node.k.wanted()
    assert wanted is not None
    assert wanted.servers.keys() == {GREEN}
    node.probe(BLUE, True, only=0)
    wanted = node.k.wanted()
    assert wanted is not None

    assert {server.name for server in wanted.servers[BLUE]} == {"10.0.0.1:9090"}


def test_servers_before_the_verdict() -> None:
    """With some still unknown after a start, a flip takes who is well, and a sync waits."""
    node = Node().catalog(backends(BLUE, 2), backends(GREEN, 2))
    node.k = replace(node.k, formed=frozenset())
    node.probe(GREEN, True, only=0, times=2)
    hasty, patient = node.k.wanted(), node.k.wanted(patient=True)
    assert hasty is not None
    assert patient is not None

    assert {server.name for server in hasty.servers[GREEN]} == {"10.0.0.101:8080"}
    assert patient.servers == {}


def test_a_kept_backend_stays_only_while_its_probes_pass() -> None:
    """Its address may be somebody else's by now."""
    node = Node().serves(BLUE, 10).catalog((), backends(GREEN, 3))
    node.probe(BLUE, False, only=1)
    assert len(node.k.rotation(BLUE)) == 2
    node.probe(BLUE, False)

    assert node.k.rotation(BLUE) == frozenset()
    assert node.because is Because.AUTO_OFF


def test_a_colour_that_comes_back_is_kept_no_longer() -> None:
    """The catalog counts again as soon as it says something."""
    node = Node().serves(BLUE, 10).catalog((), backends(GREEN, 3)).catalog(backends(BLUE, 3), ())

    assert node.because is Because.CONVERGED


def test_the_idle_colour_empties_as_the_catalog_says() -> None:
    """Nobody is on it."""
    node = Node().serves(BLUE, 10).catalog(backends(BLUE, 3), ())

    assert node.k.rotation(GREEN) == frozenset()


def test_a_backend_that_leaves_alone_leaves_rotation() -> None:
    """One of three is deregistered."""
    node = Node().serves(BLUE, 10).catalog(backends(BLUE, 3)[:2], backends(GREEN, 3))

    assert len(node.k.rotation(BLUE)) == 2


def test_an_answer_that_changes_nothing_is_the_same_object() -> None:
    """The loop does not decide again for it."""
    node = Node().serves(BLUE, 10)
    before = node.k
    node.wish(BLUE, 10).proxy(BLUE)

    assert node.k is before


def test_the_disks_word_lost_the_proxys_own_is_taken() -> None:
    """A torn state file costs the generation, never the colour that is served."""
    node = Node().proxy(GREEN)

    assert node.k.serving is not None
    assert (node.k.serving.colour, node.k.serving.generation) == (GREEN, 0)


def test_a_restart_remembers() -> None:
    """Wish with its age, what is served, backends and who was vetted, through JSON and back."""
    node = Node().serves(BLUE, 10).wish(GREEN, 11, order(GREEN, release="2.0", prepared=("lb-1",), after=9))
    kept = json.loads(json.dumps(memory.remember(node.k, now_s=node.now_s + 50, wall_s=5050)))
    fresh = Knowledge(app="shop", node="lb-1", policy=Policy(), started_s=70)
    recalled = memory.recall(fresh, kept, now_s=70, wall_s=5080)

    assert recalled.wish is not None
    assert node.k.wish is not None
    assert recalled.wish.desired == node.k.wish.desired
    assert recalled.wish.seen_s == 70 - 80
    assert recalled.serving == node.k.serving
    assert recalled.backends == node.k.backends
    assert recalled.rotation(BLUE) == node.k.rotation(BLUE)


def test_what_makes_no_sense_on_disk_costs_only_itself() -> None:
    """Every field damaged in turn: never a crash, and the rest is kept."""
    node = Node().serves(BLUE, 10)
    kept = json.loads(json.dumps(memory.remember(node.k, now_s=1, wall_s=1)))
    fresh = Knowledge(app="shop", node="lb-1", policy=Policy(), started_s=0)
    for field in kept:
        for damage in (None, 7, "x", [], {}, [None], {"blue": [{"address": 1}], "colour": "purple"}):
            recalled = memory.recall(fresh, {**kept, field: damage}, now_s=1, wall_s=1)

            assert field == "serving" or recalled.serving == node.k.serving
            assert field == "wish" or recalled.wish is not None
