"""Whether the fleet could go back to the other colour, judged from its ledger and the reports. Pure.

Rules that live here: a colour is last known good while all who live see it run just the release that was
confirmed on it; the way back of a fleet is as good as its worst living member says.
"""

from collections.abc import Mapping
from typing import Any

from bgctl import times
from bgctl.ending import Ended, late, refused
from bgctl.standing import App, colour_views, names
from bgd.core.actions import Revert
from bgd.core.model import Colour, Desired, Good
from bgd.core.reasons import Because
from bgd.core.way_back import not_last_known_good

Json = Mapping[str, Any]


def confirmed(app: App, colour: Colour) -> Good | None:
    """What is known good of a colour, while it runs that."""
    good = app.ledger.good.get(colour)
    return good if app.ledger.confirmed(colour, app.release(colour)) else None


def not_good(app: App, colour: Colour) -> tuple[Because, str] | None:
    """Why a colour is not last known good, or None when it is."""
    runs = app.releases(colour)
    shut = not_last_known_good(app.ledger, colour, runs)
    if shut is None and not runs:
        good = app.ledger.good[colour].release
        changed = f"{colour} was good with {good}, now runs several releases or none"
        return Because.REVERT_RELEASE_CHANGED, changed
    return shut


def not_alive(app: App, colour: Colour) -> tuple[Because, str] | None:
    """Why a colour could not serve: fewer than half of the living see a healthy backend of it."""
    blind = [member for member in app.alive if not member.colour(colour).healthy]
    if 2 * len(blind) < len(app.alive):
        return None
    return Because.REVERT_TARGET_DOWN, f"{colour} has no healthy backend on {names(blind)}"


def obstacle(app: App) -> Ended | None:
    """Why a revert is refused that nobody forces."""
    if app.desired is None:
        return refused(
            Because.NO_LIVE_KEY,
            f"{app.name}'s key names no colour: there is nothing to go back from",
            f"bgctl set-live COLOUR --app {app.name}",
        )
    if not app.alive:
        return late(
            Because.NODE_SILENT,
            f"no node lives that could say what is there, and do it; silent: {names(app.silent)}",
            "start bgd there (systemctl start bgd); --force writes the key nevertheless",
        )
    idle = app.desired.colour.other
    shut = not_good(app, idle) or not_alive(app, idle)
    if shut is None:
        return None
    return refused(
        shut[0],
        f"{shut[1]}; nothing was written",
        f"bgctl status {app.name}; bgctl set-live {idle} --app {app.name} asks the gates instead; or --force",
    )


def revert(app: App, wish: Desired, *, reason: str, force: bool) -> Revert:
    """The revert that a person orders, as the daemons would write it."""
    idle = wish.colour.other
    forced = force and obstacle(app) is not None
    release = app.release(idle) or ""
    return Revert(wish, idle, release, _left(app, wish), reason or "bgctl revert", force=forced)


def _left(app: App, wish: Desired) -> tuple[str, ...]:
    """The releases that are rejected: what failed, of a mixed colour all but what was good.

    What never served is not rejected, and never what the fleet goes back to.
    """
    if not any(member.serves_generation == wish.generation for member in app.members):
        return ()
    failed = app.ledger.failed(wish.colour, app.releases(wish.colour)) or _asked_for(app, wish)
    return tuple(sorted(failed - app.releases(wish.colour.other)))


def _asked_for(app: App, wish: Desired) -> frozenset[str]:
    if wish.order is not None and wish.order.release:
        return frozenset({wish.order.release})
    return frozenset(m.serving_release for m in app.members if m.serves == wish.colour) - {""}


# -- for people -----------------------------------------------------------------------------------


def way_back(app: App) -> Json | None:
    """What the members report: closed if it is for any of the living; None when none says anything."""
    told = [member.way_back for member in app.alive if member.way_back]
    return max(told, key=_closedness, default=None)


def _closedness(way: Json) -> tuple[bool, bool, str]:
    """Closed, for nobody knows how long, is the worst."""
    until = way.get("until")
    return way.get("open") is not True, until is None, str(until or "")


def line(app: App) -> str:
    """The way back in one line; empty when nobody has reported one."""
    way = way_back(app)
    if way is None or app.desired is None:
        return ""
    idle = app.desired.colour.other
    if way.get("open") is True:
        release, views = app.release(idle), colour_views(app, idle)
        told = views[0][1]
        return f"{' '.join(filter(None, (idle, release)))}, {told.healthy}/{told.registered} healthy"
    until, code, detail = times.clock(way.get("until")), way.get("because"), way.get("detail")
    why = f"paused: {detail}" if code == Because.PAUSED else detail or code
    return f"none{f' until {until}' if until else ''}: {why}"


def note(app: App, colour: Colour) -> str:
    """What the ledger says of a colour, and who serves it against the key."""
    fallen = names(m for m in app.alive if m.in_fallback and m.serves == colour)
    in_fallback = "" if fallen == "none" else f"in fallback on {fallen}"
    return ", ".join(filter(None, (in_fallback, _worth(app, colour))))


def _worth(app: App, colour: Colour) -> str:
    is_live = app.desired is not None and app.desired.colour is colour
    if app.releases(colour) & app.ledger.rejected:
        return "rejected"
    good = confirmed(app, colour)
    if good is None:
        return _probation(app) if is_live else ""
    if not is_live:
        return "last known good"
    age = times.ago(good.confirmed_at)
    return f"confirmed {age} ago" if age else "confirmed"


def _probation(app: App) -> str:
    told = [member for member in app.alive if member.because == Because.PROBATION]
    until = times.clock(max((member.until for member in told), default=""))
    return f"on probation until {until}" if until else ("on probation" if told else "")
