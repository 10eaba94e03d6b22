"""`bgctl status`: what is live, how both colours look, and where every member stands.

Rule that lives here: without an app, one line each with the worst first. How an app reads is in `cells`.
"""

from typing import Any

from bgctl import cells, going_back, options, output, standing
from bgctl.call import Call
from bgctl.standing import App
from bgd.core.model import Order


@options.command("status")
@options.app_argument
def status(call: Call, *, app: str | None) -> None:
    """Show one line per app, worst first; or all about one app."""
    apps = [call.existing_app(app)] if app is not None else sorted(call.apps(), key=standing.rank)
    if call.json:
        return output.put_json({"schema": 1, "apps": [_as_json(one) for one in apps]})
    if app is not None:
        return _show(apps[0])
    if not apps:
        return output.say(call.no_apps)
    output.put_table(cells.APPS, [cells.line(one) for one in apps])


def _show(app: App) -> None:
    output.put(cells.headline(app))
    for line in cells.beneath(app):
        output.put(f"{' ' * len(app.name)}   {line}")
    output.put()
    output.put_table(cells.COLOURS, [cells.colour_row(app, colour) for colour in cells.live_first(app)])
    output.put()
    if app.members:
        output.put_table(cells.MEMBERS, [cells.member_row(member, app.desired) for member in app.members])
    else:
        output.put("no node has ever reported: is bgd running with this app in its bgd.toml?")


def _as_json(app: App) -> dict[str, Any]:
    because, detail = standing.worst(app)
    return {
        "app": app.name,
        "live": app.desired.colour.value if app.desired else None,
        "generation": app.generation,
        "order": _order_json(app.desired.order if app.desired else None),
        "way_back": going_back.way_back(app),
        "paused": app.ledger.pause,
        "because": str(because),
        "detail": detail or None,
        "members": [{**member.report, "node": member.node, "alive": member.alive} for member in app.members],
    }


def _order_json(order: Order | None) -> dict[str, Any] | None:
    if order is None:
        return None
    return {
        "kind": order.kind.value,
        "colour": order.colour.value,
        "release": order.release,
        "by": order.by,
        "reason": order.reason,
        "force": order.force,
        "prepared": list(order.prepared),
        "after": order.after,
        "at": order.at,
    }
