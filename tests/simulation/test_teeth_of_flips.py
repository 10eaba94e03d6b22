"""Bugs planted one by one in what two-phase flips and draining add: storms of flips find each."""

from dataclasses import replace
from typing import Any

import pytest

from bgctl import drained
from bgctl.prepared import Round
from bgctl.standing import App
from bgd.core import advance, decide, fleet, learn, preparing, report, waiting
from bgd.core.actions import Action, Flip, Hold
from bgd.core.knowledge import Sessions
from bgd.core.model import Colour, Desired
from bgd.core.reasons import Because
from bgd.core.snapshot import Snapshot
from bgd.store import prepares, writes
from bgd.store.ops import Cas, CheckSession, Set
from tests.simulation.flips import flips
from tests.simulation.test_teeth import MOST_STORMS, Plant, found, instead, row, without_op

RARE = {
    "9: a refusal counts whatever it was of": 254,
    "12: prepared is for ever": 370,
    "commits over what came between": 115,
    "the word of the silent counts": 620,
}
"""What few storms meet: the seeds from which on they are looked through."""
EMPTY = dict.fromkeys(Colour, 0)


def flips_when_asked(s: Snapshot) -> Action | None:
    asked = preparing.asked(s)
    if asked and s.wish and s.serving and asked.colour is not s.serving.colour:
        return Flip(Desired(asked.colour, s.wish.generation))
    return decide._row_5_starting(s)


def waits_when_asked(s: Snapshot) -> Action | None:
    return Hold(Because.PREPARING) if preparing.asked(s) else decide._row_5_starting(s)


def is_prepared(s: Snapshot) -> bool:
    return s.wish is not None and s.wish.order is not None and s.node in s.wish.order.prepared


def prepared_whatever_it_sees(s: Snapshot) -> Action | None:
    return Flip(s.wish) if s.wish and is_prepared(s) else waiting.row_12_at_once(s)


def prepared_for_ever(s: Snapshot) -> Action | None:
    return Flip(s.wish) if s.wish and waiting._prepared(s) and s.target.alive else waiting.row_12_at_once(s)


def answers_though_silent(self: Round, member: Any) -> Any:
    return RIGHT_ANSWER(self, replace(member, alive=True))


def refuses_by_number_alone(member: Any, wish: Any) -> bool:
    return RIGHT_REFUSES(member, replace(wish, order=None) if wish else None)


def left_though_silent(app: App, member: Any, colour: Colour) -> int | None:
    return RIGHT_LEFT(app, replace(member, alive=True), colour)


def unknown_is_none(app: App, member: Any, colour: Colour) -> int | None:
    wish = app.desired
    proved = wish is not None and member.proved(wish.colour, wish.generation)
    return member.colour(colour).sessions or 0 if proved and not member.vote else None


RIGHT_ANSWER, RIGHT_REFUSES, RIGHT_LEFT = Round.answer, fleet._refuses, drained._left

BUGS: dict[str, Plant] = {
    "6: a preparation is a wish": row("FIRST", "_row_5_starting", flips_when_asked),
    "6: a preparation holds up the rest": row("FIRST", "_row_5_starting", waits_when_asked),
    "6: no gates are asked": instead(preparing, "gates", lambda *_: ()),
    "6: a yes is never looked at anew": instead(report, "answer", lambda s: s.prepared),
    "6: an answer outlives its preparation": instead(learn, "_still_asked", lambda prepared, _: prepared),
    "9: a refusal counts whatever it was of": instead(fleet, "_refuses", refuses_by_number_alone),
    "10: an order's release is not asked": row("WAITING", "row_10_release_gone", lambda _: None),
    "12: a dead colour is prepared": row("WAITING", "row_12_at_once", prepared_whatever_it_sees),
    "12: a mixed colour is prepared": instead(waiting, "_prepared", is_prepared),
    "12: prepared is for ever": row("WAITING", "row_12_at_once", prepared_for_ever),
    "a preparation is held by nobody": instead(prepares, "Lock", lambda key, value, _: Set(key, value)),
    "no answer is a yes": instead(Round, "waiting", lambda *_: []),
    "a no is a yes": instead(Round, "refused", lambda *_: None),
    "the word of the silent counts": instead(Round, "answer", answers_though_silent),
    "commits what another one prepares": without_op(CheckSession, place=writes),
    "commits over what came between": without_op(
        Cas, lambda op: Set(op.key, op.value, op.flags), place=writes
    ),
    "drained: nobody is counted": instead(
        learn, "_sessions", lambda k, event, now_s: replace(k, sessions=Sessions(open=EMPTY))
    ),
    "drained: a flip leaves nobody": instead(advance, "NOT_COUNTED", Sessions(open=EMPTY)),
    "drained: the silent are not asked": instead(drained, "_left", left_though_silent),
    "drained: an unknown count is none": instead(drained, "_left", unknown_is_none),
    "drained: the proxy never goes over by itself": instead(learn, "_live_answers", lambda _: True),
    "drained: live need not be confirmed": instead(drained, "_confirmed", lambda *_: True),
}


@pytest.mark.parametrize("bug", BUGS)
def test_storms_find(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bug is planted; some storm of flips breaks an invariant."""
    BUGS[bug](monkeypatch)

    assert found(flips, RARE.get(bug, 0)), f"{MOST_STORMS} storms, and nobody noticed"
