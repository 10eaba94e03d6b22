"""What observations mean: the catalog, the wish, and what a restart remembers."""

import json
from dataclasses import replace

from bgd.core import advance, memory
from bgd.core.actions import Revert, Take
from bgd.core.events import LiveSeen, MembersSeen
from bgd.core.knowledge import Knowledge
from bgd.core.model import Desired, Ledger, Member, Policy
from bgd.core.reasons import Because
from tests.unit.core.world import AT, BLUE, GREEN, Node, backends, member, order


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
    assert node.because is Because.REVERT_NO_GOOD


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


def test_a_restart_remembers_a_fallback_and_a_refusal() -> None:
    """In fallback still, with a hold-down that begins anew; refused for the same release."""
    node = Node().serves(GREEN, 10).ledger(good={BLUE: "1.0"}, rejected=("2.0",)).heard()
    node.probe(GREEN, False).act().wish(GREEN, 11, order(GREEN, after=40)).wait(5).heard()
    kept = json.loads(json.dumps(memory.remember(node.k, now_s=node.now_s, wall_s=5000)))
    fresh = Knowledge(app="shop", node="lb-1", policy=Policy(), started_s=0)
    recalled = memory.recall(fresh, kept, now_s=70, wall_s=5000)

    assert recalled.serving is not None
    assert recalled.serving.fallback
    assert recalled.falls.count == 1
    assert recalled.wish is not None
    assert (recalled.wish.refused, recalled.wish.after) == ("2.0", 40)


def test_a_restart_remembers_who_the_members_are() -> None:
    """What they said is not kept; one that the store has lost counts all the same."""
    node = Node().serves(BLUE, 10).members(member("lb-2", BLUE, 10))
    kept = json.loads(json.dumps(memory.remember(node.k, now_s=node.now_s, wall_s=5000)))
    fresh = Knowledge(app="shop", node="lb-1", policy=Policy(), started_s=0)
    node.k = memory.recall(fresh, kept, now_s=node.now_s, wall_s=5000)
    assert node.k.members == (Member(node="lb-1", alive=False), Member(node="lb-2", alive=False))

    node.wish(BLUE, 10).members()
    assert {(each.node, each.alive) for each in node.k.members} == {("lb-1", True), ("lb-2", False)}


def test_what_is_steady_is_steady_without_a_break() -> None:
    """A proxy that is lost for a moment, or a mixed colour, starts it anew; a repeated wish does not."""
    node = Node().serves(BLUE, 10).wait(100)
    began = node.k.steady
    assert began is not None
    node.heard().wish(BLUE, 11).act()
    assert node.k.steady is began

    assert node.proxy_lost().k.steady is None


def test_a_tombstone_ends_a_membership() -> None:
    """What is only missing was lost."""
    node = Node().serves(BLUE, 10).members(member("lb-2", BLUE, 10), member("lb-3", BLUE, 10))
    node.see(MembersSeen("shop", (member("lb-1", BLUE, 10),), frozenset(("lb-3",))))

    assert [(each.node, each.alive) for each in node.k.members] == [("lb-1", True), ("lb-2", False)]


def test_a_write_that_was_overtaken_brings_back_what_stands() -> None:
    """Nothing is decided again on what was known before it."""
    node = Node().serves(GREEN, 10).ledger(good={BLUE: "1.0"}).heard().probe(GREEN, False).act()
    action = node.action
    assert isinstance(action, Revert)
    paused = LiveSeen({"shop": Desired(GREEN, 10)}, {"shop": Ledger(pause="deploy")})
    node.k = advance.written(node.k, action, advance.Overtaken(paused), now_s=node.now_s)
    assert node.because is Because.PAUSED

    node.k = advance.written(node.k, action, advance.Overtaken(paused), now_s=node.now_s)
    assert node.k.write_trouble is not None, "nothing new: not at once again"


def test_a_revert_that_was_written_is_the_wish() -> None:
    """With its order, its rejection, and without what the failed colour was good for."""
    node = Node().serves(GREEN, 10).ledger(good={BLUE: "1.0", GREEN: "2.0"}).heard().probe(GREEN, False)
    action = node.act().action
    assert isinstance(action, Revert)
    node.k = advance.written(node.k, action, advance.Written(12, "lb-1", AT), now_s=node.now_s)

    assert node.k.wish is not None
    assert (node.k.wish.desired.colour, node.k.wish.desired.generation) == (BLUE, 12)
    assert node.k.ledger is not None
    assert (set(node.k.ledger.good), node.k.ledger.rejected) == ({BLUE}, {"2.0"})
    assert isinstance(node.action, Take)
