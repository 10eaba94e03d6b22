"""An app in words: its headline, and the cells of its tables. Pure: for `status` and for the live screen.

Rules that live here: numbers that members disagree about are shown by the worst of them; a silent member
is shown with what it said last.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from bgctl import going_back, standing, times
from bgctl.standing import App
from bgctl.told import Member
from bgd.core.model import Colour, Desired, Order, Preparation
from bgd.core.reasons import Because

APPS = ("app", "live", "release", "healthy", "members", "because", "")
COLOURS = ("colour", "release", "healthy", "sessions", "verdict", "")
MEMBERS = ("node", "serves", "via", "took", "because", "")


def line(app: App) -> list[Any]:
    """Its line among all apps."""
    wish = app.desired
    because, detail = standing.worst(app)
    proved = len(app.proved(wish)) if wish else 0
    colour = wish.colour if wish else None
    return [
        app.name,
        colour,
        app.release(colour) if colour else None,
        _healthy(app, colour) if colour else None,
        f"{proved}/{len(app.members)}",
        because,
        detail,
    ]


def headline(app: App) -> str:
    """What is live, since when, and by whom."""
    wish = app.desired
    if wish is None:
        return f"{app.name}   ○ {': '.join(standing.worst(app))}"
    release = app.release(wish.colour)
    live = f"{wish.colour} {release}" if release else wish.colour.value
    parts = [f"{live} live{_since(app, wish)}", f"generation {wish.generation}", _by(wish.order)]
    return f"{app.name}   ● {' · '.join(parts)}"


def beneath(app: App) -> list[str]:
    """The way back, what is being prepared, and whether it is paused."""
    way_back, pause, asked = going_back.line(app), app.ledger.pause, app.ledger.preparation
    return [
        *([f"way back: {way_back}"] if way_back else []),
        *([f"being prepared: {_prepared(asked)}"] if asked else []),
        *([f"paused: {pause} (bgctl resume --app {app.name})"] if pause is not None else []),
    ]


def _prepared(asked: Preparation) -> str:
    colour = f"{asked.colour} {asked.release}" if asked.release else asked.colour.value
    forecast = ", as a forecast" if asked.dry else ""
    return f"{colour} by {asked.by or 'unknown'}{forecast}"


def _by(order: Order | None) -> str:
    if order is None:
        return "by consul"
    return f'by {order.by}: "{order.reason}"' if order.reason else f"by {order.by}"


def _since(app: App, wish: Desired) -> str:
    serving = [str(member.serving.get("since")) for member in app.proved(wish)]
    began = min(filter(times.moment, serving), default=wish.order.at if wish.order else "")
    age = times.ago(began)
    return f" since {age}" if age else ""


def live_first(app: App) -> list[Colour]:
    """Both colours."""
    live = app.desired.colour if app.desired else Colour.BLUE
    return [live, live.other]


def colour_row(app: App, colour: Colour) -> list[Any]:
    """The cells of a colour."""
    views = standing.colour_views(app, colour)
    releases = sorted({told.release for _, told in views} - {""})
    return [
        colour,
        ", ".join(releases),
        _healthy(app, colour),
        _sessions(told.sessions for _, told in views),
        *_verdict(app, colour),
    ]


def _sessions(told: Iterable[int | None]) -> str | None:
    """The sum; `7+` when somebody does not know his part of it."""
    each = list(told)
    known = [count for count in each if count is not None]
    return f"{sum(known)}{'+' if len(known) < len(each) else ''}" if known else None


def _healthy(app: App, colour: Colour) -> str | None:
    views = standing.colour_views(app, colour)
    return f"{views[0][1].healthy}/{views[0][1].registered}" if views else None


def _verdict(app: App, colour: Colour) -> tuple[str | None, str]:
    """The worst verdict with who has it, when others have another; and what else is known of the colour."""
    views, note = standing.colour_views(app, colour), going_back.note(app, colour)
    if not views:
        return None, note
    member, told = views[0]
    differ = len({view.verdict for _, view in views}) > 1
    where = f" on {member.node}" if differ else ""
    return f"{told.verdict}{where}", " · ".join(filter(None, (note, told.why)))


def member_row(member: Member, wish: Desired | None) -> list[Any]:
    """The cells of a member."""
    if not member.alive:
        return [member.node, None, None, None, member.because, _silence(member)]
    took = member.serving.get("took_ms")
    return [
        member.node,
        member.serves,
        member.serving.get("via"),
        f"{took} ms" if took is not None else None,
        member.because,
        " · ".join(filter(None, (_detail(member), _lag(member, wish)))),
    ]


def _detail(member: Member) -> str:
    if not member.report:
        return "its report cannot be read"
    until = times.clock(member.until)
    return ", ".join(filter(None, (member.detail, f"until {until}" if until else "")))


def _silence(member: Member) -> str:
    age = times.ago(member.report.get("at"))
    served = f"served {member.serves}" if member.serves else "served nothing"
    return ", ".join(filter(None, ("silent", f"last report {age} ago" if age else "", served)))


def _lag(member: Member, wish: Desired | None, now: datetime | None = None) -> str:
    if wish is None or member.proved(wish.colour, wish.generation):
        return ""
    if member.serves_generation == wish.generation:
        fallen = "" if member.because == Because.FALLBACK_SERVING else "in fallback"
        return fallen if member.in_fallback else "not proved"
    asked = times.ago(wish.order.at, now) if wish.order else ""
    behind = f"at generation {member.serves_generation or '–'}, not {wish.generation}"
    return f"{behind} (asked {asked} ago)" if asked else behind
