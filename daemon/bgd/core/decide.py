"""The one decision: what this node does about one app now, and why.

The rows are the rules, in order of authority: the first that answers, decides. A row that answers nothing
leaves the word to those below it. Nothing else in this program decides about colours. The first five rows
stand here; those below them are in two halves: `waiting` (the wish is not served here) and `keeping` (it
is, or this node is in fallback from it). Row 6 is in `preparing`: it goes on beside all others.
"""

from collections.abc import Callable, Iterable

from bgd.core import keeping, waiting
from bgd.core.actions import Action, Hold, Repair
from bgd.core.knowledge import Link, Trouble
from bgd.core.model import KeyBad
from bgd.core.reasons import CALM, Because
from bgd.core.snapshot import Snapshot

Row = Callable[[Snapshot], Action | None]


def decide(s: Snapshot) -> Action:
    """The answer of the first row that has one."""
    action = _first(FIRST, s) or _first(KEEPING if s.served or s.in_fallback else WAITING, s)
    assert action is not None, "the last row always answers"
    return _saying_what_hurts(action, s)


def _row_1_proxy_astray(s: Snapshot) -> Action | None:
    """The proxy does not decide what the disk says → repair it, with backoff."""
    if s.astray and not waiting.waits(s.repair_trouble, s):
        assert s.serving is not None, "astray from nothing"
        return Repair(s.serving)
    return None


def _row_2_store_silent(s: Snapshot) -> Action | None:
    """Consul is silent or empties its answers → what is known must do; nothing is written."""
    if s.link is Link.DENIED:
        return _alone(s) or Hold(Because.STORE_DENIED, s.link_detail + keeping.suffering(s))
    if s.link is Link.LOST:
        return _alone(s) or Hold(Because.STORE_LOST, s.link_detail + keeping.suffering(s))
    if s.link is Link.UNSEEN:
        return Hold(Because.STARTING, "Consul has not answered yet")
    return None


def _row_3_store_rewound(s: Snapshot) -> Action | None:
    """Consul's answer is older than the wish (a restore, lost data) → keep what is served."""
    if not s.rewound:
        return None
    assert s.wish is not None, "rewound from nothing"
    detail = f"Consul's answer is older than generation {s.wish.generation}, which named {s.wish.colour}"
    return _alone(s) or Hold(Because.STORE_REWOUND, detail + keeping.suffering(s))


def _row_4_key_unusable(s: Snapshot) -> Action | None:
    """The key is gone or bad → no instruction; follow what the living have proved, and write nothing."""
    if not s.key_unusable:
        return None
    if s.served or s.in_fallback:
        action = _alone(s)
    else:
        action = None if waiting.waits(s.flip_trouble, s) else waiting.row_8_follow(s)
    if action is not None and not isinstance(action, Hold):
        return action
    hurts = keeping.suffering(s)
    if isinstance(s.live, KeyBad):
        return Hold(Because.BAD_LIVE_VALUE, f"the key holds {s.live.text}: write blue or green{hurts}")
    return Hold(Because.NO_LIVE_KEY, f"the key does not exist: bgctl init, or bgctl set-live{hurts}")


def _row_5_starting(s: Snapshot) -> Action | None:
    """No verdict has been formed since the start → wait for the first probes."""
    return None if s.formed else Hold(Because.STARTING, "waiting for the first probes")


FIRST: tuple[Row, ...] = (
    _row_1_proxy_astray,
    _row_2_store_silent,
    _row_3_store_rewound,
    _row_4_key_unusable,
    _row_5_starting,
)

WAITING: tuple[Row, ...] = (
    waiting.row_7_backoff,
    waiting.before_row_8_read_members,
    waiting.row_8_follow,
    waiting.after_row_8_read_catalog,
    waiting.row_9_rejected,
    waiting.row_10_release_gone,
    waiting.row_11_take,
    waiting.row_12_at_once,
    waiting.row_13_expired,
    waiting.rows_14_15_gates,
    waiting.row_16_old_workers,
    waiting.row_17_flip,
)

KEEPING: tuple[Row, ...] = (
    keeping.row_18_return,
    keeping.row_19_confirm,
    keeping.row_20_live_serves,
    keeping.rows_21_22_forbidden,
    keeping.row_23_not_good,
    keeping.row_24_not_alive,
    keeping.row_25_fall_back,
    keeping.row_26_no_majority,
    keeping.row_27_revert,
)

DOWN_ALONE: tuple[Row, ...] = (
    keeping.rows_21_22_forbidden,
    keeping.row_23_not_good,
    keeping.row_24_not_alive,
    keeping.row_25_fall_back,
)
"""What a node may still do about a live colour that is down, when nobody can be asked."""


def _first(rows: Iterable[Row], s: Snapshot) -> Action | None:
    for row in rows:
        action = row(s)
        if action is not None:
            return action
    return None


def _alone(s: Snapshot) -> Action | None:
    """Rows 18 and 21 to 25, on what is known."""
    if not (s.served or s.in_fallback):
        return None
    back = keeping.row_18_return(s)
    if back is not None or not s.target.down:
        return back
    return _first(DOWN_ALONE, s)


def _saying_what_hurts(action: Action, s: Snapshot) -> Action:
    """While a repair waits out its backoff, every hold says so; a calm one says a failed write or sync."""
    if not isinstance(action, Hold):
        return action
    if s.astray and s.repair_trouble is not None:
        return _told(s.repair_trouble)
    if action.because not in CALM:
        return action
    if s.write_trouble is not None and waiting.waits(s.write_trouble, s):
        return _told(s.write_trouble)
    return _told(s.sync_trouble) if s.sync_trouble is not None else action


def _told(trouble: Trouble) -> Hold:
    return Hold(trouble.because, trouble.detail)
