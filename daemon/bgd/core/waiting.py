"""Rows 7 to 17: the wish is not served here. When it is taken, what it waits for, when it is refused.

A refused wish is written back by `Decline`, once a majority of members refuse it and none has ever proved
it: what was not taken when it was asked for must not go live unattended later. A refusal that rests on
the catalog waits until that can be behind the wish no longer.
"""

from dataclasses import replace

from bgd.core import fleet, way_back
from bgd.core.actions import Action, Decline, Flip, Hold, Take, Warm
from bgd.core.knowledge import CATALOG_LAG_S, Trouble
from bgd.core.model import OrderKind
from bgd.core.reasons import Because
from bgd.core.snapshot import Snapshot


def row_7_backoff(s: Snapshot) -> Action | None:
    """The last try of this wish failed → wait out its backoff."""
    if s.flip_trouble is None or not waits(s.flip_trouble, s):
        return None
    return Hold(s.flip_trouble.because, s.flip_trouble.detail, s.flip_trouble.retry_s)


def before_row_8_read_members(s: Snapshot) -> Action | None:
    """After a start or a lost Consul → first read what the others have said of this wish meanwhile."""
    if s.behind is None or _forced(s) or s.serving is None:
        return None
    return Hold(s.behind, "the other members are not read yet")


def after_row_8_read_catalog(s: Snapshot) -> Action | None:
    """The catalog may have changed unknown to this node → first read it."""
    if s.catalog_behind is None or _forced(s) or s.serving is None:
        return None
    return Hold(s.catalog_behind, "the catalog is not read yet")


def row_8_follow(s: Snapshot) -> Action | None:
    """Another node has proved the wish, or it is a revert → follow; the gates were passed already."""
    if s.wish is None or _colour_served(s):
        return None
    reverted = _is_revert_as_ordered(s) and s.catalog_behind is None
    backed = reverted or fleet.someone_proved(s.members, s.wish)
    both_dead = all(view.dead for view in s.colours.values())
    return Flip(s.wish) if backed and (s.target.alive or both_dead) else None


def row_9_rejected(s: Snapshot) -> Action | None:
    """The wish's release was rejected, and nobody forces it → refuse."""
    if s.wish is None or _forced(s) or not s.wished_releases:
        return None
    rejected = s.ledger.rejected if s.ledger else frozenset()
    if s.wished_releases <= rejected:
        if _names_no_release(s) and s.wish_age_s < CATALOG_LAG_S:
            return Hold(Because.TARGET_NOT_READY, f"{_listed(s.wished_releases)} was reverted")
        return _refuse(s, Because.RELEASE_REJECTED, f"{_listed(s.wished_releases)} was reverted")
    if s.refused and s.refused not in s.wished_releases:
        detail = f"it was refused for {s.refused}; {s.wish.colour} runs {_listed(s.wished_releases)} now"
        return _refuse(s, Because.WISH_EXPIRED, detail)
    if s.serving and fleet.is_majority(s, fleet.have_refused(s)) and fleet.nobody_proved(s.members, s.wish):
        return _refuse(s, Because.WISH_EXPIRED, "a majority of members have refused it")
    return None


def row_10_release_gone(s: Snapshot) -> Action | None:
    """The order names a release that the catalog no longer shows → not the next one unattended."""
    order = s.wish.order if s.wish else None
    if order is None or order.release is None or order.force or _only_its_number(s):
        return None
    if not s.target.registered or order.release in s.target.releases:
        return None
    detail = f"ordered was release {order.release}, {order.colour} runs {_listed(s.target.releases)}"
    if s.wish_age_s < CATALOG_LAG_S:
        return Hold(Because.TARGET_NOT_READY, detail)
    return _refuse(s, Because.WISH_EXPIRED, detail)


def row_11_take(s: Snapshot) -> Action | None:
    """The wish's colour is served already → take its generation, touch nothing."""
    return Take(s.wish) if s.wish is not None and _colour_served(s) else None


def row_12_at_once(s: Snapshot) -> Action | None:
    """A forced or prepared wish, or customers with nothing better → flip without the gates."""
    if s.wish is None:
        return None
    if _forced(s):
        return Flip(s.wish)
    if not s.target.alive:
        return None
    patient = s.wish_age_s <= s.policy.patience_s
    return Flip(s.wish) if s.serving is None or (patient and (_serves_nobody(s) or _prepared(s))) else None


def row_13_expired(s: Snapshot) -> Action | None:
    """Not taken for longer than its patience → refuse."""
    if s.wish is None or s.wish_age_s <= s.policy.patience_s:
        return None
    gate = s.target.gate()
    why = f": {gate[0]}, {gate[1]}" if gate else ""
    return _refuse(s, Because.WISH_EXPIRED, f"not taken for {s.policy.patience_s:g} s{why}")


def rows_14_15_gates(s: Snapshot) -> Action | None:
    """The wish's colour is mixed, or not up → wait for it."""
    gate = s.target.gate() if s.wish else None
    return Hold(*gate) if gate is not None else None


def row_16_old_workers(s: Snapshot) -> Action | None:
    """The flip needs a reload and too many old workers still finish → wait for them."""
    if s.decided is not None or s.old_workers_over is None:
        return None
    return Hold(Because.TOO_MANY_OLD_WORKERS, f"{s.old_workers_over} old workers still finish their requests")


def row_17_flip(s: Snapshot) -> Action:
    """Nothing speaks against it → flip, once the backends are warm: nobody has prepared it."""
    if s.wish is None:
        return Hold(Because.STARTING, "no wish has been seen")
    warm_up = Warm(s.wish, s.target.release)
    if not s.policy.warmup_requests or s.warmed == warm_up:
        return Flip(s.wish)
    if s.warm_trouble is not None and waits(s.warm_trouble, s):
        return Hold(s.warm_trouble.because, s.warm_trouble.detail, s.warm_trouble.retry_s)
    return warm_up


def waits(trouble: Trouble | None, s: Snapshot) -> bool:
    """Whether the backoff of a failed try still runs."""
    return trouble is not None and trouble.waits(s.now_s)


def has_refused(s: Snapshot) -> bool:
    """Whether this node has refused the wish, and would again, whatever it waits for now."""
    if s.wish is None or s.serving is None or s.served or s.in_fallback or _forced(s):
        return False
    lifted = s.ledger is not None and s.refused in s.wished_releases - s.ledger.rejected
    return s.wish_age_s > s.policy.patience_s or (bool(s.refused) and not lifted)


def _refuse(s: Snapshot, because: Because, detail: str) -> Action:
    """Hold, and decline the wish when a majority refuse it with us."""
    hold = Hold(because, detail)
    if not _may_decline(s):
        return hold
    if s.write_trouble is not None and waits(s.write_trouble, s):
        return replace(hold, because=s.write_trouble.because, detail=s.write_trouble.detail)
    assert s.wish is not None, "refused is a wish"
    served = s.serving.release if s.serving else None
    return Decline(s.wish, s.wish.colour.other, served, because, detail)


def _may_decline(s: Snapshot) -> bool:
    """A revert is never declined: that would lead back to what failed."""
    if s.wish is None or s.ledger is None or way_back.forbidden(s) is not None:
        return False
    return (
        _serves_other(s)
        and fleet.is_majority(s, fleet.refusers(s) | {s.node})
        and fleet.nobody_proved(s.members, s.wish)
    )


def _serves_other(s: Snapshot) -> bool:
    """What the wish would be written back to is what this node serves; in fallback, if it is good."""
    if s.serving is None or s.wish is None or s.astray or s.serving.colour is s.wish.colour:
        return False
    return not s.serving.fallback or way_back.not_good(s) is None


def _is_revert_as_ordered(s: Snapshot) -> bool:
    """A revert, while its colour still runs what it was to go back to."""
    order = s.wish.order if s.wish else None
    if order is None or order.kind is not OrderKind.REVERT:
        return False
    return order.force or not order.release or s.target.releases <= {order.release}


def _colour_served(s: Snapshot) -> bool:
    return s.serving is not None and s.wish is not None and s.serving.colour is s.wish.colour


def _names_no_release(s: Snapshot) -> bool:
    return s.wish is None or s.wish.order is None or not s.wish.order.release


def _only_its_number(s: Snapshot) -> bool:
    """The colour is served under a higher generation: the store went back, and nothing is asked for."""
    return (
        s.wish is not None
        and s.serving is not None
        and s.serving.colour is s.wish.colour
        and s.serving.generation >= s.wish.generation
    )


def _serves_nobody(s: Snapshot) -> bool:
    """What is served has no healthy backend: known to be so, not merely unknown."""
    return s.serving is not None and s.colours[s.serving.colour].dead


def _prepared(s: Snapshot) -> bool:
    """This node has said yes to it, and what it said yes to is all that the colour runs."""
    return (
        s.wish is not None
        and s.wish.order is not None
        and s.node in s.wish.order.prepared
        and not s.target.mixed
    )


def _forced(s: Snapshot) -> bool:
    return s.wish is not None and s.wish.order is not None and s.wish.order.force


def _listed(releases: frozenset[str]) -> str:
    return " and ".join(sorted(releases))
