"""Whether a colour may be destroyed: nobody serves it or may serve it, and nothing is open on it. Pure.

Rules that live here: a silent member may have fallen back to it, or may do so as long as its bgd runs, and
its proxy longer than that; so it counts as one that serves it, whatever it said last. What is not known is
not none. Until live's release is known good a revert may bring the colour back.
"""

from bgctl import fate, going_back, standing, times
from bgctl.ending import Ended, Exit, late, refused
from bgctl.progress import Row
from bgctl.standing import App
from bgctl.told import Member
from bgd.core.model import Colour, Desired, Order, OrderKind
from bgd.core.reasons import Because

DRAINING = "draining"
"""Something is still open; no reason of a node's, and no fault."""


def drained(app: App, colour: Colour, *, now: bool = False) -> bool:
    """Whether it may be destroyed; `now`: although live's release is not known good yet."""
    return (
        bool(app.members)
        and app.desired is not None
        and app.desired.colour is not colour
        and not _asked_for(app, colour)
        and (now or _confirmed(app, colour.other))
        and all(_left(app, member, colour) == 0 for member in app.members)
    )


def rows(app: App, colour: Colour, *, now: bool = False) -> list[Row]:
    """Who still has how many, and what else is waited for."""
    if not app.members:
        return [Row("no node", "has ever reported")]
    return [_row(app, member, colour, _beside(app, colour, now=now)) for member in app.members]


def taken_back(app: App, colour: Colour, wish: Desired | None) -> Ended | None:
    """The ending when the key names the colour, after `wish` or from the beginning; else None."""
    if app.desired is None or app.desired.colour is not colour:
        return None
    if wish is not None and (ended := fate.ending(app, wish)):
        return ended
    order = app.desired.order
    detail = (
        f"{app.name}'s key names {standing.named(app.live)}{_by(order)}: it is live, and not to be destroyed"
    )
    if order is not None and order.kind is OrderKind.REVERT:
        return Ended(Exit.REVERTED, Because.REVERTING, detail, f"bgctl why {app.name}")
    return refused(Because.SUPERSEDED, detail, f"bgctl set-live {colour.other} --app {app.name}")


def not_in_time(app: App, colour: Colour, *, now: bool = False) -> Ended:
    """What the colour still waits for."""
    waiting = [row for row in rows(app, colour, now=now) if row.done is not True]
    said = "; ".join(f"{row.node}: {', '.join(filter(None, (row.phase, row.detail)))}" for row in waiting)
    silent = standing.names(app.silent)
    cure = f"start bgd on {silent}, or end its membership: bgctl forget NODE" if app.silent else ""
    detail = f"{colour} is not drained: {said or _beside(app, colour, now=now)}"
    return late(_because(app, colour), detail, cure or f"bgctl status {app.name}")


def _because(app: App, colour: Colour) -> str:
    if app.silent or not app.members:
        return Because.NODE_SILENT
    if all(_left(app, member, colour) == 0 for member in app.members):
        return Because.PREPARING if _asked_for(app, colour) else Because.PROBATION
    return DRAINING


def _by(order: Order | None) -> str:
    return f", by {order.by}{f': {order.reason}' if order.reason else ''}" if order else ""


def _left(app: App, member: Member, colour: Colour) -> int | None:
    """How many are open on it there; None when that is not known, or nobody can say how many will be."""
    if app.desired is None or not member.proved(app.desired.colour, app.desired.generation) or member.vote:
        return None
    return member.colour(colour).sessions


def _row(app: App, member: Member, colour: Colour, beside: str) -> Row:
    left = _left(app, member, colour)
    if not member.alive:
        served = f"served {member.serves or 'nothing'}"
        return Row(member.node, "silent", f"{served}; nobody knows what it serves now", False)
    if left:
        return Row(member.node, f"{left} open on {colour}", _cut(member))
    if left == 0:
        return Row(member.node, f"{colour} drained", beside or _cut(member), None if beside else True)
    if member.serves == colour:
        return Row(member.node, f"serves {colour}", member.reason, False if member.in_fallback else None)
    if member.vote:
        return Row(member.node, "may go back", member.reason, False)
    if app.desired is None or not member.proved(app.desired.colour, app.desired.generation):
        return Row(member.node, f"serves {member.serves or 'nothing'}", f"not proved: {member.reason}")
    return Row(member.node, f"does not know yet what is open on {colour}", member.reason)


def _cut(member: Member) -> str:
    cut = member.report.get("cut")
    return f"{cut} cut" if isinstance(cut, int) and cut else ""


def _beside(app: App, colour: Colour, *, now: bool) -> str:
    """What stands against it beside sessions; empty when nothing does."""
    if app.desired is None:
        return f"the key names {standing.named(app.live)}"
    if preparation := _asked_for(app, colour):
        return preparation
    if now or _confirmed(app, colour.other):
        return ""
    until = max((member.until for member in app.alive if member.because == Because.PROBATION), default="")
    shown = f" until {times.clock(until)}" if until else ""
    release = app.release(colour.other)
    return f"{colour.other}{f' {release}' if release else ''} is not known good yet: on probation{shown}"


def _asked_for(app: App, colour: Colour) -> str:
    """Somebody is about to make it live again."""
    asked = app.ledger.preparation
    return (
        f"{asked.by or 'somebody'} is flipping to it"
        if asked and asked.colour is colour and not asked.dry
        else ""
    )


def _confirmed(app: App, live: Colour) -> bool:
    return going_back.confirmed(app, live) is not None
