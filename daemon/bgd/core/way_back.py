"""Last known good, and the way back: where a revert would go now, or why there is none.

Rules that live here: a colour is last known good while all of its backends run the release that was
confirmed on it, and that is not rejected. The holds are those of the table, in its order.
"""

from dataclasses import dataclass

from bgd.core.model import Colour, Ledger, OrderKind
from bgd.core.reasons import Because
from bgd.core.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class WayBack:
    """Open when `because` is None."""

    because: Because | None
    detail: str
    until_s: float | None = None
    """From when on there is one after the next flip, if that is known."""


def forbidden(s: Snapshot) -> tuple[Because, str] | None:
    """Why nothing automatic may follow, whatever the idle colour is worth."""
    if s.ledger is not None and s.ledger.pause is not None:
        return Because.PAUSED, s.ledger.pause
    if not s.policy.auto:
        return Because.AUTO_OFF, "revert.auto is false"
    order = s.wish.order if s.wish else None
    if order is not None and order.kind is OrderKind.REVERT:
        return Because.AFTER_REVERT, f"generation {s.wish.generation if s.wish else 0} came from a revert"
    return None


def not_good(s: Snapshot) -> tuple[Because, str] | None:
    """Why the idle colour is not last known good, or None when it is."""
    assert s.wish is not None, "a way back is from a wish"
    return not_last_known_good(s.ledger or Ledger(), s.wish.colour.other, s.idle.releases)


def not_last_known_good(ledger: Ledger, colour: Colour, runs: frozenset[str]) -> tuple[Because, str] | None:
    """Why a colour that runs these releases is not last known good, or None when it is."""
    good = ledger.good.get(colour)
    if good is None:
        return Because.REVERT_NO_GOOD, f"no release of {colour} has served through its probation"
    if good.release in ledger.rejected:
        return Because.REVERT_NO_GOOD, f"{colour} {good.release} was rejected"
    if runs - {good.release}:
        now = " and ".join(sorted(runs))
        return Because.REVERT_RELEASE_CHANGED, f"{colour} was good with {good.release}, now runs {now}"
    return None


def not_alive(s: Snapshot) -> tuple[Because, str] | None:
    """Why the idle colour could not serve, or None when it could.

    What takes both colours down at once shows in one of them first: so the last probe must have passed.
    """
    gate = s.idle.gate() if s.target.by_traffic else None
    if s.idle.passing and gate is None:
        return None
    assert s.wish is not None, "a way back is from a wish"
    failed = "its last probe failed" if s.idle.registered else "it has no backend"
    why = gate[1] if gate else s.idle.detail or failed
    return Because.REVERT_TARGET_DOWN, f"{s.wish.colour.other} could not serve: {why}"


def way_back(s: Snapshot) -> WayBack | None:
    """Where a revert would go now; None while nothing is known."""
    if s.wish is None or s.ledger is None:
        return None
    shut = forbidden(s) or not_good(s) or not_alive(s)
    if shut is None:
        idle = s.wish.colour.other
        return WayBack(None, f"{idle} {s.idle.release}, {s.idle.healthy}/{s.idle.registered}")
    confirmed = s.ledger.confirmed(s.wish.colour, s.target.release)
    return WayBack(*shut, None if confirmed else s.steady_until_s)
