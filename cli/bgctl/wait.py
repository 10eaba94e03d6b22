"""`bgctl wait`: block until the fleet is where a pipeline needs it.

Rules that live here: *ready* and *converged* are said only when every member, silent ones included,
says so; not in time is exit 3, with who was waited for; a wish that the fleet reverts meanwhile is exit 5,
one that it declines exit 4.
"""

import time
from collections.abc import Iterator

import click

from bgctl import fate, options, output, progress, standing
from bgctl.call import Call
from bgctl.ending import Ended, late, misused
from bgctl.progress import View
from bgctl.standing import App
from bgd.core.model import Colour
from bgd.core.reasons import Because

_READY = "Every member would take a flip to it."
_CONVERGED = "Every member has proved what the key names."


@options.command("wait")
@click.option("--ready", type=options.colour_word, metavar="COLOUR", help=_READY)
@click.option("--converged", is_flag=True, help=_CONVERGED)
@options.app_option
@options.timeout_option
def wait(call: Call, *, ready: Colour | None, converged: bool, app: str | None, timeout: float) -> None:
    """Wait until a colour is ready to be flipped to, or until every member has proved the wish."""
    if bool(ready) is converged:
        raise misused("wait for what? Give --ready COLOUR or --converged, one of them")
    name = call.app_name(app)
    call.existing_app(name)
    seen = call.follow(name, time.monotonic() + timeout)
    with progress.shown(as_json=call.json) as view:
        app_seen = _until_ready(seen, ready, view) if ready else _until_converged(seen, view)
    _tell(call, app_seen, f"{ready} is ready" if ready else "converged")


def _until_ready(seen: Iterator[App], colour: Colour, view: View) -> App:
    app = None
    for app in seen:
        if standing.ready(app, colour):
            return app
        view.show(progress.gate(app, colour))
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
        if app.converged:
            return app
        wish = app.desired or wish
        if app.desired:
            view.show(progress.proof(app, app.desired))
    assert app is not None, "what is followed is shown once at least"
    because, detail = standing.worst(app)
    raise late(because, f"{app.name} has not converged: {detail or because}", f"bgctl why {app.name}")


def _tell(call: Call, app: App, fact: str) -> None:
    nodes = [member.node for member in app.members]
    if call.json:
        told = {"app": app.name, "generation": app.generation, "fact": fact, "members": nodes}
        output.put_json({"schema": 1} | told)
    else:
        output.put(f"{app.name}: {fact} on {', '.join(nodes)}; the key names {standing.named(app.live)}")
