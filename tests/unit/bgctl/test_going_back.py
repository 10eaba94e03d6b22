"""Whether the fleet could go back, and the revert that a person orders."""

from typing import Any

from bgctl import going_back
from bgctl.ending import Exit
from bgctl.standing import App
from bgd.core.model import Colour, Desired, Good, KeyGone, Ledger, Order, OrderKind
from bgd.core.reasons import Because
from tests.unit.bgctl.fleet import app, member

BLUE, GREEN = Colour.BLUE, Colour.GREEN
ORDER = Order(kind=OrderKind.FLIP, colour=GREEN, release="2.5.0", by="alice")
WISH = Desired(GREEN, 10, ORDER)
GOOD = Ledger(good={BLUE: Good("2.4.0", 5)})
CLOSED = {"open": False, "because": "revert-no-good", "detail": "nothing is good", "until": None}
OPEN = {"open": True, "because": None, "detail": "blue 2.4.0, 3/3", "until": None}


def served(*nodes: str, ledger: Ledger = GOOD, **told: Any) -> App:
    """These nodes serve green, and blue is known good."""
    members = (member(node, "green", **told) for node in nodes or ("lb-1", "lb-2", "lb-3"))
    return app(*members, live=WISH, ledger=ledger)


def refusal(stands: App) -> str | None:
    ended = going_back.obstacle(stands)
    return ended.because if ended else None


def test_a_known_good_colour_may_be_gone_back_to():
    """Nothing speaks against a colour that runs what was confirmed on it, and is healthy."""
    assert going_back.obstacle(served()) is None


def test_only_what_is_known_good_may_be_gone_back_to():
    """Never confirmed, rejected since, or running something else: refused with 4, its reason and a cure."""
    rejected = Ledger(good=GOOD.good, rejected=frozenset({"2.4.0"}))

    assert refusal(served(ledger=Ledger())) == Because.REVERT_NO_GOOD
    assert refusal(served(ledger=rejected)) == Because.REVERT_NO_GOOD
    assert refusal(served(blue_release="2.4.1")) == Because.REVERT_RELEASE_CHANGED
    assert refusal(served(blue_release=None)) == Because.REVERT_RELEASE_CHANGED
    ended = going_back.obstacle(served(ledger=Ledger()))
    assert ended is not None
    assert ended.exit == Exit.REFUSED
    assert "--force" in ended.cure


def test_only_a_colour_that_lives_may_be_gone_back_to():
    """A colour without a healthy backend is refused, while one blind node of three vetoes nothing."""
    blind = member("lb-3", "green", blue_healthy=0)

    assert refusal(served(blue_healthy=0)) == Because.REVERT_TARGET_DOWN
    assert refusal(app(*served("lb-1", "lb-2").members, blind, live=WISH, ledger=GOOD)) is None


def test_somebody_must_live_and_something_be_wished():
    """Without a living node nobody knows what is there; without a wish there is nothing to leave."""
    assert refusal(served("lb-1", alive=False)) == Because.NODE_SILENT
    assert refusal(app(member("lb-1"), live=KeyGone(7), ledger=GOOD)) == Because.NO_LIVE_KEY


def test_the_release_left_is_rejected():
    """The revert names where it goes and what it rejects, and is not forced where it need not be."""
    action = going_back.revert(served(), WISH, reason="carts", force=True)

    assert (action.colour, action.release, action.rejected) == (BLUE, "2.4.0", ("2.5.0",))
    assert (action.because, action.force) == ("carts", False)


def test_of_a_mixed_colour_what_was_good_is_not_rejected():
    """Where nodes see several releases, all of them are rejected but the good one."""
    ledger = Ledger(good={BLUE: Good("2.4.0", 5), GREEN: Good("2.5.0", 7)})
    mixed = (member("lb-1", "green", release="2.5.0"), member("lb-2", "green", release="2.5.1"))

    action = going_back.revert(app(*mixed, live=WISH, ledger=ledger), WISH, reason="", force=False)

    assert action.rejected == ("2.5.1",)


def test_what_is_gone_is_rejected_by_its_order():
    """Where nobody sees the failed release any more, the order's is rejected."""
    assert going_back.revert(served(release=""), WISH, reason="", force=False).rejected == ("2.5.0",)


def test_what_never_served_is_not_rejected():
    """A wish that no member has taken is only written back."""
    waits = app(member("lb-1", generation=9), live=WISH, ledger=GOOD)

    assert going_back.revert(waits, WISH, reason="", force=False).rejected == ()


def test_what_it_goes_back_to_is_never_rejected():
    """Both colours running one release, nothing is rejected."""
    assert going_back.revert(served(release="2.4.0"), WISH, reason="", force=False).rejected == ()


def test_force_stands_in_the_order_where_it_is_needed():
    """To a colour that is not known good only a forced order leads."""
    action = going_back.revert(served(ledger=Ledger()), WISH, reason="", force=True)

    assert action.force


def test_the_way_back_is_the_worst_of_the_living():
    """It is open only while it is open for every living member that says anything."""
    late = CLOSED | {"until": "2026-01-31T12:05:00Z"}
    ways = [member("a", way_back=OPEN), member("b", way_back=late), member("c", way_back=CLOSED, alive=False)]

    assert going_back.way_back(app(ways[0], ways[2])) == OPEN
    assert going_back.way_back(app(*ways)) == late
    assert going_back.way_back(app(*ways, member("d", way_back=CLOSED))) == CLOSED
    assert going_back.way_back(app(member("e"))) is None


def test_the_way_back_in_one_line():
    """Open it names colour, release and health; closed since when not any more, and why."""
    assert going_back.line(served(way_back=OPEN)) == "blue 2.4.0, 3/3 healthy"
    assert going_back.line(served(way_back=CLOSED)) == "none: nothing is good"
    paused = CLOSED | {"because": "paused", "detail": "freeze"}
    assert going_back.line(served(way_back=paused)) == "none: paused: freeze"
    until = going_back.line(served(way_back=CLOSED | {"until": "2026-01-31T12:05:00Z"}))
    assert until.startswith("none until 2026-01-31 ")
    assert until.endswith(": nothing is good")
    assert going_back.line(served()) == ""


def test_what_is_noted_beside_a_verdict():
    """Confirmed, on probation, last known good, rejected, in fallback."""
    both = Ledger(good={**GOOD.good, GREEN: Good("2.5.0", 7, "2026-01-31T11:00:00Z")})
    fallen = app(member("lb-1", "blue", fallback=True), live=WISH, ledger=GOOD)
    proving = served(because="probation", until="2026-01-31T12:05:00Z")

    assert going_back.note(served(ledger=both), GREEN).startswith("confirmed ")
    assert going_back.note(served(ledger=both), BLUE) == "last known good"
    assert going_back.note(proving, GREEN).startswith("on probation until ")
    assert going_back.note(served(ledger=Ledger(rejected=frozenset({"2.4.0"}))), BLUE) == "rejected"
    assert going_back.note(fallen, BLUE) == "in fallback on lb-1, last known good"
