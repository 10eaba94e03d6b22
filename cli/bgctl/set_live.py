"""`bgctl set-live`: the fleet is to serve a colour, everywhere or nowhere.

Rules that live here: every member is asked before the key is touched, first for what it reports, then to
prepare; a no of one of them leaves the key untouched; then one transaction; then every member's proof is
waited for, also of one that was left out, and with --bake that the release has become known good.
"""

import math
import time

import click

from bgctl import forecast, options, output, prepare, prepared, progress, standing, writes
from bgctl.call import Call
from bgctl.ending import Ended, late, misused, refused
from bgctl.errand import Errand
from bgctl.standing import App
from bgd.core.model import Colour
from bgd.core.reasons import Because

_BAKE = "Wait until the release has served through its probation (without --timeout: however long)."
_FORCE = "Skip the gates, and prepare nothing (the proxies still check their configuration)."
_WITHOUT = "Do not wait for this node's acknowledgement; may be given more than once."
_DRY_RUN = "Only ask every member, gate by gate: 0 when all would take it, else 4."


@options.command("set-live")
@click.argument("colour", metavar="COLOUR", type=options.colour_word)
@options.app_option
@options.timeout_option
@click.option("--no-wait", is_flag=True, help="Return when the wish is written.")
@click.option("--bake", is_flag=True, help=_BAKE)
@click.option("--force", is_flag=True, help=_FORCE)
@click.option("--without", metavar="NODE", multiple=True, help=_WITHOUT)
@click.option("--dry-run", is_flag=True, help=_DRY_RUN)
@click.option("--reason", default="", help="Why; kept in the order and the history.")
def set_live(
    call: Call,
    *,
    colour: Colour,
    app: str | None,
    timeout: float,
    no_wait: bool,
    bake: bool,
    force: bool,
    without: tuple[str, ...],
    dry_run: bool,
    reason: str,
) -> None:
    """Make COLOUR live, and wait until every member has proved it.

    Before the key is written, every member prepares: it tries COLOUR's backends, checks the configuration
    that it would load, warms up, and acknowledges. Where one refuses, nothing is written (exit 4), nor
    where one is silent or does not answer in time (exit 3), nor beside somebody else's flip, nor when
    COLOUR is redeployed meanwhile (exit 4). --force skips all of that. Reverted while waiting is exit 5.

    A node left out by --without follows by itself. Its proof is waited for as everybody's: if it is silent,
    the others flip and the exit is 3, for as long as it is a member (bgctl forget NODE). So 0 always means
    that no member serves another colour.

    At the end stand the time from the key to the last node's proof, and from the first to the last (skew):
    by the nodes' clocks where these agree with the one here, else upper bounds by the one here, with a ≤.
    """
    if bake and no_wait:
        raise misused("--bake waits, and --no-wait does not: one of them")
    if dry_run and (force or bake or no_wait):
        raise misused("--dry-run only asks the gates: not with --force, --bake or --no-wait")
    name = call.app_name(app)
    errand = Errand(call, name, colour, time.monotonic() + timeout, force=force, waited=not no_wait)
    errand.back = f"back: bgctl set-live {colour.other} --app {name}"
    errand.without = frozenset(without)
    try:
        with progress.shown(as_json=call.json) as errand.view:
            seen = errand.last = call.existing_app(name)
            prepared.check_names(seen, errand.without)
            if dry_run:
                told = forecast.made(errand, seen)
            elif not _already_done(errand, seen):
                _carry_out(errand, reason)
            if bake:
                _bake(errand, errand.deadline_s if options.named_on_the_line("timeout") else math.inf)
        if not dry_run:
            errand.tell()
    except KeyboardInterrupt:
        raise errand.interrupted() from None
    except Ended as ended:
        raise errand.with_what_is_done(ended) from None
    if dry_run:
        forecast.tell(call, told)


def _already_done(errand: Errand, app: App) -> bool:
    """Named by the key and proved by every member: nothing to do."""
    if not app.serves_everywhere(errand.colour):
        return False
    errand.wish, errand.release, errand.waited = app.desired, app.release(errand.colour), True
    return True


def _carry_out(errand: Errand, reason: str) -> None:
    _write(errand, reason)
    if not errand.waited:
        return
    try:
        errand.see_through()
    except Ended as ended:
        if ended.because != Because.WISH_EXPIRED or not _redeployed_in_place(errand):
            raise
        output.say(f"{errand.app}: {errand.colour} runs another release since it was asked for; once more")
        _write(errand, reason)
        errand.see_through()


def _write(errand: Errand, reason: str) -> None:
    app = _admit(errand)
    if errand.force:
        errand.flags = flags = writes.own_flags()
        errand.write(
            app,
            lambda: writes.live(errand.call, app, errand.colour, reason=reason, force=True, flags=flags),
        )
    else:
        prepare.carry_out(errand, app, reason)
    if app.ledger.pause is not None:
        output.say(f"{app.name} is paused ({app.ledger.pause}): should it fail, nothing reverts it by itself")


def _redeployed_in_place(errand: Errand) -> bool:
    """All serve the colour already, so that asking for its new release moves no request."""
    app = errand.last
    return (
        app is not None
        and not standing.to_be_moved(app, errand.colour)
        and app.release(errand.colour) not in (None, errand.release)
    )


def _admit(errand: Errand) -> App:
    """The app at the moment when every member would take the flip (or, forced, as it is)."""
    for app in errand.follow():
        if errand.force:
            return app
        rejected = _rejected(errand.call, app, errand.colour)
        if obstacle := rejected or standing.obstacle(app, errand.colour, errand.without):
            raise obstacle
        errand.view.show(progress.gate(app, errand.colour))
        undecided = standing.undecided(app, errand.colour, errand.without)
        if not undecided and standing.orderable(app, errand.colour, errand.without):
            return app
    raise _undecided(errand)


def _rejected(call: Call, app: App, colour: Colour) -> Ended | None:
    release = app.release(colour)
    if release is None or release not in app.ledger.rejected:
        return None
    why = call.rejection(app.name, release).get("detail")
    return refused(
        Because.RELEASE_REJECTED,
        f"{colour} runs {release}, which was reverted{f': {why}' if why else ''}; nothing was written",
        f"deploy a release that is repaired; bgctl unreject {release} --app {app.name}; or --force",
    )


def _undecided(errand: Errand) -> Ended:
    assert errand.last is not None, "what is followed is shown once at least"
    waiting = standing.undecided(errand.last, errand.colour, errand.without)
    if not waiting:
        return _different(errand.last, errand)
    return late(
        Because.STARTING,
        f"{standing.names(waiting)} could not say in time whether {errand.colour} is ready; "
        "nothing was written",
        f"bgctl why {errand.app}; a longer --timeout, or --force",
    )


def _different(app: App, errand: Errand) -> Ended:
    """The order carries the release that was tried; there is not one."""
    colour, asked = errand.colour, standing.asked(app, errand.colour, errand.without)
    seen = "; ".join(f"{member.colour(colour).release or 'unknown'} on {member.node}" for member in asked)
    return refused(
        Because.MIXED_RELEASES,
        f"{colour} does not run one release for all members: {seen or 'nobody asked'}; nothing was written",
        f"bgctl status {app.name}; --force asks for no particular release",
    )


# -- probation ------------------------------------------------------------------------------------


def _bake(errand: Errand, deadline_s: float) -> None:
    """Wait until the release that was ordered is known good, and has served for its probation this time."""
    for app in errand.follow(deadline_s):
        errand.stop_if_ended(app)
        runs = app.release(errand.colour)
        errand.release = errand.release or runs
        release = errand.release
        if release and app.ledger.confirmed(errand.colour, release) and standing.steady_over(app, release):
            errand.confirmed = True
            return
        if runs not in (None, errand.release):
            raise _replaced(errand, runs)
        errand.view.show(progress.probation(app))
    raise _half_baked(errand)


def _replaced(errand: Errand, runs: str | None) -> Ended:
    return refused(
        Because.SUPERSEDED,
        f"{errand.colour} no longer runs {errand.release} but {runs}: its probation has begun anew",
        f"bgctl set-live {errand.colour} --bake --app {errand.app} waits for {runs}",
    )


def _half_baked(errand: Errand) -> Ended:
    release = errand.release or errand.colour
    return late(
        Because.PROBATION,
        f"{errand.colour} is live, and {release} is not known good yet",
        f"bgctl why {errand.app}; wait on: bgctl set-live {errand.colour} --bake --app {errand.app}",
    )
