"""Knowledge ↔ what a node keeps on disk: the wish, what is served, last known backends, members.

What cannot be read costs only itself: a field that makes no sense is left out, never a crash.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from bgd.core.health import Health
from bgd.core.knowledge import Falls, Knowledge, Wish
from bgd.core.model import Backend, Colour, Desired, Member, Order, OrderKind, Serving


def remember(knowledge: Knowledge, *, now_s: float, wall_s: float) -> dict[str, Any]:
    """Plain JSON values of what must survive a reboot without Consul."""
    k = knowledge
    return {
        "wish": _wish_out(k.wish, wall_s - now_s),
        "serving": asdict(k.serving) if k.serving else None,
        "backends": {
            colour: [
                {**asdict(backend), "vetted": _vetted(k, colour, backend.name)}
                for backend in k.backends[colour]
            ]
            for colour in Colour
        },
        "kept_since_at": dict(k.kept_since_at),
        "members": [member.node for member in k.members],
    }


def recall(knowledge: Knowledge, kept: Mapping[str, Any], *, now_s: float, wall_s: float) -> Knowledge:
    """Knowledge with what the disk holds folded in."""
    k = knowledge
    backends: dict[Colour, tuple[Backend, ...]] = {}
    healths: dict[Colour, dict[str, Health]] = {}
    for colour in Colour:
        pairs = [pair for pair in map(_backend_in, _list(kept, "backends", colour)) if pair]
        backends[colour] = tuple(backend for backend, _ in pairs)
        healths[colour] = {backend.name: Health(vetted=vetted) for backend, vetted in pairs}
    serving = _serving_in(kept.get("serving"))
    fell = serving is not None and serving.fallback
    return replace(
        k,
        wish=_wish_in(kept.get("wish"), now_s, wall_s),
        serving=serving,
        left_s=now_s - max(0.0, wall_s - _moment_s(serving.since_at, wall_s)) if serving else k.left_s,
        falls=Falls(generation=serving.generation, count=1) if serving and fell else k.falls,
        backends=backends,
        healths=healths,
        kept_since_at=_kept_in(kept.get("kept_since_at"), backends),
        members=tuple(
            Member(node=node, alive=False) for node in _list(kept, "members") if isinstance(node, str)
        ),
    )


def _vetted(k: Knowledge, colour: Colour, name: str) -> bool:
    health = k.healths[colour].get(name)
    return health is not None and health.vetted


def _wish_out(wish: Wish | None, wall_minus_monotonic_s: float) -> dict[str, Any] | None:
    if wish is None:
        return None
    seen_wall_s = round(wish.seen_s + wall_minus_monotonic_s)
    kept = {"first_seen_unix_s": seen_wall_s, "refused": wish.refused, "after": wish.after}
    return {**asdict(wish.desired), **kept}


def _wish_in(value: Any, now_s: float, wall_s: float) -> Wish | None:
    try:
        order = value["order"]
        desired = Desired(
            Colour(value["colour"]),
            int(value["generation"]),
            Order(
                **{
                    **order,
                    "kind": OrderKind(order["kind"]),
                    "colour": Colour(order["colour"]),
                    "prepared": tuple(order["prepared"]),
                }
            )
            if order
            else None,
        )
        age_s = max(0.0, wall_s - float(value["first_seen_unix_s"]))
        return Wish(desired, now_s - age_s, str(value.get("refused") or ""), int(value.get("after") or 0))
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _serving_in(value: Any) -> Serving | None:
    try:
        return Serving(**{**value, "colour": Colour(value["colour"]), "generation": int(value["generation"])})
    except (KeyError, TypeError, ValueError):
        return None


def _moment_s(at: str, otherwise_s: float) -> float:
    """A time in ISO 8601 as seconds of the wall clock."""
    try:
        return datetime.fromisoformat(at).timestamp()
    except ValueError:
        return otherwise_s


def _backend_in(value: Any) -> tuple[Backend, bool] | None:
    try:
        fields = dict(value)
        vetted = bool(fields.pop("vetted"))
        return Backend(**fields), vetted
    except (KeyError, TypeError, ValueError):
        return None


def _kept_in(value: Any, backends: Mapping[Colour, tuple[Backend, ...]]) -> dict[Colour, str]:
    kept = value if isinstance(value, Mapping) else {}
    return {colour: str(kept[colour]) for colour in Colour if colour in kept and backends[colour]}


def _list(kept: Mapping[str, Any], *path: str) -> list[Any]:
    value: Any = kept
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value if isinstance(value, list) else []
