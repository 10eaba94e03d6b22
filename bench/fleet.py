"""A fleet of six, flipped by one order: how far apart the nodes are, and how long after the key the last is.

Rules: three nodes are on HAProxy, three on nginx, each with a load of its own, all on one Consul of three
servers; whoever takes part is flipped in turns, in one run. The figures are those of a machine that all
share: what six daemons do at the same moment, its cores do one after the other. A node's last old answer is
known as finely as its load asks.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from pathlib import Path

import attrs
from tests.integration import fleet_seen, fleet_world
from tests.integration.consul import ConsulServer
from tests.integration.fleet_seen import Asked, Flipped
from tests.integration.fleet_world import Fleet
from tests.integration.load import Load

from bench import by_hand
from bench.by_hand import Apps
from bench.contenders import Follower, FollowerOnNginx
from bench.table import columns
from bench.turns import COLOURS, PAUSE_S
from bgctl.demo.parts import fetch
from bgctl.demo.process import scratch, until

LANES = {"kept": 3, "new": 3}
HEAD = (
    *("", "flips", "skew ms: median", "p90", "worst", "both colours", "key to last node", "of least"),
    *("requests", "lost"),
)


@attrs.define
class Score:
    """What the turns of one who takes part came to."""

    name: str
    fronts: Mapping[str, int]
    path: str
    flip: Callable[[str], Asked]
    flips: list[Flipped] = attrs.field(factory=list)
    requests: int = 0
    lost: int = 0

    @property
    def late_ms(self) -> float:
        return fleet_seen.spread([each.late_ms for each in self.flips])[0]


def measured(rounds: int, flips: int, say: Callable[[str], None]) -> str:
    """The table of a run with so many turns of so many flips each."""
    with scratch("bgd-bench-") as made, ExitStack() as stack:
        folder = Path(made)
        say("fleet: six nodes start")
        six = stack.enter_context(fleet_world.fleet(folder))
        scores = [
            Score("bgd, set-live", fronts(six), "/", partial(by_order, six)),
            Score("bgd, a plain PUT", fronts(six), "/", partial(by_put, six.consul, "bluegreen")),
            followers(stack, folder, six),
        ]
        for number in range(rounds):
            say(f"fleet: round {number + 1} of {rounds}")
            for score in scores:
                six.until_settled()
                turn(score, folder, flips)
    return table(scores)


def fronts(six: Fleet) -> dict[str, int]:
    return {node.node: node.port for node in six.nodes}


def by_order(six: Fleet, colour: str) -> Asked:
    """As an operator does it; the key is written just after the order says."""
    begun_ns = time.monotonic_ns()
    six.bgctl("set-live", colour, check=True)
    at = datetime.fromisoformat(six.order()["at"])
    return Asked(colour, begun_ns, fleet_seen.monotonic_ns(at.timestamp()), time.monotonic_ns())


def by_put(consul: ConsulServer, prefix: str, colour: str) -> Asked:
    """As Consul's UI does it."""
    begun_ns = time.monotonic_ns()
    consul.put(f"{prefix}/apps/shop/live", colour)
    return Asked(colour, begun_ns, begun_ns, time.monotonic_ns())


def followers(stack: ExitStack, folder: Path, six: Fleet) -> Score:
    """The least possible follower on as many proxies of its own, before the same backends."""
    apps: Apps = {"shop": {colour: six.backends.of(colour) for colour in COLOURS}}
    by_put(six.consul, Follower.key_prefix, "blue")
    ports = {}
    for number, node in enumerate(six.nodes):
        kind = FollowerOnNginx if node.proxy.kind == "nginx" else Follower
        follower = kind(folder / f"follower-{node.node}", node.consul, apps)
        follower.start(stack)
        ports[node.node] = follower.port
        until(f"follower {number + 1} serves", partial(serves, follower.port))
    return Score(Follower.name, ports, by_hand.path("shop"), partial(by_put, six.consul, Follower.key_prefix))


def serves(port: int) -> bool:
    return fetch(port, "GET", by_hand.path("shop")) is not None


def turn(score: Score, folder: Path, flips: int) -> None:
    """Flip the fleet an even number of times, under load on each of its nodes."""
    asked = []
    with ExitStack() as stack:
        loads = {
            node: Load(port, folder=folder, path=score.path, name=node, **LANES)
            for node, port in score.fronts.items()
        }
        for load in loads.values():
            stack.enter_context(load)
        for number in range(flips):
            time.sleep(PAUSE_S)
            asked.append(score.flip(COLOURS[number % 2]))
        time.sleep(PAUSE_S)
    score.flips += fleet_seen.flips(asked, {node: load.records for node, load in loads.items()})
    score.requests += sum(len(load.records) for load in loads.values())
    score.lost += sum(len(load.lost()) for load in loads.values())


def table(scores: list[Score]) -> str:
    """A row each; the least follower's time from the key to the last node is the limit."""
    limit_ms = next(score.late_ms for score in scores if score.name == Follower.name)
    return "one order for six nodes: the last old answer of the first node → that of the last\n" + columns(
        [HEAD, *(row(score, limit_ms) for score in scores)]
    )


def row(score: Score, limit_ms: float) -> tuple[str, ...]:
    skew = fleet_seen.spread([each.skew_ms for each in score.flips])
    both_ms = fleet_seen.spread([each.both_ms for each in score.flips])[0]
    return (
        score.name,
        str(len(score.flips)),
        *(f"{each:.1f}" for each in skew),
        f"{both_ms:.1f}",
        f"{score.late_ms:.1f}",
        f"{score.late_ms / limit_ms:.2f}",
        str(score.requests),
        str(score.lost),
    )
