"""Members' reports as a daemon would write them, for the tests of who judges them."""

from typing import Any

from bgctl.standing import App
from bgctl.told import Member
from bgd.core.model import Colour, Desired, Ledger, LiveKey


def report(
    node: str,
    serves: str | None = "blue",
    generation: int = 10,
    *,
    proved: bool = True,
    because: str = "converged",
    detail: str = "",
    green: tuple[str, str | None] = ("up", None),
    release: str = "2.5.0",
    blue_release: str | None = "2.4.0",
    blue_healthy: int = 3,
    via: str = "runtime",
    fallback: bool = False,
    desired: int = 0,
    **more: Any,
) -> dict[str, Any]:
    """A report of a node; `green` is its verdict on green, and why green is no target."""
    serving = {"colour": serves, "generation": generation, "via": via, "took_ms": 3.1, "proved": proved}
    up = {"verdict": "up", "healthy": 3, "registered": 3, "release": "2.4.0", "sessions": 0, "why": None}
    return {
        "schema": 1,
        "node": node,
        "app": "shop",
        "at": "2026-01-31T12:00:00.123Z",
        "desired": {"colour": serves, "generation": desired or generation},
        "serving": serving | {"since": "2026-01-31T11:00:00Z", "fallback": fallback} if serves else None,
        "because": because,
        "detail": detail,
        "colours": {
            "blue": up | {"release": blue_release, "healthy": blue_healthy},
            "green": up | {"verdict": green[0], "why": green[1], "release": release},
        },
    } | more


def member(node: str, serves: str | None = "blue", *, alive: bool = True, **told: Any) -> Member:
    """A member that told this."""
    return Member(node, alive, report(node, serves, **told))


def app(
    *members: Member, live: LiveKey | None = None, name: str = "shop", ledger: Ledger | None = None
) -> App:
    """An app with these members; its key names blue, generation 10."""
    return App(name, live or Desired(Colour.BLUE, 10), members, ledger or Ledger())
