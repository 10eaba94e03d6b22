"""`bgctl wait`: block until the fleet is where a pipeline needs it.

Rules that live here: *ready*, *converged* and *drained* are said only when every member, silent ones
included, says so; not in time is exit 3, with who was waited for; a wish that the fleet reverts meanwhile is
exit 5, one that it declines exit 4. Sessions end when they end: for *drained* no time is set.
"""

import math
import time
from collections.abc import Iterator

import click

from bgctl import drained as draining
from bgctl import fate, options, output, progress, standing
from bgctl.call import Call
from bgctl.ending import Ended, late, misused
from bgctl.progress import View
from bgctl.standing import App
from bgd.core.model import Colour
from bgd.core.reasons import Because

_WAIT_S = 60.0
_READY = "Every member would take a flip to it."
_CONVERGED = "Every member has proved what the key names."
_DRAINED = "It may be destroyed: nobody serves it, nothing is open on it, and live is known good."
_NOW = "With --drained: although live's release is not known good yet."
_TIMEOUT = "How long to wait.  [default: 60s; --drained: for ever]"


@options.command("wait")
@click.option("--ready", type=options.colour_word, metavar="COLOUR", help=_READY)
@click.option("--converged", is_flag=True, help=_CONVERGED)
@click.option("--drained", type=options.colour_word, metavar="COLOUR", help=_DRAINED)
@click.option("--now", is_flag=True, help=_NOW)
@options.app_option
@click.option("--timeout", metavar="DURATION", type=options.duration, help=_TIMEOUT)
def wait(
    call: Call,
    *,
    ready: Colour | None,
    converged: bool,
    drained: Colour | None,
    now: bool,
    app: str | None,
    timeout: float | None,
) -> None:
    """Wait until a colour is ready, the fleet has converged, or a colour may be destroyed."""
    if [bool(ready), converged, bool(drained)].count(True) != 1:
        raise misused("wait for what? Give --ready COLOUR, --converged or --drained COLOUR, one of them")
    if now and not drained:
        raise misused("--now is about what --drained waits for")
    name = call.app_name(app)
    call.existing_app(name)
    wait_s = (math.inf if drained else _WAIT_S) if timeout is None else timeout
    seen = call.follow(name, time.monotonic() + wait_s)
    with progress.shown(as_json=call.json) as view:
        if drained:
            app_seen, fact = _until_drained(seen, drained, view, now=now), f"{drained} is drained"
        elif ready:
            app_seen, fact = _until_ready(seen, ready, view), f"{ready} is ready"
        else:
            app_seen, fact = _until_converged(seen, view), "converged"
    _tell(call, app_seen, fact)


def _until_ready(seen: Iterator[App], colour: Colour, view: View) -> App:
    app = None
    for app in seen:
        view.show(progress.gate(app, colour))
        if standing.ready(app, colour):
            return app
    assert app is not None, "what is followed is shown once at least"
    raise _not_ready(app, colour)


def _not_ready(app: App, colour: Colour) -> Ended:
    obstacle = standing.obstacle(app, colour)
    if obstacle:
        return late(obstacle.because, obstacle.detail, f"bgctl why {app.name}")
    unknown = standing.names(standing.undecided(app, colour))
    detail = f"{unknown} cannot say yet whether {colour} is ready"
    return late(Because.STARTING, detail, f"bgctl why {app.name}")


def _until_converged(seen: Iterator[App], view: View) -> App:
    app, wish = None, None
    for app in seen:
        if wish is not None and (ended := fate.ended_by_fleet(app, wish)):
            raise ended
        wish = app.desired or wish
        if app.desired:
            view.show(progress.proof(app, app.desired))
        if app.converged:
            return app
    assert app is not None, "what is followed is shown once at least"
    because, detail = standing.worst(app)
    raise late(because, f"{app.name} has not converged: {detail or because}", f"bgctl why {app.name}")


def _until_drained(seen: Iterator[App], colour: Colour, view: View, *, now: bool) -> App:
    app, wish = None, None
    for app in seen:
        if ended := draining.taken_back(app, colour, wish):
            raise ended
        view.show(draining.rows(app, colour, now=now))
        if draining.drained(app, colour, now=now):
            return app
        wish = app.desired or wish
    assert app is not None, "what is followed is shown once at least"
    raise draining.not_in_time(app, colour, now=now)


def _tell(call: Call, app: App, fact: str) -> None:
    nodes = [member.node for member in app.members]
    if call.json:
        told = {"app": app.name, "generation": app.generation, "fact": fact, "members": nodes}
        output.put_json({"schema": 1} | told)
    else:
        output.put(f"{app.name}: {fact} on {', '.join(nodes)}; the key names {standing.named(app.live)}")
