"""`bgctl policy`: the least that Consul's ACLs must allow, as HCL.

Rules that live here: nothing is allowed that no call needs, each line says what it is for, and whoever
names apps and node gets rules for these alone. Printing asks nobody, Consul least of all.
"""

from collections.abc import Iterator, Sequence

import click

from bgctl import options, output
from bgctl.call import Call, app_word
from bgctl.ending import misused
from bgd.store.keys import Keys, is_node

_APPS = click.option(
    "--app",
    "apps",
    metavar="APP",
    multiple=True,
    envvar="BGCTL_APP",
    help="Only this app; may be named more than once.",
)


@options.command("policy")
@click.argument("who", metavar="daemon|operator", type=click.Choice(["daemon", "operator"]))
@_APPS
@click.option("--node", default="", metavar="NODE", help="Only the daemon of this node.")
@click.option("--no-auto", is_flag=True, help="For daemons with revert.auto = false in every app.")
def policy(call: Call, *, who: str, apps: tuple[str, ...], node: str, no_auto: bool) -> None:
    """Print the least ACL policy for bgd on a load balancer, or for those who use bgctl.

    For example: bgctl policy daemon | consul acl policy create -name bgd -rules -
    """
    named = tuple(app_word(app) for app in apps)
    if node and not is_node(node):
        raise misused(f"{node!r} is no name for a node", "bgctl policy daemon --node lb-1")
    if who == "operator" and (node or no_auto):
        raise misused("--node and --no-auto are about daemons", "bgctl policy operator")
    if (node or no_auto) and not named:
        option = f"--node {node}" if node else "--no-auto"
        raise misused(
            f"which apps? {option} is about keys that have an app's name first",
            f"bgctl policy daemon {option} --app APP",
        )
    keys = call.keys
    lines = _daemon(keys, named, node, auto=not no_auto) if who == "daemon" else _operator(keys, named)
    rules = list(lines)
    if call.json:
        output.put_json({"schema": 1, "rules": "\n".join(rules)})
    else:
        for line in rules:
            output.put(line)


def _daemon(keys: Keys, apps: Sequence[str], node: str, *, auto: bool) -> Iterator[str]:
    yield "# bgd, on each load balancer" if not node else f"# bgd on {node}"
    yield "# its agent's name, unless bgd.toml says node"
    yield _rule("agent_prefix", "", "read")
    yield "# the backends of both colours, and the checks of Consul's own"
    yield _rule("service_prefix", "", "read")
    yield _rule("node_prefix", "", "read")
    yield "# that it lives"
    yield _rule("session_prefix", "", "write")
    yield _own(keys.living, node)
    yield "# wishes, verdicts and reports of all"
    yield _rule("key_prefix", f"{keys.prefix}/", "read")
    yield "# its own reports, and what it proved first"
    yield from _reports(keys, apps, node)
    yield from _below(keys.histories, apps)
    if auto:
        yield "# revert, decline and confirm: one transaction each, that only one daemon wins"
        yield from _acts(keys, apps)
    else:
        yield "# confirm"
        yield from (_rule("key_prefix", keys.goods(app), "write") for app in apps)


def _reports(keys: Keys, apps: Sequence[str], node: str) -> Iterator[str]:
    if not node:
        return _below(keys.nodes, apps)
    return (_rule("key", keys.report(app, node), "write") for app in apps)


def _acts(keys: Keys, apps: Sequence[str]) -> Iterator[str]:
    """All but `prepare`, which is people's; without names that cannot be said. `pause` is only looked at, but
    Consul asks for the right to write of whoever makes it a condition that a key does not exist."""
    if not apps:
        yield _rule("key_prefix", keys.apps, "write")
    for app in apps:
        for key in (keys.live(app), keys.order(app), keys.pause(app), keys.canary(app)):
            yield _rule("key", key, "write")
        yield _rule("key_prefix", keys.goods(app), "write")
        yield _rule("key_prefix", keys.rejections(app), "write")


def _operator(keys: Keys, apps: Sequence[str]) -> Iterator[str]:
    yield "# whoever uses bgctl"
    yield "# every question"
    yield _rule("key_prefix", f"{keys.prefix}/", "read")
    yield "# a preparation is held by a session, and gone with its bgctl"
    yield _rule("session_prefix", "", "write")
    yield "# init, set-live, revert, pause, unreject"
    yield from _below(keys.apps, apps)
    yield "# forget, on condition that the daemon does not live: Consul counts that as a write"
    yield _rule("key_prefix", keys.living, "write")
    yield from _below(keys.nodes, apps)
    yield from _below(keys.histories, apps)


def _below(tree: str, apps: Sequence[str]) -> Iterator[str]:
    """Writing below a tree: of these apps, or of all."""
    return (_rule("key_prefix", place, "write") for place in ([f"{tree}{app}/" for app in apps] or [tree]))


def _own(tree: str, node: str) -> str:
    return _rule("key", f"{tree}{node}", "write") if node else _rule("key_prefix", tree, "write")


def _rule(kind: str, name: str, right: str) -> str:
    return f'{kind} "{name}" {{ policy = "{right}" }}'
