"""What a node publishes about one app: plain JSON values, the same in Consul, /status and bgctl."""

from typing import Any

from bgd.core.actions import Action, Flip, Hold, Repair, Take
from bgd.core.health import ColourView
from bgd.core.knowledge import Sight, Snapshot
from bgd.core.model import Verdict
from bgd.core.reasons import Because


def report(s: Snapshot, action: Action, *, version: str, proxy: str) -> dict[str, Any]:
    """The report of one moment, without its time."""
    because, detail = _because(action)
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
        "until": None,
        "prepared": None,
        "vote": None,
        "steady": None,
        "left_out": list(s.left_out),
        "colours": {colour.value: _colour(view) for colour, view in s.colours.items()},
    }


def _because(action: Action) -> tuple[Because, str]:
    match action:
        case Hold(because, detail):
            return because, detail
        case Flip(desired):
            return Because.FLIPPING, f"to {desired.colour}, generation {desired.generation}"
        case Take(desired):
            return Because.FLIPPING, f"taking generation {desired.generation}"
        case Repair(serving):
            return Because.PROXY_LOST, f"bringing the proxy back to {serving.colour}"


def _desired(s: Snapshot) -> dict[str, Any] | None:
    if s.wish is None:
        return None
    return {"colour": s.wish.colour.value, "generation": s.wish.generation}


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
    }


def _colour(view: ColourView) -> dict[str, Any]:
    gate = view.gate()
    return {
        "verdict": view.verdict.value,
        "healthy": view.healthy,
        "registered": view.registered,
        "release": view.release,
        "sessions": None,
        "why": f"{gate[0]}: {gate[1]}" if gate and view.verdict is not Verdict.UNKNOWN else None,
    }
