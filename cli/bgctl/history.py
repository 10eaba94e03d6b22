"""`bgctl history`: who flipped what when, from where to where, why, how long it took, how it ended."""

from collections.abc import Mapping
from typing import Any

import click

from bgctl import options, output, times
from bgctl.call import Call

_HEAD = ("generation", "when", "what", "from", "to", "release", "by", "took", "outcome", "reason")


@options.command("history")
@options.app_argument
@click.option(
    "-n", "count", type=click.IntRange(1), default=20, show_default=True, help="How many, newest first."
)
def history(call: Call, *, app: str | None, count: int) -> None:
    """Show the newest flips of an app."""
    name = call.app_name(app)
    events = call.history(name, count)
    if call.json:
        return output.put_json({"schema": 1, "app": name, "history": events})
    if not events:
        return output.say(f"{name}: nothing has been flipped yet")
    output.put_table(_HEAD, [_row(event) for event in events])


def _row(event: dict[str, Any]) -> list[Any]:
    when = times.moment(event.get("at"))
    return [
        event.get("generation"),
        when.strftime("%Y-%m-%d %H:%M:%SZ") if when else event.get("at"),
        *(event.get(name) for name in ("what", "from", "to", "release", "by")),
        took(event),
        event.get("outcome"),
        event.get("reason"),
    ]


def took(event: Mapping[str, Any]) -> str | None:
    """How long an event took, with its unit."""
    for name, unit in (("took_ms", "ms"), ("took_s", "s"), ("took", "")):
        if event.get(name) is not None:
            return f"{event[name]} {unit}".strip()
    return None
