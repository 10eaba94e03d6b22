"""`bgctl revert`: the daemons' own revert, ordered by a person.

Rules that live here: it leads to the other colour if that is last known good, a pause does not stop it,
and nobody is asked to prepare; the release left is rejected; nothing automatic follows.
"""

import time

import click

from bgctl import going_back, options, output, progress, writes
from bgctl.call import Call
from bgctl.ending import Ended
from bgctl.errand import Errand
from bgctl.standing import App
from bgd.core.actions import Revert
from bgd.core.model import Desired


@options.command("revert")
@options.app_option
@options.timeout_option
@click.option("--no-wait", is_flag=True, help="Return when the revert is written.")
@click.option("--force", is_flag=True, help="Also to a colour that is not last known good.")
@click.option("--reason", default="", help="Why; kept in the order, the history and the rejection.")
def revert(call: Call, *, app: str | None, timeout: float, no_wait: bool, force: bool, reason: str) -> None:
    """Go back to the other colour, and wait until every member has proved it.

    Refused (exit 4) unless that colour is last known good and alive. The release left is rejected: it is
    not made live again without --force, until `bgctl unreject`. Nothing automatic follows, until the
    next wish.
    """
    name = call.app_name(app)
    seen = call.existing_app(name)
    obstacle = going_back.obstacle(seen)
    if obstacle and (seen.desired is None or not force):
        raise obstacle
    assert seen.desired is not None, "without a wish there is an obstacle"
    action = going_back.revert(seen, seen.desired, reason=reason, force=force)
    errand = Errand(call, name, action.colour, time.monotonic() + timeout, force=force, waited=not no_wait)
    try:
        with progress.shown(as_json=call.json) as errand.view:
            _carry_out(errand, seen, action)
    except KeyboardInterrupt:
        raise errand.interrupted() from None
    except Ended as ended:
        raise errand.with_what_is_done(ended) from None
    errand.tell(rejected=list(action.rejected))


def _carry_out(errand: Errand, seen: App, action: Revert) -> None:
    errand.write(seen, lambda: write(errand.call, seen, action))
    for release in action.rejected:
        lift = f"bgctl unreject {release} --app {seen.name} lifts that"
        output.say(f"{seen.name}: {release} is rejected; {lift}")
    output.say(f"{seen.name}: nothing automatic follows, until the next bgctl set-live")
    if errand.waited:
        errand.see_through()


def write(call: Call, seen: App, action: Revert) -> Desired:
    """The revert's transaction; its generation."""
    wish = writes.revert(call, seen, action)
    if action.release in seen.ledger.rejected:  # whoever insists on it lifts that, as with set-live
        writes.unreject(call, seen.name, action.release)
    return wish
