"""What is counted and cut on the colour that was left, and when."""

from dataclasses import replace

from bgd.core import memory
from bgd.core.draining import Drain, drain
from bgd.core.events import SessionsSeen
from bgd.core.knowledge import Knowledge
from bgd.core.model import Policy, Serving
from tests.unit.core.world import BLUE, GREEN, Node

HALF_AN_HOUR = Policy(drain_s=1800)


def flipped(policy: Policy = HALF_AN_HOUR) -> tuple[Node, float]:
    """A node that has just flipped from blue to green, and when."""
    node = Node(policy).serves(BLUE, 10)
    node.wait(1).wish(GREEN, 11).act()
    assert node.k.serving is not None
    assert node.k.serving.colour is GREEN
    return node, node.now_s


def test_the_time_begins_with_the_flip() -> None:
    """What is open on blue is cut half an hour after green was proved."""
    node, flipped_s = flipped()
    node.wait(100)

    assert drain(node.snapshot) == Drain(BLUE, flipped_s + 1800)


def test_without_a_drain_nothing_is_cut() -> None:
    """It is counted all the same."""
    node, _ = flipped(Policy())

    assert drain(node.snapshot) == Drain(BLUE, None)


def test_what_was_drained_is_neither_counted_nor_cut() -> None:
    """At rest nobody is asked."""
    node, _ = flipped()
    for _ in range(2):
        node.wait(1).see(SessionsSeen("shop", node.now_s, {BLUE: 0, GREEN: 5}))

    assert drain(node.snapshot) is None


def test_another_drain_holds_at_once() -> None:
    """The configuration was read anew."""
    node, flipped_s = flipped()
    node.k = replace(node.k, policy=Policy(drain_s=60))

    assert drain(node.snapshot) == Drain(BLUE, flipped_s + 60)


def test_a_flip_back_ends_it() -> None:
    """Then green is the colour that was left, from then on."""
    node, _ = flipped()
    node.wait(100).heard().members().wish(BLUE, 12).act()

    assert drain(node.snapshot) == Drain(GREEN, node.now_s + 1800)


def test_the_same_colour_under_a_new_generation_begins_nothing_anew() -> None:
    """No request has moved."""
    node, flipped_s = flipped()
    node.wait(100).heard().members().wish(GREEN, 12).act()

    assert drain(node.snapshot) == Drain(BLUE, flipped_s + 1800)


def test_a_fallback_cuts_nothing() -> None:
    """The colour that is live comes back."""
    node, _ = flipped()
    serving = Serving(BLUE, 11, fallback=True)
    node.k = replace(node.k, serving=serving)

    assert drain(node.snapshot) == Drain(GREEN, None)


def test_a_restart_counts_from_the_flip() -> None:
    """By the wall clock, for the monotonic one may have begun anew."""
    kept = {"serving": {"colour": "green", "generation": 11, "since_at": "2026-01-31T12:00:00.000Z"}}
    wall_s = 1769860800.0 + 600

    k = memory.recall(
        Knowledge(app="shop", node="lb-1", policy=HALF_AN_HOUR, started_s=50.0),
        kept,
        now_s=50.0,
        wall_s=wall_s,
    )

    assert k.left_s == 50.0 - 600


def test_a_clock_that_was_set_back_cuts_nothing_early() -> None:
    """A flip in the future was now."""
    kept = {"serving": {"colour": "green", "generation": 11, "since_at": "2026-01-31T12:00:00.000Z"}}
    k = Knowledge(app="shop", node="lb-1", policy=HALF_AN_HOUR, started_s=50.0)

    assert memory.recall(k, kept, now_s=50.0, wall_s=1.0).left_s == 50.0
    unknown = {"serving": {"colour": "green", "generation": 11, "since_at": ""}}
    assert memory.recall(k, unknown, now_s=50.0, wall_s=1.0).left_s == 50.0
