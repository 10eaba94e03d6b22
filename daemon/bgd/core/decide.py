"""The one decision: what this node does about one app now, and why.

The rows below are the rules, in order of authority: the first that answers, decides. A row that
answers nothing leaves the word to those below it. Nothing else in this program decides about colours.

Numbers that are missing here belong to rules for confirming, reverting, declining and preparing.
"""

from collections.abc import Callable

from bgd.core import fleet
from bgd.core.actions import Action, Flip, Hold, Repair, Take
from bgd.core.knowledge import Link, Sight, Snapshot, Trouble
from bgd.core.model import KeyBad, OrderKind, Verdict
from bgd.core.reasons import Because


def decide(s: Snapshot) -> Action:
    """The answer of the first row that has one."""
    for row in ROWS:
        action = row(s)
        if action is not None:
            return _saying_what_hurts(action, s)
    raise AssertionError("the last row always answers")


def _row_1_proxy_astray(s: Snapshot) -> Action | None:
    """The proxy does not decide what the disk says → repair it, with backoff."""
    if _astray(s) and not _waits(s.repair_trouble, s):
        assert s.serving is not None, "astray from nothing"
        return Repair(s.serving)
    return None


def _row_2_store_silent(s: Snapshot) -> Action | None:
    """Consul is silent or empties its answers → go on serving, write nothing."""
    if s.link is Link.DENIED:
        return _live_lost(s) or Hold(Because.STORE_DENIED, s.link_detail)
    if s.link is Link.LOST:
        return _live_lost(s) or Hold(Because.STORE_LOST, s.link_detail)
    if s.link is Link.UNSEEN:
        return Hold(Because.STARTING, "Consul has not answered yet")
    return None


def _row_3_store_rewound(s: Snapshot) -> Action | None:
    """Consul's answer is older than the wish (a restore, lost data) → keep what is served."""
    if not s.rewound:
        return None
    assert s.wish is not None, "rewound from nothing"
    detail = f"Consul's answer is older than generation {s.wish.generation}, which named {s.wish.colour}"
    return _live_lost(s) or Hold(Because.STORE_REWOUND, detail)


def _row_4_key_unusable(s: Snapshot) -> Action | None:
    """The key is gone or bad → no instruction; only follow what the living have proved."""
    if not s.key_unusable:
        return None
    if not s.served and not _waits(s.flip_trouble, s):
        follow = _row_8_follow(s)
        if follow is not None:
            return follow
    if isinstance(s.live, KeyBad):
        return Hold(Because.BAD_LIVE_VALUE, f"the key holds {s.live.text}: write blue or green")
    return Hold(Because.NO_LIVE_KEY, "the key does not exist: bgctl init, or bgctl set-live")


def _row_5_starting(s: Snapshot) -> Action | None:
    """No verdict has been formed since the start → wait for the first probes."""
    return None if s.formed else Hold(Because.STARTING, "waiting for the first probes")


def _row_7_backoff(s: Snapshot) -> Action | None:
    """The last try of this wish failed → wait out its backoff."""
    if s.served or s.flip_trouble is None or not _waits(s.flip_trouble, s):
        return None
    return Hold(s.flip_trouble.because, s.flip_trouble.detail)


def _row_8_follow(s: Snapshot) -> Action | None:
    """Another node has proved the wish, or it is a revert → follow; the gates were passed already."""
    if s.wish is None or s.served or _colour_served(s):
        return None
    backed = fleet.someone_proved(s.members, s.wish) or _kind(s) is OrderKind.REVERT
    both_down = all(view.verdict is Verdict.DOWN for view in s.colours.values())
    return Flip(s.wish) if backed and (s.target.alive or both_down) else None


def _row_10_take(s: Snapshot) -> Action | None:
    """The wish's colour is served already → take its generation, touch nothing."""
    return Take(s.wish) if s.wish is not None and not s.served and _colour_served(s) else None


def _row_11_release_gone(s: Snapshot) -> Action | None:
    """The order names a release that the catalog no longer shows → not the next one unattended."""
    order = s.wish.order if s.wish else None
    if s.served or order is None or order.release is None or order.force:
        return None
    if not s.target.registered or order.release in s.target.releases:
        return None
    runs = " and ".join(sorted(s.target.releases))
    return Hold(Because.WISH_EXPIRED, f"ordered was release {order.release}, {order.colour} runs {runs}")


def _row_12_at_once(s: Snapshot) -> Action | None:
    """A forced or prepared wish, or customers with nothing better → flip without the gates."""
    if s.served or s.wish is None:
        return None
    if s.wish.order is not None and s.wish.order.force:
        return Flip(s.wish)
    if not s.target.alive:
        return None
    prepared = s.wish.order is not None and s.node in s.wish.order.prepared
    rescue = s.serving is not None and _serves_nobody(s) and s.wish_age_s <= s.policy.patience_s
    return Flip(s.wish) if prepared or s.serving is None or rescue else None


def _rows_14_15_gates(s: Snapshot) -> Action | None:
    """The wish's colour is mixed, or not up → wait for it."""
    if s.served:
        return None
    gate = s.target.gate()
    return Hold(*gate) if gate is not None else None


def _row_16_old_workers(s: Snapshot) -> Hold | None:
    """The flip needs a reload and too many old workers still finish → wait for them."""
    if s.served or s.decided is not None or s.old_workers_over is None:
        return None
    return Hold(Because.TOO_MANY_OLD_WORKERS, f"{s.old_workers_over} old workers still finish their requests")


def _row_17_flip(s: Snapshot) -> Action | None:
    """Nothing speaks against it."""
    return Flip(s.wish) if s.wish is not None and not s.served else None


def _row_20_live_serves(s: Snapshot) -> Action | None:
    """Live is not down → all is well, or well enough."""
    if s.target.verdict is Verdict.DOWN:
        return None
    if s.target.verdict is Verdict.WEAK:
        return Hold(Because.LIVE_WEAK, _weakness(s))
    return Hold(Because.CONVERGED)


def _row_22_auto_off(s: Snapshot) -> Action:
    """Live is down and nothing automatic may follow → a person decides."""
    return _live_lost(s) or Hold(Because.AUTO_OFF)


ROWS: tuple[Callable[[Snapshot], Action | None], ...] = (
    _row_1_proxy_astray,
    _row_2_store_silent,
    _row_3_store_rewound,
    _row_4_key_unusable,
    _row_5_starting,
    # The wish is not served here:
    _row_7_backoff,
    _row_8_follow,
    _row_10_take,
    _row_11_release_gone,
    _row_12_at_once,
    _rows_14_15_gates,
    _row_16_old_workers,
    _row_17_flip,
    # The wish is served:
    _row_20_live_serves,
    _row_22_auto_off,
)


def _astray(s: Snapshot) -> bool:
    if s.serving is None or s.sight is Sight.UNSEEN:
        return False
    return s.decided is not s.serving.colour


def _colour_served(s: Snapshot) -> bool:
    return s.serving is not None and s.wish is not None and s.serving.colour is s.wish.colour


def _serves_nobody(s: Snapshot) -> bool:
    """What is served has no healthy backend: known to be so, not merely unknown."""
    assert s.serving is not None, "asked only of a node that serves"
    return s.colours[s.serving.colour].verdict is Verdict.DOWN


def _kind(s: Snapshot) -> OrderKind | None:
    return s.wish.order.kind if s.wish and s.wish.order else None


def _waits(trouble: Trouble | None, s: Snapshot) -> bool:
    return trouble is not None and s.now_s < trouble.retry_s


def _live_lost(s: Snapshot) -> Hold | None:
    """What rows 21 to 25 say of a live colour that is down; nothing automatic may follow yet."""
    if not s.served or s.target.verdict is not Verdict.DOWN:
        return None
    why = s.target.detail or "it has no backend"
    return Hold(Because.AUTO_OFF, f"live {s.serving.colour if s.serving else ''} is down: {why}")


def _weakness(s: Snapshot) -> str:
    return f"{s.target.ready}/{s.target.registered} ready: {s.target.detail}".rstrip(": ")


def _saying_what_hurts(action: Action, s: Snapshot) -> Action:
    """While a repair waits out its backoff, every hold says so; a failed sync is said by a calm one."""
    if not isinstance(action, Hold):
        return action
    if _astray(s) and s.repair_trouble is not None:
        return Hold(s.repair_trouble.because, s.repair_trouble.detail)
    if s.sync_trouble is not None and action.because in (Because.CONVERGED, Because.LIVE_WEAK):
        return Hold(s.sync_trouble.because, s.sync_trouble.detail)
    return action
