"""What a node publishes about one app: plain JSON values, the same in Consul, /status and bgctl."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from bgd.core.actions import Action, Confirm, Decline, FallBack, Flip, Hold, Repair, Revert, Take, Warm
from bgd.core.health import ColourView
from bgd.core.knowledge import Sight
from bgd.core.model import Prepared, Verdict
from bgd.core.preparing import answer, asked
from bgd.core.reasons import CALM, Because
from bgd.core.snapshot import Snapshot
from bgd.core.waiting import has_refused
from bgd.core.way_back import way_back

Shown = Callable[[float], str | None]
"""Turns a moment of this node's clock into a time for people, the same whenever it is asked."""


def _untold(_: float) -> None:
    return None


def report(
    s: Snapshot, action: Action, *, version: str, proxy: str, shown: Shown = _untold
) -> dict[str, Any]:
    """The report of one moment, without its time."""
    prepared = answer(s)
    because, detail = _beside(s, prepared, *_because(action))
    until_s = action.until_s if isinstance(action, Hold) else None
    return {
        "schema": 1,
        "node": s.node,
        "app": s.app,
        "version": version,
        "proxy": proxy,
        "desired": _desired(s),
        "serving": _serving(s),
        "because": because.value,
        "detail": detail or None,
        "until": None if until_s is None else shown(until_s),
        "prepared": _prepared(prepared),
        "vote": _vote(s),
        "steady": _steady(s, shown),
        "way_back": _way_back(s, shown),
        "left_out": list(s.left_out),
        "cut": s.sessions.cut,
        "colours": {
            colour.value: _colour(view, s.sessions.open.get(colour)) for colour, view in s.colours.items()
        },
    }


def _because(action: Action) -> tuple[Because, str]:
    match action:
        case Hold(because, detail):
            return because, detail
        case Flip(desired):
            return Because.FLIPPING, f"to {desired.colour}, generation {desired.generation}"
        case Warm(desired):
            return Because.PREPARING, f"warming up {desired.colour}, generation {desired.generation}"
        case Take(desired):
            return Because.FLIPPING, f"taking generation {desired.generation}"
        case Repair(serving):
            return Because.PROXY_LOST, f"bringing the proxy back to {serving.colour}"
        case FallBack(desired, colour):
            return Because.FLIPPING, f"falling back to {colour}, generation {desired.generation} is down"
        case Confirm(desired, release):
            return Because.PROBATION, f"writing down that {desired.colour} {release} is good"
        case Revert(_, colour, release, _, why):
            return Because.REVERTING, f"to {colour} {release}: {why}"
        case Decline(_, _, _, refusal, why):
            return refusal, why


def _beside(s: Snapshot, prepared: Prepared | None, because: Because, detail: str) -> tuple[Because, str]:
    """A preparation runs beside all else: it is the reason only where there is no other to tell."""
    preparation = asked(s)
    if preparation is None or because not in CALM:
        return because, detail
    wish = f"{preparation.colour} for {preparation.by or 'somebody'}"
    if prepared is None:
        return Because.PREPARING, wish
    return (Because.PREPARED, wish) if prepared.ok and not preparation.dry else (because, detail)


def _prepared(prepared: Prepared | None) -> dict[str, Any] | None:
    if prepared is None:
        return None
    gates = [asdict(gate) for gate in prepared.gates]
    return {"id": prepared.id, "ok": prepared.ok, "gates": gates, "diff": prepared.diff or None}


def _vote(s: Snapshot) -> dict[str, Any] | None:
    """Published anew every 2 s while it stands: one that does not move is not counted."""
    if s.wish is None or not s.votes:
        return None
    evidence = s.target.detail or "it has no backend"
    return {"generation": s.wish.generation, "live": "down", "idle": "alive", "evidence": evidence}


def _steady(s: Snapshot, shown: Shown) -> dict[str, Any] | None:
    if s.steady is None:
        return None
    return {"release": s.steady.release, "since": shown(s.steady.since_s), "over": s.steady_over}


def _way_back(s: Snapshot, shown: Shown) -> dict[str, Any] | None:
    way = way_back(s)
    if way is None:
        return None
    return {
        "open": way.because is None,
        "because": way.because.value if way.because else None,
        "detail": way.detail,
        "until": None if way.until_s is None else shown(way.until_s),
    }


def _desired(s: Snapshot) -> dict[str, Any] | None:
    if s.wish is None:
        return None
    return {
        "colour": s.wish.colour.value,
        "generation": s.wish.generation,
        "after": s.wish_after,
        "refused": has_refused(s),
    }


def _serving(s: Snapshot) -> dict[str, Any] | None:
    if s.serving is None:
        return None
    return {
        "colour": s.serving.colour.value,
        "generation": s.serving.generation,
        "release": s.serving.release,
        "since": s.serving.since_at or None,
        "via": s.serving.via or None,
        "took_ms": s.serving.took_ms,
        "proved": s.sight is Sight.SEEN and s.decided is s.serving.colour,
        "fallback": s.serving.fallback,
    }


def _colour(view: ColourView, sessions: int | None) -> dict[str, Any]:
    gate = view.gate()
    return {
        "verdict": view.verdict.value,
        "healthy": view.healthy,
        "registered": view.registered,
        "release": view.release,
        "sessions": sessions,
        "why": f"{gate[0]}: {gate[1]}" if gate and view.verdict is not Verdict.UNKNOWN else None,
    }
