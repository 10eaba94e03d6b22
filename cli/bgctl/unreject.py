"""`bgctl unreject`: a release that was reverted may be made live again."""

import click

from bgctl import options, output, writes
from bgctl.call import Call
from bgctl.ending import misused


@options.command("unreject")
@click.argument("release", metavar="RELEASE")
@options.app_option
def unreject(call: Call, *, release: str, app: str | None) -> None:
    """Lift the rejection of RELEASE, so that it may be made live and serve as the way back again."""
    if not release:
        raise misused("which release?", "bgctl why lists what is rejected")
    seen = call.existing_app(call.app_name(app))
    lifted = writes.unreject(call, seen.name, release)
    left = sorted(seen.ledger.rejected - {release})
    if call.json:
        fact = {"app": seen.name, "release": release, "changed": lifted, "rejected": left}
        return output.put_json({"schema": 1} | fact)
    output.put(f"{seen.name}: {release} is {'no longer' if lifted else 'not'} rejected")
    if left:
        output.say(f"still rejected: {', '.join(left)}")
