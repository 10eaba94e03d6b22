"""What members answer to a preparation, as it is judged."""

from typing import Any

import pytest

from bgctl.ending import Ended, Exit
from bgctl.prepared import Round, check_names
from bgctl.progress import preparing
from bgd.core.model import Colour, Preparation
from bgd.core.reasons import Because
from tests.unit.bgctl.fleet import app, member

ASKED = Preparation(id="7", colour=Colour.GREEN, release="2.5.0")
YES = {"id": "7", "ok": True, "gates": [{"gate": "config", "ok": True, "detail": "flips by map"}]}
NO = {
    "id": "7",
    "ok": False,
    "gates": [
        {"gate": "release", "ok": True, "detail": "2.5.0"},
        {"gate": "config", "ok": False, "because": "check-failed", "detail": "line 7: no such server"},
    ],
}


def test_all_say_yes():
    """Nobody is waited for when everybody has said yes."""
    seen, asked = app(member("a", prepared=YES), member("b", prepared=YES)), Round(ASKED)

    assert asked.refused(seen) is None
    assert not asked.waiting(seen)
    assert [each.node for each in asked.acknowledged(seen)] == ["a", "b"]


@pytest.mark.parametrize(
    "told", [None, YES | {"id": "6"}, "yes", {"ok": True}, {"id": 7, "ok": True}], ids=str
)
def test_what_is_no_answer(told: Any):
    """The answer to another preparation, or one that is not understood, is none."""
    seen = app(member("a", prepared=YES), member("b", prepared=told))

    assert [each.node for each in Round(ASKED).waiting(seen)] == ["b"]


def test_a_silent_member_has_not_answered():
    """What stands in a silent member's report is no answer any more."""
    seen = app(member("a", prepared=YES), member("b", alive=False, prepared=YES))

    assert [each.node for each in Round(ASKED).waiting(seen)] == ["b"]
    assert [each.node for each in Round(ASKED).acknowledged(seen)] == ["a"]


def test_a_no_ends_it_with_its_gate():
    """One no is enough, whoever is still waited for; it is told with its gate, reason and evidence."""
    ended = Round(ASKED).refused(app(member("a"), member("b", prepared=NO)))

    assert ended is not None
    assert (ended.exit, ended.because) == (Exit.REFUSED, Because.CHECK_FAILED)
    assert "b (config): check-failed, line 7: no such server" in ended.detail


def test_a_no_without_a_reason_is_a_no():
    """An answer of which only the no is understood is a no."""
    ended = Round(ASKED).refused(app(member("a", prepared={"id": "7", "ok": "maybe", "gates": ["?"]})))

    assert ended is not None
    assert ended.exit == Exit.REFUSED


def test_who_serves_it_or_is_left_out_has_no_veto():
    """A no of who serves the colour already, or is left out, changes nothing; nor is either waited for."""
    seen = app(member("a", prepared=YES), member("b", "green", prepared=NO), member("c", prepared=NO))
    asked = Round(ASKED, {"c"})

    assert asked.refused(seen) is None
    assert not asked.waiting(seen)
    assert [each.node for each in asked.acknowledged(seen)] == ["a"]


def test_another_release_is_not_what_was_tried():
    """A member that shows another release than is asked for ends it, with what runs where."""
    ended = Round(ASKED).refused(app(member("a", prepared=YES), member("b", prepared=YES, release="2.6.0")))

    assert ended is not None
    assert (ended.exit, ended.because) == (Exit.REFUSED, Because.WISH_EXPIRED)
    assert "2.6.0 on b" in ended.detail


def test_too_late_names_who():
    """Not all in time: exit 3, with who was waited for and both ways on."""
    ended = Round(ASKED).too_late(app(member("a", prepared=YES), member("b")))

    assert (ended.exit, ended.because) == (Exit.LATE, Because.NODE_SILENT)
    assert "by b (" in ended.detail
    assert "--without b" in ended.cure
    assert "bgctl forget b --app shop" in ended.cure


@pytest.mark.parametrize(
    ("without", "said"),
    [({"lb-3"}, "did you mean lb-"), ({"lb-1", "lb-2"}, "every member")],
    ids=["unknown", "all"],
)
def test_whom_to_leave_out(without: set[str], said: str):
    """Only members can be left out, and not all of them."""
    with pytest.raises(Ended, match=said) as ended:
        check_names(app(member("lb-1"), member("lb-2")), without)

    assert ended.value.exit == Exit.USAGE
    check_names(app(member("lb-1"), member("lb-2")), {"lb-1"})


def test_where_everybody_is():
    """Each member's row says what it answered: yes, no, nothing yet, left out, or that it is silent."""
    seen = app(
        member("a", prepared=YES),
        member("b", prepared=NO),
        member("c"),
        member("d"),
        member("e", alive=False),
    )

    rows = preparing(seen, Round(ASKED, {"d"}))

    assert [(row.phase, row.done) for row in rows] == [
        ("prepared for green", True),
        ("refuses green", False),
        ("preparing green", None),
        ("left out", None),
        ("silent", False),
    ]
