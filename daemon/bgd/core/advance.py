"""advance(knowledge, action, outcome) → knowledge: what a finished action changes in memory."""

from dataclasses import dataclass, replace

from bgd.core.actions import Flip, Repair, Take
from bgd.core.knowledge import Knowledge, Sight, Trouble
from bgd.core.model import Desired, Serving
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


def taken(knowledge: Knowledge, desired: Desired) -> Serving:
    """The same colour under a new generation."""
    assert knowledge.serving is not None, "only what is served can be taken"
    return replace(knowledge.serving, generation=desired.generation)


def advance(
    knowledge: Knowledge,
    action: Flip | Take | Repair,
    outcome: Serving | Failed,
    *,
    now_s: float,
) -> Knowledge:
    """Fold the outcome of an action in: what is served from now on, or when to try again."""
    k = knowledge if isinstance(action, Take) else replace(knowledge, settled_s=now_s)
    if isinstance(outcome, Failed):
        return _failed(k, action, outcome, now_s)
    if isinstance(action, Take):
        return replace(k, serving=outcome, flip_trouble=None)
    return replace(
        k,
        serving=outcome,
        decided=outcome.colour,
        sight=Sight.SEEN,
        sight_detail="",
        flip_trouble=None,
        repair_trouble=None,
    )


def _failed(k: Knowledge, action: Flip | Take | Repair, failed: Failed, now_s: float) -> Knowledge:
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
