"""`bgctl why`: what each member is doing or waiting for, and on which evidence."""

from dataclasses import asdict
from typing import Any

from bgctl import going_back, options, output, standing, times
from bgctl.call import Call
from bgctl.standing import App
from bgctl.told import Json, Member
from bgd.core.model import Colour, Good

_TOLD = (
    *("detail", "until", "desired", "serving", "vote", "steady", "way_back"),
    *("colours", "left_out", "at"),
)


@options.command("why")
@options.app_argument
def why(call: Call, *, app: str | None) -> None:
    """Say why each member does what it does, of one app or of all; docs/runbook.md explains the codes."""
    apps = [call.existing_app(app)] if app is not None else sorted(call.apps(), key=standing.rank)
    if call.json:
        return output.put_json({"schema": 1, "apps": [_as_json(one, _rejections(call, one)) for one in apps]})
    if not apps:
        return output.say(call.no_apps)
    for number, one in enumerate(apps):
        if number:
            output.put()
        _show(one, _rejections(call, one))


def _rejections(call: Call, app: App) -> dict[str, Json]:
    """Each rejected release with what is written down about it."""
    return {release: call.rejection(app.name, release) for release in sorted(app.ledger.rejected)}


def _show(app: App, rejections: dict[str, Json]) -> None:
    because, detail = standing.worst(app)
    output.put(f"{app.name}: {because}{f': {detail}' if detail else ''}")
    output.put(f"  the key names {standing.named(app.live)}{_wisher(app)}")
    for line in _written_down(app, rejections):
        output.put(f"  {line}")
    for member in app.members:
        output.put(f"  {member.node}: {member.reason}{_until(member.until)}")
        for line in _evidence(member):
            output.put(f"    {line}")


def _written_down(app: App, rejections: dict[str, Json]) -> list[str]:
    """What the fleet has written down beside the wish."""
    way_back, pause = going_back.line(app), app.ledger.pause
    return [
        *([f"way back: {way_back}"] if way_back else []),
        *([f"paused: {pause} (until bgctl resume --app {app.name})"] if pause is not None else []),
        *(f"known good: {_good(colour, good)}" for colour, good in sorted(app.ledger.good.items())),
        *(f"rejected: {release}{_rejected(record)}" for release, record in rejections.items()),
    ]


def _good(colour: Colour, good: Good) -> str:
    age = times.ago(good.confirmed_at)
    return f"{colour} with {good.release}" + (f", confirmed {age} ago" if age else "")


def _rejected(record: Json) -> str:
    age, detail = times.ago(record.get("at")), record.get("detail")
    return (f", {age} ago" if age else "") + (f": {detail}" if detail else "")


def _wisher(app: App) -> str:
    order = app.desired.order if app.desired else None
    if order is None:
        return ", by consul (an edit of the key)" if app.desired else ""
    because = f": {order.reason}" if order.reason else ""
    return f", by {order.by}{because}{', forced' if order.force else ''}"


def _until(until: str) -> str:
    at = times.clock(until)
    return f" (until {at})" if at else ""


def _evidence(member: Member) -> list[str]:
    report = member.report
    if not report:
        return ["its report cannot be read"]
    age = times.ago(report.get("at"))
    return [
        f"wish: {_wish(report.get('desired'))}",
        f"serves: {_serving(member)}",
        *(f"{colour}: {_seen(member, colour)}" for colour in Colour),
        *_opinions(member),
        *(f"left out: {sentence}" for sentence in member.left_out),
        *([f"told {age} ago"] if age else []),
    ]


def _opinions(member: Member) -> list[str]:
    """What it contributes to what the fleet decides."""
    vote, steady, way = member.vote, member.steady, member.way_back
    closed = way.get("open") is False
    return [
        *([f"votes for a revert: {vote.get('evidence') or 'live is down'}"] if vote else []),
        *([f"steady: {_steady(steady)}"] if steady else []),
        *([f"no way back: {_way_back(way)}"] if closed else []),
    ]


def _steady(steady: Json) -> str:
    over = "for its whole probation" if steady.get("over") is True else "not for its whole probation yet"
    age = times.ago(steady.get("since"))
    return f"release {steady.get('release')}{f' since {age}' if age else ''}, {over}"


def _way_back(way: Json) -> str:
    text = ": ".join(str(way[name]) for name in ("because", "detail") if way.get(name))
    return f"{text}{_until(str(way.get('until') or ''))}"


def _wish(desired: Any) -> str:
    if not isinstance(desired, dict):
        return "none accepted yet"
    return f"{desired.get('colour')}, generation {desired.get('generation')}"


def _serving(member: Member) -> str:
    if not member.serves:
        return "nothing"
    proved = "proved" if member.serving.get("proved") is True else "not proved"
    fallen = ", in fallback" if member.in_fallback else ""
    return f"{member.serves}, generation {member.serves_generation}, {proved}{fallen}"


def _seen(member: Member, colour: Colour) -> str:
    told = member.colour(colour)
    release = f", release {told.release}" if told.release else ""
    why = f"; {told.why}" if told.why else ""
    return f"{told.verdict}, {told.healthy}/{told.registered} healthy{release}{why}"


def _as_json(app: App, rejections: dict[str, Json]) -> dict[str, Any]:
    because, detail = standing.worst(app)
    return {
        "app": app.name,
        "live": app.desired.colour.value if app.desired else None,
        "generation": app.generation,
        "because": str(because),
        "detail": detail or None,
        "way_back": going_back.way_back(app),
        "paused": app.ledger.pause,
        "good": {colour.value: asdict(good) for colour, good in sorted(app.ledger.good.items())},
        "rejected": [{"release": release, **_told(record)} for release, record in rejections.items()],
        "members": [_member_json(member) for member in app.members],
    }


def _told(record: Json) -> Json:
    return {name: record.get(name) for name in ("colour", "generation", "because", "detail", "at")}


def _member_json(member: Member) -> dict[str, Any]:
    because = {"node": member.node, "alive": member.alive, "because": str(member.because) or None}
    return because | {name: member.report.get(name) for name in _TOLD}
