"""advance(knowledge, action, outcome) → knowledge: what a finished action changes in memory."""

from dataclasses import dataclass, replace

from bgd.core import clocks
from bgd.core.actions import Confirm, Decline, FallBack, Flip, Repair, Revert, Take, Touch, Warm, Write
from bgd.core.events import LiveSeen
from bgd.core.knowledge import NOT_COUNTED, Knowledge, Sight, Trouble
from bgd.core.learn import learn
from bgd.core.model import Colour, Desired, Good, Ledger, Order, OrderKind, Serving
from bgd.core.reasons import Because

BACKOFF_FIRST_S = 1.0
BACKOFF_MOST_S = 60.0


@dataclass(frozen=True, slots=True)
class Failed:
    """The world refused: an error as a value, folded back into knowledge."""

    because: Because
    detail: str


@dataclass(frozen=True, slots=True)
class Proved:
    """The proxy itself showed that it decides for the wished colour."""

    via: str  # "runtime" or "reload"
    took_ms: float


def serving(knowledge: Knowledge, desired: Desired, proved: Proved, *, at: str) -> Serving:
    """What a proved flip to `desired` makes this node serve."""
    order = desired.order
    releases = {backend.release for backend in knowledge.backends[desired.colour]}
    seen = next(iter(releases)) if len(releases) == 1 else None
    return Serving(
        colour=desired.colour,
        generation=desired.generation,
        release=order.release if order and order.release else seen,
        since_at=at,
        via=proved.via,
        took_ms=round(proved.took_ms, 2),
    )


def fallen(knowledge: Knowledge, action: FallBack, proved: Proved, *, at: str) -> Serving:
    """What a proved fallback makes this node serve: the other colour, under the same wish."""
    flipped = serving(knowledge, Desired(action.colour, action.desired.generation), proved, at=at)
    return replace(flipped, release=action.release, fallback=True)


def taken(knowledge: Knowledge, desired: Desired) -> Serving:
    """The same colour under a new generation."""
    assert knowledge.serving is not None, "only what is served can be taken"
    return replace(knowledge.serving, generation=desired.generation, fallback=False)


def advance(
    knowledge: Knowledge,
    action: Touch,
    outcome: Serving | Failed,
    *,
    now_s: float,
) -> Knowledge:
    """Fold the outcome of an action in: what is served from now on, or when to try again."""
    return clocks.keep_time(_advanced(knowledge, action, outcome, now_s), now_s)


def _advanced(knowledge: Knowledge, action: Touch, outcome: Serving | Failed, now_s: float) -> Knowledge:
    k = knowledge if isinstance(action, Take) else replace(knowledge, settled_s=now_s)
    if isinstance(outcome, Failed):
        return _failed(k, action, outcome, now_s)
    if isinstance(action, Take):
        return replace(k, serving=outcome, flip_trouble=None)
    if isinstance(action, FallBack):
        k = replace(k, falls=clocks.fallen(k, action.desired.generation, now_s))
    elif isinstance(action, Flip) and k.serving is not None and k.serving.fallback:
        k = replace(k, falls=clocks.returned(k, now_s))
    moved = k.serving is None or k.serving.colour is not outcome.colour
    return replace(
        k,
        serving=outcome,
        left_s=now_s if moved else k.left_s,
        traffic=k.traffic if isinstance(action, Repair) else {},
        sessions=NOT_COUNTED,
        decided=outcome.colour,
        sight=Sight.SEEN,
        sight_detail="",
        flip_trouble=None,
        repair_trouble=None,
    )


def _failed(k: Knowledge, action: Touch, failed: Failed, now_s: float) -> Knowledge:
    if isinstance(action, Repair):
        return replace(k, repair_trouble=again(k.repair_trouble, failed, now_s))
    if k.wish is not None and action.desired != k.wish.desired:
        return k  # a newer wish tries at once
    trouble = again(k.flip_trouble, failed, now_s, generation=action.desired.generation)
    return replace(k, flip_trouble=trouble)


def again(before: Trouble | None, failed: Failed, now_s: float, *, generation: int = 0) -> Trouble:
    """The next try after a failure: 1 s, doubling to 60 s."""
    tries = before.tries + 1 if before else 1
    wait_s = min(BACKOFF_FIRST_S * 2 ** min(tries - 1, 10), BACKOFF_MOST_S)
    return Trouble(failed.because, failed.detail, tries, now_s + wait_s, generation)


def warmed(knowledge: Knowledge, action: Warm, failed: Failed | None, *, now_s: float) -> Knowledge:
    """Fold the outcome of a warm-up in: a flip may follow, or another try."""
    if failed is None:
        return replace(knowledge, warmed=action, warm_trouble=None)
    trouble = again(knowledge.warm_trouble, failed, now_s, generation=action.desired.generation)
    return replace(knowledge, warm_trouble=trouble)


# -- what is written for the fleet ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Written:
    """The transaction was carried out; of Revert and Decline it made this generation."""

    generation: int
    by: str
    at: str


@dataclass(frozen=True, slots=True)
class Overtaken:
    """Somebody else wrote first: this is what the store says now."""

    seen: LiveSeen


def written(
    knowledge: Knowledge, action: Write, outcome: Written | Overtaken | Failed, *, now_s: float
) -> Knowledge:
    """Fold the outcome of a write in, so that nothing is decided again on what was known before it."""
    k = knowledge
    if isinstance(outcome, Failed):
        return replace(k, write_trouble=again(k.write_trouble, outcome, now_s))
    if isinstance(outcome, Overtaken):
        after = learn(k, outcome.seen, now_s=now_s, at="")
        if (after.live, after.ledger) != (k.live, k.ledger):
            return replace(after, write_trouble=None)
        stands = Failed(Because.STORE_LOST, "the write was a conflict, and nothing there has changed")
        return replace(after, write_trouble=again(k.write_trouble, stands, now_s))
    k = replace(k, write_trouble=None)
    seen = LiveSeen(
        {k.app: action.desired if isinstance(action, Confirm) else wish_of(action, outcome)},
        {k.app: _ledger_after(k.ledger or Ledger(), action, outcome)},
    )
    return learn(k, seen, now_s=now_s, at="")


def order_of(action: Revert | Decline, *, by: str, at: str) -> Order:
    """The order that goes with a revert or a decline."""
    kind = OrderKind.REVERT if isinstance(action, Revert) else OrderKind.DECLINED
    reason = action.because if isinstance(action, Revert) else f"{action.because}: {action.detail}"
    return Order(
        kind=kind,
        colour=action.colour,
        release=action.release,
        by=by,
        reason=reason,
        force=isinstance(action, Revert) and action.force,
        after=action.desired.generation,
        at=at,
    )


def wish_of(action: Revert | Decline, outcome: Written) -> Desired:
    """The wish that a revert or a decline has made."""
    return Desired(action.colour, outcome.generation, order_of(action, by=outcome.by, at=outcome.at))


def _ledger_after(ledger: Ledger, action: Write, outcome: Written) -> Ledger:
    match action:
        case Confirm(desired, release):
            good = Good(release, desired.generation, outcome.at)
            return replace(ledger, good={**ledger.good, desired.colour: good})
        case Revert(desired, _, _, rejected):
            kept: dict[Colour, Good] = {
                colour: good for colour, good in ledger.good.items() if colour is not desired.colour
            }
            return replace(ledger, good=kept, rejected=ledger.rejected | set(rejected))
        case Decline():
            return ledger
