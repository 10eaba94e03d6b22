"""What is written for an app, each in one transaction: a wish, an app's first keys, an event.

Rules that live here: a wish is written over exactly what was read, with flags of its own, so that
wishing the same again makes a new generation and a wish can be known again; a write of unknown outcome
is decided by reading, never by guessing; an event is made by whoever is first, who also closes the one
before it and clears away the oldest.
"""

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bgd.core.model import Colour, KeyGone, LiveKey, Order, OrderKind
from bgd.store import records
from bgd.store.client import Client, Entry, Fault, StoreFault
from bgd.store.ops import Cas, CheckSession, Delete, Op, Set
from bgd.store.wishes import read_live

KEPT_EVENTS = 200
TRIES = 3
PAUSE_S = 0.2
SETTLE_S = 15.0
"""How long a cluster without leader may take to answer what became of a write."""
LARGEST_TRANSACTION = 64
_LAST_WORDS = ("reverted", "declined")
"""Outcomes that no other replaces. What was confirmed may fail later; what failed does not come back."""


@dataclass(frozen=True, slots=True)
class Done:
    """It is written; the wish has this generation."""

    generation: int


@dataclass(frozen=True, slots=True)
class Conflict:
    """Somebody else wrote first; this is what the live key says now."""

    live: LiveKey


Outcome = Done | Conflict


def set_live(
    client: Client,
    app: str,
    colour: Colour,
    *,
    by: str,
    reason: str = "",
    force: bool = False,
    release: str | None = None,
    prepared: Sequence[str] = (),
    session: str = "",
    after: int = 0,
    seen: LiveKey,
    flags: int | None = None,
) -> Outcome:
    """Wish a colour, over what the live key was `seen` to say.

    With a `session` only while that holds the app's preparation, which the `prepared` nodes have
    acknowledged: it ends with this. `flags`, from `own_flags`, let a caller find the wish again.
    """
    order = Order(
        kind=OrderKind.FLIP,
        colour=colour,
        release=release,
        by=by,
        reason=reason,
        force=force,
        prepared=tuple(prepared),
        after=after,
        at=records.now_at(),
    )
    keys = client.keys
    more: list[Op] = [CheckSession(keys.prepare(app), session)] if session else []
    more.append(Delete(keys.prepare(app)))
    if force and release:
        more.append(Delete(keys.rejected(app, release)))
    return _wish(client, app, order, over=_index(seen), more=more, flags=flags)


def written(client: Client, app: str, flags: int) -> int | None:
    """The generation of a wish that was written with these flags, if it stands."""
    there = client.read(client.keys.live(app), consistent=True)
    return there.modify_index if there is not None and there.flags == flags else None


def init(client: Client, app: str, colour: Colour, *, by: str, reason: str = "") -> Outcome:
    """Write an app's first wish; a live key that exists is a conflict."""
    order = Order(kind=OrderKind.INIT, colour=colour, by=by, reason=reason, at=records.now_at())
    return _wish(client, app, order, over=0, more=())


def _index(seen: LiveKey) -> int:
    return 0 if isinstance(seen, KeyGone) else seen.generation


def _wish(
    client: Client, app: str, order: Order, *, over: int, more: Sequence[Op], flags: int | None = None
) -> Outcome:
    flags = flags or own_flags()
    live, keys = client.keys.live(app), client.keys
    ops = [
        Cas(live, order.colour.encode(), over, flags),
        Set(keys.order(app), records.order_out(order)),
        *more,
    ]
    try:
        return certainly(client, ops, live, flags)
    except StoreFault as fault:
        if fault.kind is not Fault.CONFLICT:
            raise
    return Conflict(read_live(client, app, consistent=True))


def own_flags() -> int:
    """Flags that nobody else writes, and that every reader of JSON can hold as a number."""
    return 1 + secrets.randbelow(2**53 - 1)


def certainly(client: Client, ops: Sequence[Op], key: str, flags: int) -> Done:
    """Carry out a transaction that can be known again by a key's flags, and find out whether it was.

    It may be tried again: if the first try was carried out after all, the next one is a conflict.
    """
    unsure = False
    for tries_left in reversed(range(TRIES)):
        try:
            return Done(client.transact(ops))
        except StoreFault as fault:
            unsure = unsure or fault.kind is Fault.UNKNOWN
            if not unsure:
                raise
            ours = _at_last(client, key, fault)
            if ours is not None and ours.flags == flags:
                return Done(ours.modify_index)
            if fault.kind is not Fault.UNKNOWN or not tries_left:
                raise
            time.sleep(PAUSE_S)
    raise AssertionError("the last try returns or raises")


def _at_last(client: Client, key: str, unknown: StoreFault) -> Entry | None:
    """Read a key as it surely is, over a change of leaders; else what was unknown stays so."""
    deadline_s = time.monotonic() + SETTLE_S
    while True:
        try:
            return client.read(key, consistent=True)
        except StoreFault as fault:
            if fault.kind is not Fault.LOST or time.monotonic() > deadline_s:
                raise unknown from fault
            time.sleep(PAUSE_S)


# -- history --------------------------------------------------------------------------------------


def create_event(client: Client, app: str, generation: int, event: Mapping[str, Any]) -> bool:
    """Write what happened, unless another node has; whether it is ours."""
    key, value = client.keys.event(app, generation), records.encode({"outcome": None, **event})
    try:
        client.transact([Cas(key, value, 0)])
    except StoreFault as fault:
        if fault.kind is not Fault.CONFLICT:
            raise
        there = client.read(key, consistent=True)
        if there is None or of_another_life(there, generation):
            client.transact([Cas(key, value, there.modify_index if there else 0)])
        elif there.value != value:  # else it is ours, from a try of unknown outcome
            return False
    _tidy(client, app, generation)
    return True


def set_outcome(client: Client, app: str, generation: int, outcome: str) -> dict[str, Any] | None:
    """Say how a generation ended; the event as it stands then, None when it has to be tried again.

    It has when nobody has told of the generation yet, and when somebody else wrote at the same time.
    """
    there = client.read(client.keys.event(app, generation), consistent=True)
    event = records.decode(there.value) if there else None
    if there is None or event is None or of_another_life(there, generation):
        return None
    if event.get("outcome") in _LAST_WORDS:
        return event
    event = {**event, "outcome": outcome}
    try:
        client.transact([Cas(there.key, records.encode(event), there.modify_index)])
    except StoreFault as fault:
        if fault.kind is not Fault.CONFLICT:
            raise
        return None
    return event


def of_another_life(event: Entry, generation: int) -> bool:
    """Whether an event is older than the wish it is named for: then the store was restored since."""
    return event.modify_index < generation


def in_order(client: Client, entries: Sequence[Entry]) -> list[tuple[int, Entry]]:
    """Events with their generations, oldest first; those of another life of the store before all."""
    known = [(client.keys.generation_of(entry.key), entry) for entry in entries]
    numbered = [(generation, entry) for generation, entry in known if generation is not None]
    return sorted(numbered, key=lambda pair: (not of_another_life(pair[1], pair[0]), pair[0]))


def _tidy(client: Client, app: str, generation: int) -> None:
    """Close the event before this one, which need not be the newest, and keep the newest."""
    events = in_order(client, client.read_tree(client.keys.history(app))[1])
    place = next((place for place, pair in enumerate(events) if pair[0] == generation), 0)
    ops: list[Op] = [Delete(entry.key) for _, entry in events[:-KEPT_EVENTS]]
    if place and (closed := _superseded(events[place - 1][1])):
        ops.append(closed)
    try:
        for start in range(0, len(ops), LARGEST_TRANSACTION):
            client.transact(ops[start : start + LARGEST_TRANSACTION])
    except StoreFault as fault:
        if fault.kind is not Fault.CONFLICT:  # its outcome was set meanwhile, which is all we want
            raise


def _superseded(entry: Entry) -> Cas | None:
    event = records.decode(entry.value)
    if event is None or event.get("outcome"):
        return None
    return Cas(entry.key, records.encode({**event, "outcome": "superseded"}), entry.modify_index)
