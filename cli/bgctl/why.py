"""`bgctl why`: what each member is doing or waiting for, and on which evidence."""

from typing import Any

from bgctl import options, output, standing, times
from bgctl.call import Call
from bgctl.standing import App
from bgctl.told import Json, Member
from bgd.core.model import Colour


@options.command("why")
@options.app_argument
def why(call: Call, *, app: str | None) -> None:
    """Say why each member does what it does, of one app or of all; docs/runbook.md explains the codes."""
    apps = [call.existing_app(app)] if app is not None else sorted(call.apps(), key=standing.rank)
    if call.json:
        return output.put_json({"schema": 1, "apps": [_as_json(one) for one in apps]})
    if not apps:
        return output.say(call.no_apps)
    for number, one in enumerate(apps):
        if number:
            output.put()
        _show(one)


def _show(app: App) -> None:
    because, detail = standing.worst(app)
    output.put(f"{app.name}: {because}{f': {detail}' if detail else ''}")
    output.put(f"  the key names {standing.named(app.live)}{_wisher(app)}")
    for member in app.members:
        output.put(f"  {member.node}: {member.reason}{_until(member.report)}")
        for line in _evidence(member):
            output.put(f"    {line}")


def _wisher(app: App) -> str:
    order = app.desired.order if app.desired else None
    if order is None:
        return ", by consul (an edit of the key)" if app.desired else ""
    because = f": {order.reason}" if order.reason else ""
    return f", by {order.by}{because}{', forced' if order.force else ''}"


def _until(report: Json) -> str:
    until = report.get("until")
    return f" (until {until})" if until else ""


def _evidence(member: Member) -> list[str]:
    report = member.report
    if not report:
        return ["its report cannot be read"]
    age = times.ago(report.get("at"))
    return [
        f"wish: {_wish(report.get('desired'))}",
        f"serves: {_serving(member)}",
        *(f"{colour}: {_seen(member, colour)}" for colour in Colour),
        *(f"left out: {sentence}" for sentence in member.left_out),
        *([f"told {age} ago"] if age else []),
    ]


def _wish(desired: Any) -> str:
    if not isinstance(desired, dict):
        return "none accepted yet"
    return f"{desired.get('colour')}, generation {desired.get('generation')}"


def _serving(member: Member) -> str:
    if not member.serves:
        return "nothing"
    proved = "proved" if member.serving.get("proved") is True else "not proved"
    return f"{member.serves}, generation {member.serves_generation}, {proved}"


def _seen(member: Member, colour: Colour) -> str:
    told = member.colour(colour)
    release = f", release {told.release}" if told.release else ""
    why = f"; {told.why}" if told.why else ""
    return f"{told.verdict}, {told.healthy}/{told.registered} healthy{release}{why}"


def _as_json(app: App) -> dict[str, Any]:
    because, detail = standing.worst(app)
    return {
        "app": app.name,
        "live": app.desired.colour.value if app.desired else None,
        "generation": app.generation,
        "because": str(because),
        "detail": detail or None,
        "members": [_member_json(member) for member in app.members],
    }


def _member_json(member: Member) -> dict[str, Any]:
    told = ("detail", "until", "desired", "serving", "colours", "left_out", "at")
    because = {"node": member.node, "alive": member.alive, "because": str(member.because) or None}
    return because | {name: member.report.get(name) for name in told}
