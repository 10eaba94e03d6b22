"""`bgctl init`: an app's first keys. Rule: a key that exists is never changed by it."""

import click

from bgctl import options, output, writes
from bgctl.call import Call, app_word
from bgctl.ending import Ended, Exit, misused, refused
from bgd.core.model import Colour, Desired
from bgd.core.reasons import Because


@options.command("init")
@options.app_argument
@click.option(
    "--live",
    "colour",
    metavar="COLOUR",
    type=options.colour_word,
    required=True,
    help="The colour that is live.",
)
@click.option("--reason", default="", help="Why; kept in the order.")
def init(call: Call, *, app: str | None, colour: Colour, reason: str) -> None:
    """Write APP's first keys: from then on its nodes serve the colour.

    A key that exists is left alone: exit 0 when it names that colour, else 4.
    """
    if app is None:
        raise misused("init which app?", "bgctl init APP --live COLOUR")
    try:
        made, wish = writes.first(call, app_word(app), colour, reason=reason)
    except KeyboardInterrupt:
        detail = f"interrupted while {app}'s first keys were being written: they may be written or not"
        raise Ended(Exit.INTERRUPTED, "interrupted", detail, f"bgctl status {app}") from None
    if wish is None or wish.colour is not colour:
        there = f"names {wish.colour}" if wish else "holds no colour"
        raise refused(
            Because.SUPERSEDED,
            f"{app}'s live key exists already and {there}",
            f"bgctl set-live {colour} --app {app}",
        )
    _tell(call, app, wish, made)


def _tell(call: Call, name: str, wish: Desired, made: bool) -> None:
    if call.json:
        fact = {"app": name, "colour": wish.colour.value, "generation": wish.generation, "changed": made}
        output.put_json({"schema": 1} | fact)
    else:
        already = "" if made else "already "
        output.put(f"{name}: {wish.colour} is {already}live, generation {wish.generation}")
