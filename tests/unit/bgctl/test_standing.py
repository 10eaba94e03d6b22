"""How an app stands: readiness, convergence, and what an operator is told first."""

from bgctl import standing
from bgctl.ending import Exit
from bgctl.told import Member
from bgd.core.model import Colour, Desired, KeyBad, KeyGone, Ledger
from bgd.core.reasons import Because
from tests.unit.bgctl.fleet import app, member

GREEN = Colour.GREEN
DOWN = ("down", "target-not-ready: 0/3 ready, 3 needed")


def test_every_member_must_have_proved():
    """An app is converged when every member has proved the very generation of the key."""
    assert app(member("a"), member("b")).converged
    assert not app(member("a"), member("b", generation=9)).converged
    assert not app(member("a"), member("b", proved=False)).converged
    assert not app(member("a"), member("b", "green")).converged


def test_silence_is_not_convergence():
    """A silent member counts, whatever it said last."""
    assert not app(member("a"), member("b", alive=False)).converged


def test_nobody_is_not_convergence():
    """An app without a member has not converged."""
    assert not app().converged


def test_a_ready_colour_has_no_obstacle():
    """A colour that every member sees up may be flipped to."""
    assert standing.obstacle(app(member("a"), member("b")), GREEN) is None
    assert standing.ready(app(member("a"), member("b")), GREEN)


def test_one_refusal_is_enough():
    """A colour that is not ready on one member is refused, with that member's code and name."""
    ended = standing.obstacle(app(member("a"), member("lb-2", green=DOWN)), GREEN)

    assert ended is not None
    assert (ended.exit, ended.because) == (Exit.REFUSED, Because.TARGET_NOT_READY)
    assert "lb-2" in ended.detail
    assert "0/3 ready" in ended.detail


def test_an_order_names_one_release():
    """Nobody is moved to a colour whose release nobody knows, or that members see differently."""
    assert standing.orderable(app(member("a"), member("b")), GREEN)
    assert standing.orderable(app(member("a"), member("b", release="")), GREEN)
    assert not standing.orderable(app(member("a", release=""), member("b", release="")), GREEN)
    assert not standing.orderable(app(member("a"), member("b", release="2.6.0")), GREEN)


def test_who_serves_it_already_is_asked_for_no_release():
    """A wish repeated moves no request: it may name no release where the colour is mixed."""
    served = app(member("a", "green", release=""), member("b", "green", release=""))

    assert standing.orderable(served, GREEN)
    assert not standing.orderable(app(member("a", "green", release=""), member("b", release="")), GREEN)


def test_a_silent_member_is_an_obstacle():
    """A silent member means exit 3, and the cures are to leave it out, and to forget it."""
    ended = standing.obstacle(app(member("a"), member("lb-2", alive=False)), GREEN)

    assert ended is not None
    assert (ended.exit, ended.because) == (Exit.LATE, Because.NODE_SILENT)
    assert "--without lb-2" in ended.cure
    assert "bgctl forget lb-2" in ended.cure


def test_no_member_is_an_obstacle():
    """Where no node has ever reported, nobody would carry a flip out."""
    ended = standing.obstacle(app(), GREEN)

    assert ended is not None
    assert ended.exit == Exit.LATE
    assert "bgd" in ended.cure


def test_unknown_is_waited_for():
    """An unknown verdict is neither a yes nor a no."""
    undecided = app(member("a"), member("b", green=("unknown", None)))

    assert standing.obstacle(undecided, GREEN) is None
    assert [one.node for one in standing.undecided(undecided, GREEN)] == ["b"]
    assert not standing.ready(undecided, GREEN)


def test_words_from_the_future_are_unknown():
    """A verdict that is not known is unknown, and so is a report that says nothing."""
    odd = app(member("a", green=("splendid", None)), Member("b", True, {}))

    assert [one.node for one in standing.undecided(odd, GREEN)] == ["a", "b"]


def test_weak_without_a_word_is_not_ready():
    """A colour that is weak or down is refused even where the report forgot to say why."""
    assert standing.obstacle(app(member("a", green=("weak", None))), GREEN) is not None


def test_who_serves_it_already_is_not_asked():
    """Naming anew what a member serves moves no request, so its gate is not asked."""
    assert standing.ready(app(member("a", "green", green=("weak", "target-not-ready: 2/3"))), GREEN)


def test_the_release_is_known_when_all_agree():
    """A colour's release is what all living members say; when they differ nobody knows."""
    assert app(member("a"), member("b")).release(GREEN) == "2.5.0"
    assert app(member("a"), member("b", release="2.6.0")).release(GREEN) is None


def test_the_worst_is_said_first():
    """A broken key is worse than a silent node, that worse than a failing one, that than a flip."""
    calm = app(member("a"), name="calm")
    flips = app(member("a", because="flipping"), name="flips")
    fails = app(member("a", because="check-failed"), name="fails")
    silent = app(member("a", alive=False), name="silent")
    gone = app(member("a"), live=KeyGone(7), name="gone")

    ordered = sorted([calm, flips, fails, silent, gone], key=standing.rank)

    assert [one.name for one in ordered] == ["gone", "silent", "fails", "flips", "calm"]


def test_the_worst_member_speaks_for_the_app():
    """The reason shown for an app is its worst member's, with the node's name."""
    worst = standing.worst(app(member("a"), member("lb-2", because="reload-failed", detail="port taken")))

    assert worst == (Because.RELOAD_FAILED, "lb-2: port taken")


def test_a_bad_key_is_named():
    """A live key that names no colour is the first thing to hear."""
    assert standing.worst(app(member("a"), live=KeyBad("purple", 9)))[0] == Because.BAD_LIVE_VALUE


def test_highest_generation_counts_wishes_too():
    """An order follows on the highest generation that any member has served or heard of."""
    heard = Member("a", True, {"desired": {"colour": "green", "generation": 99}})

    assert app(heard, member("b", generation=12)).highest_generation == 99


def test_generations_differ_even_for_one_colour():
    """The same colour under another generation is another wish."""
    assert not app(member("a"), live=Desired(Colour.BLUE, 11)).converged


def test_probation_is_calm():
    """A release on probation is no trouble: nothing is worse than it, nothing is to be done."""
    proving = app(member("a"), member("b", because="probation", detail="release 2.5.0"))

    assert standing.worst(proving) == (Because.PROBATION, "")


def test_what_customers_feel_is_louder_than_silence():
    """A fallback, or live down without a way back, is said before a silent node and sorted before it."""
    silent = member("c", alive=False)
    fallen = app(member("a", because="fallback-serving"), silent, name="fallen")
    stuck = app(member("a", because="revert-no-good"), member("b", because="check-failed"), name="stuck")
    still = app(member("a"), silent, name="a-silent-one")

    assert standing.worst(fallen)[0] == Because.FALLBACK_SERVING
    assert standing.worst(stuck)[0] == Because.REVERT_NO_GOOD
    assert [one.name for one in sorted([still, stuck, fallen], key=standing.rank)] == [
        "fallen",
        "stuck",
        "a-silent-one",
    ]


def test_a_pause_is_seen():
    """A paused app that is well is calm, but says so, and comes before the others that are well."""
    freeze = Ledger(pause="freeze")
    paused, calm = app(member("a"), ledger=freeze, name="paused"), app(member("a"), name="calm")

    assert standing.worst(paused) == (Because.CONVERGED, "paused: freeze")
    assert standing.worst(app(member("a", because="check-failed"), ledger=freeze))[1] == "a · paused: freeze"
    assert sorted([calm, paused], key=standing.rank) == [paused, calm]


def test_a_pause_that_hurts_is_loud():
    """Live down while all that is automatic is paused is as loud as a fallback."""
    down = member("a", because="paused", detail="blue is down: 503 (freeze)")
    hurts = app(down, ledger=Ledger(pause="freeze"))

    assert standing.worst(hurts) == (Because.PAUSED, "a: blue is down: 503 (freeze)")
    assert standing.rank(hurts) < standing.rank(app(member("a", because="check-failed")))
