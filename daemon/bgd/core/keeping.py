"""Rows 18 to 27: the wish is served here, or this node is in fallback from it.

While live serves, a release becomes known good. When it is down: first what forbids anything automatic,
then whether there is a way back, then this node alone (fallback), then the fleet (revert).
"""

from bgd.core import fleet, way_back
from bgd.core.actions import Action, Confirm, FallBack, Flip, Hold, Revert
from bgd.core.knowledge import KNOWN_S
from bgd.core.model import Ledger, Verdict
from bgd.core.reasons import Because
from bgd.core.snapshot import Snapshot
from bgd.core.waiting import waits


def row_18_return(s: Snapshot) -> Action | None:
    """In fallback: live is back for the hold-down, or what is served has died → back to live."""
    if not s.in_fallback or s.wish is None:
        return None
    if _live_is_back(s) or _must_return_early(s):
        if s.flip_trouble is not None and waits(s.flip_trouble, s):
            return Hold(s.flip_trouble.because, s.flip_trouble.detail, s.flip_trouble.retry_s)
        return Flip(s.wish)
    if s.target.down:
        return None
    up_since_s = s.falls.up_since_s
    until_s = up_since_s + s.falls.hold_down_s if up_since_s is not None else None
    return Hold(
        Because.FALLBACK_SERVING, f"{s.wish.colour} must be up for {s.falls.hold_down_s:g} s", until_s
    )


def row_19_confirm(s: Snapshot) -> Action | None:
    """A majority has served live's release for its probation → it is known good."""
    release = s.target.release
    if s.wish is None or s.ledger is None or release is None or waits(s.write_trouble, s):
        return None
    if s.ledger.confirmed(s.wish.colour, release):
        return None
    steady = fleet.steady(s, s.wish.colour, release)
    return Confirm(s.wish, release) if fleet.is_majority(s, steady) else None


def row_20_live_serves(s: Snapshot) -> Action | None:
    """Live is not down → all is well, or well enough."""
    if s.target.down:
        return None
    if s.target.verdict is Verdict.WEAK:
        return Hold(Because.LIVE_WEAK, _weakness(s))
    if s.ledger is None or s.steady is None or s.wish is None:
        return Hold(Because.CONVERGED)
    if s.ledger.confirmed(s.wish.colour, s.steady.release):
        return Hold(Because.CONVERGED)
    return Hold(Because.PROBATION, f"release {s.steady.release}", s.steady_until_s)


def rows_21_22_forbidden(s: Snapshot) -> Action | None:
    """Paused, not automatic, or after a revert → a person decides."""
    shut = way_back.forbidden(s)
    return Hold(shut[0], f"{_failure(s)} ({shut[1]})") if shut else None


def row_23_not_good(s: Snapshot) -> Action | None:
    """The idle colour is not last known good → there is no way back."""
    shut = way_back.not_good(s)
    return Hold(shut[0], f"{_failure(s)}; {shut[1]}") if shut else None


def row_24_not_alive(s: Snapshot) -> Action | None:
    """The idle colour could not serve → nowhere to go."""
    shut = way_back.not_alive(s)
    return Hold(shut[0], f"{_failure(s)}; {shut[1]}") if shut else None


def row_25_fall_back(s: Snapshot) -> Action | None:
    """Live has no healthy backend, and what is known of idle is fresh → serve idle on this node."""
    if s.wish is None or s.in_fallback or not s.target.dead or not _known_well_enough(s):
        return None
    if waits(s.flip_trouble, s):
        return None
    assert s.idle.release is not None, "what is known good runs one release"
    return FallBack(s.wish, s.wish.colour.other, s.idle.release)


def row_26_no_majority(s: Snapshot) -> Action | None:
    """Fewer than a majority of members see what this node sees → wait for them."""
    voters = fleet.voters(s)
    if fleet.is_majority(s, voters):
        return None
    who = f"{len(voters)} of {fleet.size(s)} members" if fleet.heard(s) else "members not read yet"
    return Hold(Because.REVERT_WAITING_QUORUM, f"{who}: {_failure(s)}")


def row_27_revert(s: Snapshot) -> Action:
    """Otherwise: the whole fleet goes back."""
    if s.write_trouble is not None and waits(s.write_trouble, s):
        return Hold(s.write_trouble.because, s.write_trouble.detail, s.write_trouble.retry_s)
    if not _known_well_enough(s):
        return Hold(Because.STORE_LOST, f"Consul was last heard {s.known_age_s:.0f} s ago")
    assert s.wish is not None, "only a wish can be reverted"
    assert s.idle.release is not None, "what is known good runs one release"
    return Revert(
        s.wish,
        s.wish.colour.other,
        s.idle.release,
        _failed_releases(s),
        _failure(s),
        by_traffic=s.target.by_traffic,
    )


def suffering(s: Snapshot) -> str:
    """What customers feel while this node may do nothing about it; empty when they feel nothing."""
    return f"; {_failure(s)}" if (s.served or s.in_fallback) and s.target.down else ""


def _live_is_back(s: Snapshot) -> bool:
    return s.falls.up_since_s is not None and s.now_s - s.falls.up_since_s >= s.falls.hold_down_s


def _must_return_early(s: Snapshot) -> bool:
    """What is served instead has died, and live has not: once per hold-down."""
    return s.idle.dead and s.target.alive and s.now_s - s.falls.early_s >= s.falls.hold_down_s


def _known_well_enough(s: Snapshot) -> bool:
    return s.known_age_s <= KNOWN_S


def _failed_releases(s: Snapshot) -> tuple[str, ...]:
    """What is rejected: of a mixed colour all but what was good; never what the fleet goes back to."""
    assert s.wish is not None, "only a wish can be reverted"
    failed = (s.ledger or Ledger()).failed(s.wish.colour, s.target.releases)
    if not failed:
        served = s.wished_releases or {s.serving.release if s.serving and s.served else None}
        failed = frozenset(release for release in served if release)
    return tuple(sorted(failed - s.idle.releases))


def _failure(s: Snapshot) -> str:
    colour = s.wish.colour if s.wish else ""
    return f"{colour} is down: {s.target.detail or 'it has no backend'}"


def _weakness(s: Snapshot) -> str:
    return f"{s.target.ready}/{s.target.registered} ready: {s.target.detail}".rstrip(": ")
