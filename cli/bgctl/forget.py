"""`bgctl forget`: the end of a node's membership, or of an app.

Rules that live here: only who is silent can be forgotten, and only an app about which nobody reports; an
app is never deleted because a variable of the environment names it.
"""

import click

from bgctl import options, output, writes
from bgctl.call import Call, app_word
from bgctl.ending import misused
from bgctl.nearest import nearest
from bgctl.standing import App


@options.command("forget")
@click.argument("node", metavar="[NODE]", required=False)
@options.app_option
def forget(call: Call, *, node: str | None, app: str | None) -> None:
    """End the membership of the silent NODE, of every app or of one; or delete all keys of an app.

    Without NODE, --app APP is deleted: its wish, its history, all of it. Both are refused while a daemon
    is there that would write them anew.
    """
    if node is None:
        return _forget_app(call, app)
    apps = [call.existing_app(app)] if app is not None else call.apps()
    _forget_node(call, node, apps)


def _forget_node(call: Call, node: str, apps: list[App]) -> None:
    memberships = [(one.name, member) for one in apps for member in one.members if member.node == node]
    if any(member.alive for _, member in memberships):
        raise writes.still_alive(node)
    if not memberships and not any(writes.was_member(call, one.name, node) for one in apps):
        known = sorted({member.node for one in apps for member in one.members})
        raise misused(f"no node {node} has ever reported{nearest(node, known)}", "bgctl status APP")
    ended = [name for name, _ in memberships if writes.forget_member(call, name, node)]
    if call.json:
        return output.put_json({"schema": 1, "node": node, "apps": ended, "changed": bool(ended)})
    if not ended:
        return output.put(f"{node} is no member any more")
    for name, member in memberships:
        served = f"; it served {member.serves} when it was last heard" if member.serves else ""
        output.put(f"{name}: {node} is no member any more{served}")


def _forget_app(call: Call, app: str | None) -> None:
    if app is None or not options.named_on_the_line("app"):
        raise misused("forget whom?", "bgctl forget NODE, or bgctl forget --app APP for an app's keys")
    count = writes.forget_app(call, app_word(app))
    if not count:
        raise misused(f"no app {app} below the prefix{nearest(app, call.known())}", "bgctl status lists them")
    if call.json:
        return output.put_json({"schema": 1, "app": app, "keys": count, "changed": True})
    output.put(f"{app}: all of its {count} keys are deleted")
