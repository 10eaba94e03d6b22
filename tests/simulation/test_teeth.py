"""Bugs planted one by one, one per rule of the table and more: the storms find each.

A rule that can be taken out without a storm noticing is either not tested here or not needed.
"""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from bgd.core import clocks, decide, fleet, health, keeping, learn, permission, waiting, way_back
from bgd.core.actions import FallBack, Flip
from bgd.core.knowledge import Link
from bgd.core.model import Desired, KeyBad, Verdict
from bgd.core.snapshot import Snapshot
from bgd.store import acts
from bgd.store.ops import Cas, CheckMissing, Delete, Set
from tests.simulation.storm import Storm, broken, storm

Plant = Callable[[pytest.MonkeyPatch], None]
MOST_STORMS = 400
RARE = {
    "2: what is known is trusted for ever": 50,
    "3: any key that is read is believed": 85,
    "7: no backoff": 59,
    "8: a node that was away does not read the catalog": 100,
    "8: a node that was away does not read the members": 273,
    "10: an order's release is not asked": 102,
    "12: rescues for ever": 59,
    "22: a revert follows a revert": 152,
    "26: members that the store lost are forgotten": 850,
    "26: votes never grow old, nor silent": 798,
    "27: a pause that came between is not seen": 108,
    "27: nothing is checked in the transaction": 83,
    "declined though a silent member serves": 941,
}
"""What few storms meet: the seeds from which on they are looked through."""


def without(rows: str, *names: str) -> Plant:
    """A table without some of its rows."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        left = tuple(row for row in getattr(decide, rows) if row.__name__ not in names)
        assert len(left) + len(names) == len(getattr(decide, rows)), names
        patch.setattr(decide, rows, left)

    return plant


def instead(place: Any, name: str, answer: Any) -> Plant:
    """One rule answers something else."""
    return lambda patch: patch.setattr(place, name, answer)


def row(rows: str, name: str, answer: Callable[[Snapshot], Any]) -> Plant:
    """One row answers something else."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        told = tuple(answer if each.__name__ == name else each for each in getattr(decide, rows))
        assert told != getattr(decide, rows), name
        patch.setattr(decide, rows, told)

    return plant


def view(**judged: Any) -> Plant:
    """Colours are judged wrongly: each of `judged` is asked about the view, and changes it."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        right = health.view

        def wrong(*args: Any, **more: Any) -> health.ColourView:
            seen = right(*args, **more)
            return replace(seen, **{name: change(seen) for name, change in judged.items()})

        patch.setattr(health, "view", wrong)

    return plant


def without_op(
    kinds: type | tuple[type, ...], instead_of: Callable[[Any], Any] | None = None, *, place: Any = acts
) -> Plant:
    """Transactions without a kind of operation, or with another in its place."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        right = place.certainly

        def wrong(client: Any, ops: Any, *more: Any) -> Any:
            told = [(instead_of(op) if instead_of else None) if isinstance(op, kinds) else op for op in ops]
            return right(client, [op for op in told if op is not None], *more)

        patch.setattr(place, "certainly", wrong)

    return plant


def all_of(*plants: Plant) -> Plant:
    """Rules that hold each other's back are taken out together."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        for each in plants:
            each(patch)

    return plant


def old_votes(s: Snapshot) -> frozenset[str]:
    generation = s.wish.generation if s.wish else 0
    return frozenset({member.node for member in s.members if member.vote == generation} | {s.node})


def forbids_by_pause_alone(s: Snapshot) -> Any:
    return RIGHT_FORBIDDEN(s) if s.ledger and s.ledger.pause is not None else None


def follows_without_looking(s: Snapshot) -> Any:
    proved = s.wish is not None and fleet.someone_proved(s.members, s.wish)
    same = s.serving is not None and s.wish is not None and s.serving.colour is s.wish.colour
    return Flip(s.wish) if proved and s.wish and not same else None


def rescues_for_ever(s: Snapshot) -> Any:
    answer = waiting.row_12_at_once(s)
    dead = s.serving is not None and s.colours[s.serving.colour].dead
    return answer or (Flip(s.wish) if dead and s.wish and s.target.alive else None)


def writes_while_lost(s: Snapshot) -> Any:
    if s.link is Link.LOST and s.served and s.target.down and s.idle.release:
        return keeping.row_27_revert(s)
    return decide._row_2_store_silent(s)


def takes_a_bad_key_for_the_other_colour(s: Snapshot) -> Any:
    if isinstance(s.live, KeyBad) and s.serving is not None:
        return Flip(Desired(s.serving.colour.other, s.live.generation))
    return None


def returns_at_once(s: Snapshot) -> Any:
    return Flip(s.wish) if s.in_fallback and s.wish and s.target.alive else None


def confirms_alone(right: Any) -> Any:
    return lambda s, nodes: bool(set(nodes)) if s.steady_over else right(s, nodes)


def reverts_what_never_served(s: Snapshot) -> Any:
    return (
        keeping.row_27_revert(replace(s, write_trouble=None)) if s.idle.alive and not s.target.alive else None
    )


def falls_back_while_live_is_weak(s: Snapshot) -> Any:
    if s.target.verdict is Verdict.WEAK and not s.in_fallback and s.wish and s.idle.release:
        shut = way_back.forbidden(s) or way_back.not_good(s) or way_back.not_alive(s)
        return None if shut else FallBack(s.wish, s.wish.colour.other, s.idle.release)
    return keeping.row_20_live_serves(s)


def forgets_lost_members(right: Any) -> Any:
    return lambda k, event, now_s: replace(right(k, event, now_s), members=event.members)


def none(*_: Any, **__: Any) -> None:
    return None


def permits(**asked: Any) -> Plant:
    """What permits a proxy to act by itself asks something else than the daemon does."""
    names = ("forbidden", "not_good", "not_alive")
    return instead(
        permission,
        "way_back",
        SimpleNamespace(**{**{name: getattr(way_back, name) for name in names}, **asked}),
    )


BUGS: dict[str, Plant] = {
    "1: a proxy that is astray is flipped again and again": row(
        "WAITING", "row_11_take", lambda s: Flip(s.wish) if waiting.row_11_take(s) and s.wish else None
    ),
    "2: what is known is trusted for ever": instead(keeping, "KNOWN_S", 1e9),
    "2: a lost Consul is no reason to write nothing": row("FIRST", "_row_2_store_silent", writes_while_lost),
    "3: any key that is read is believed": instead(learn, "accepts", lambda *_: True),
    "4: a bad value means the other colour": row(
        "FIRST", "_row_4_key_unusable", takes_a_bad_key_for_the_other_colour
    ),
    "5: unknown is down": view(
        dead=lambda seen: not seen.healthy,
        verdict=lambda seen: seen.verdict if seen.healthy else Verdict.DOWN,
    ),
    "7: no backoff": instead(waiting, "waits", lambda *_: False),
    "8: a node that was away does not read the members": without("WAITING", "before_row_8_read_members"),
    "8: a node that was away does not read the catalog": without("WAITING", "after_row_8_read_catalog"),
    "8: nobody is followed": without("WAITING", "row_8_follow"),
    "8: follows without looking": row("WAITING", "row_8_follow", follows_without_looking),
    "9: rejected releases are taken": without("WAITING", "row_9_rejected"),
    "10: an order's release is not asked": without("WAITING", "row_10_release_gone"),
    "11: what is served is flipped to": without("WAITING", "row_11_take"),
    "12: rescues for ever": row("WAITING", "row_12_at_once", rescues_for_ever),
    "13: wishes never expire": without("WAITING", "row_13_expired"),
    "14, 15: no gates": without("WAITING", "rows_14_15_gates"),
    "18: nobody returns": row("KEEPING", "row_18_return", none),
    "18: no hold-down": row("KEEPING", "row_18_return", returns_at_once),
    "19: one steady node is enough": lambda patch: patch.setattr(
        fleet, "is_majority", confirms_alone(fleet.is_majority)
    ),
    "19: another release goes on with the clock": lambda patch: patch.setattr(
        clocks,
        "_keep_steady",
        lambda k, now_s: (
            replace(k, steady=replace(k.steady, release=k.backends[k.steady.colour][0].release))
            if k.steady and k.backends[k.steady.colour]
            else RIGHT_KEEP_STEADY(k, now_s)
        ),
    ),
    "20: weak is down": row("KEEPING", "row_20_live_serves", falls_back_while_live_is_weak),
    "21: a pause stops nothing": instead(way_back, "forbidden", none),
    "22: a revert follows a revert": all_of(
        lambda patch: patch.setattr(way_back, "forbidden", forbids_by_pause_alone),
        instead(keeping, "_failed_releases", lambda _: ()),
        without_op(Delete),
    ),
    "23: any release is good": instead(way_back, "not_good", none),
    "24: a dead colour is a way back": instead(way_back, "not_alive", none),
    "26: no majority": without("KEEPING", "row_26_no_majority"),
    "26: majority of whoever is there": instead(
        fleet, "size", lambda s: len({m.node for m in s.members if m.alive} | {s.node})
    ),
    "26: votes never grow old, nor silent": instead(fleet, "voters", old_votes),
    "26: members that the store lost are forgotten": lambda patch: patch.setattr(
        learn, "_members", forgets_lost_members(learn._members)
    ),
    "27: reverts what never served": row("WAITING", "row_7_backoff", reverts_what_never_served),
    "27: nothing is checked in the transaction": without_op(Cas, lambda op: Set(op.key, op.value, op.flags)),
    "27: a pause that came between is not seen": without_op(CheckMissing),
    "26: majority of members that are not read": instead(fleet, "heard", lambda *_: True),
    "permitted for ever": instead(permission, "KNOWN_S", 1e9),
    "permitted while paused": permits(forbidden=none),
    "permitted whatever idle runs": permits(not_good=none),
    "permitted to a dead colour": permits(not_alive=none),
    "declined though a silent member serves": instead(fleet, "nobody_proved", lambda *_: True),
}
RIGHT_FORBIDDEN, RIGHT_KEEP_STEADY = way_back.forbidden, clocks._keep_steady


def found(drawn: Callable[[int], Storm], first: int = 0) -> str:
    """What breaks first in storms drawn from these seeds on; empty when nothing does."""
    storms = map(drawn, range(first, first + MOST_STORMS))
    return next((what for what in map(broken, storms) if what), "")


@pytest.mark.parametrize("bug", BUGS)
def test_storms_find(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bug is planted; some storm breaks an invariant."""
    BUGS[bug](monkeypatch)

    assert found(storm, RARE.get(bug, 0)), f"{MOST_STORMS} storms, and nobody noticed"
