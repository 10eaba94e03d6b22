"""What a daemon writes for the whole fleet, each in one transaction: revert, decline, confirm.

Rules that live here: each is written over exactly the wish that was decided on, so only one node wins; a
pause that was set meanwhile stops what is automatic; the newest rejections are kept. A write of unknown
outcome is decided by reading; one that was overtaken brings back what stands there now.
"""

import contextlib
from collections.abc import Sequence
from typing import Any

from bgd.core.actions import Confirm, Decline, Revert, Write
from bgd.core.advance import Failed, Overtaken, Written, order_of
from bgd.core.model import Good, OrderKind
from bgd.core.reasons import Because
from bgd.store import ledgers, records
from bgd.store.client import Client, Fault, StoreFault
from bgd.store.ops import Cas, CheckIndex, CheckMissing, Delete, Op, Set
from bgd.store.writes import LARGEST_TRANSACTION, Done, certainly, own_flags

KEPT_REJECTIONS = 20


def write(
    client: Client, app: str, action: Write, *, by: str, over_pause: bool = False
) -> Written | Overtaken | Failed:
    """Carry a write out. `over_pause`: a person orders it, so nobody asks for the pause."""
    try:
        flags, at = own_flags(), records.now_at()
        known_by, ops = _ops(client, app, action, by=by, at=at, flags=flags)
        if isinstance(action, Revert | Decline) and not over_pause:
            ops.append(CheckMissing(client.keys.pause(app)))
        done = _done(client, ops, known_by, flags) if ops else None
        if done is None:
            return Overtaken(ledgers.read(client, app, consistent=True))
    except StoreFault as fault:
        because = Because.STORE_DENIED if fault.kind is Fault.DENIED else Because.STORE_LOST
        return Failed(because, fault.detail)
    if isinstance(action, Revert):
        _tidy(client, app)
    return Written(done.generation, by, at)


def declined(action: Decline, written: Written) -> dict[str, Any]:
    """The event of a wish that no node has proved, for its history."""
    order = action.desired.order
    return {
        "what": order.kind if order else OrderKind.FLIP,
        "from": action.colour,
        "to": action.desired.colour,
        "release": order.release if order else None,
        "by": order.by if order else "consul",
        "reason": order.reason if order else "",
        "at": written.at,
        "took_ms": None,
        "outcome": "declined",
        "because": action.because,
        "detail": action.detail,
    }


def _done(client: Client, ops: Sequence[Op], known_by: str, flags: int) -> Done | None:
    try:
        return certainly(client, ops, known_by, flags)
    except StoreFault as fault:
        if fault.kind is not Fault.CONFLICT:
            raise
    return None


def _ops(client: Client, app: str, action: Write, *, by: str, at: str, flags: int) -> tuple[str, list[Op]]:
    """What is written, and the key whose flags tell that it was; nothing when it stands there already."""
    live = client.keys.live(app)
    match action:
        case Confirm():
            return client.keys.good(app, action.desired.colour), _confirm(client, app, action, at, flags)
        case Decline():
            return live, _wish(client, app, action, by, at, flags)
        case Revert():
            wish = _wish(client, app, action, by, at, flags)
            return live, [*wish, *_failure(client, app, action, at)]


def _wish(client: Client, app: str, action: Revert | Decline, by: str, at: str, flags: int) -> list[Op]:
    order = order_of(action, by=by, at=at)
    return [
        Cas(client.keys.live(app), action.colour.encode(), action.desired.generation, flags),
        Set(client.keys.order(app), records.order_out(order)),
    ]


def _failure(client: Client, app: str, action: Revert, at: str) -> list[Op]:
    """What the failed colour was good for is forgotten, and its release rejected."""
    failed, keys = action.desired, client.keys
    record = {
        "colour": failed.colour,
        "generation": failed.generation,
        "because": Because.REVERTING,
        "detail": action.because,
        "at": at,
    }
    rejections: list[Op] = [
        Set(keys.rejected(app, release), records.encode({**record, "release": release}))
        for release in action.rejected
    ]
    return [*rejections, Delete(keys.good(app, failed.colour)), Delete(keys.canary(app))]


def _confirm(client: Client, app: str, action: Confirm, at: str, flags: int) -> list[Op]:
    key = client.keys.good(app, action.desired.colour)
    there = client.read(key, consistent=True)
    known = records.good_in(there.value) if there else None
    if known is not None and known.release == action.release:
        return []
    good = Good(action.release, action.desired.generation, at)
    return [
        CheckIndex(client.keys.live(app), action.desired.generation),
        Cas(key, records.good_out(good), there.modify_index if there else 0, flags),
    ]


def _tidy(client: Client, app: str) -> None:
    """Keep the newest rejections. What cannot be cleared away now is so with the next one."""
    with contextlib.suppress(StoreFault):
        entries = client.read_tree(client.keys.rejections(app))[1]
        oldest = sorted(entries, key=lambda entry: entry.modify_index)[:-KEPT_REJECTIONS]
        if oldest:
            client.transact([Delete(entry.key) for entry in oldest[:LARGEST_TRANSACTION]])
