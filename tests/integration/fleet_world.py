"""A fleet on one machine: three load balancers on HAProxy, three on nginx, and three servers of Consul.

Each node has a daemon, a proxy, a front and a state directory of its own; two nodes ask the same server. The
backends stand in the catalog on a machine without an agent, so that no server's death takes a colour out.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bgctl.demo.parts import Backends
from tests.integration.consul import ConsulServer
from tests.integration.load import Load
from tests.integration.shop import RELEASES, Shop, running
from tests.integration.waiting import eventually

KINDS = ("haproxy", "haproxy", "haproxy", "nginx", "nginx", "nginx")
COLOURS = ("blue", "green")
# Six daemons probe six backends each: seldom enough to leave two cores to what is measured.
PROBE = 'probe = { interval = "500ms", timeout = "800ms", rise = 2, fall = 3 }'
LIGHT = {"kept": 1, "new": 1}
"""About 100 requests/s on each node."""
CALM = ("converged", "probation")


def other(colour: str) -> str:
    return COLOURS[1 - COLOURS.index(colour)]


class Quorum:
    """Three servers that elect a leader together, and keep their data when they are killed."""

    def __init__(self, folder: Path) -> None:
        self.servers: list[ConsulServer] = []
        for number in range(3):
            place = folder / f"agent-{number + 1}"
            place.mkdir(parents=True)
            self.servers.append(ConsulServer(place, lasting=True))
        for number, server in enumerate(self.servers):
            others = [each for each in self.servers if each is not server]
            server.elect_with(*others, name=f"agent-{number + 1}")

    def start(self) -> None:
        for server in self.servers:
            server.spawn()
        for server in self.servers:
            server.until_led()

    def kill(self) -> None:
        for server in self.servers:
            server.kill()

    def leader(self) -> ConsulServer:
        """Who leads, once there is a leader that all others know."""
        found: list[ConsulServer] = eventually(self._leaders, "Consul has one leader")
        return found[0]

    def _leaders(self) -> list[ConsulServer]:
        try:
            named = {server.ask("/v1/status/leader") for server in self.servers}
        except OSError:
            return []
        return [server for server in self.servers if named == {server.raft_address}]


@dataclass(frozen=True)
class Key:
    """What the live key says, and the stamp of it."""

    colour: str
    generation: int


@dataclass(frozen=True)
class Fleet:
    """All nodes, lb-1 to lb-6, before the same backends."""

    quorum: Quorum
    backends: Backends
    nodes: list[Shop]

    @property
    def consul(self) -> ConsulServer:
        """The first server: of three that are well, as good as any."""
        return self.quorum.servers[0]

    def bgctl(self, *words: str, check: bool = False) -> Any:
        """Call bgctl as a script would, and wait for its end."""
        return self.nodes[0].bgctl(*words, check=check)

    def key(self) -> Key:
        """What the key says for sure: asked of the leader, who asks the others."""
        found = self.consul.ask("/v1/kv/bluegreen/apps/shop/live?consistent")
        assert found, "there is a live key"
        return Key(self.consul.get("bluegreen/apps/shop/live") or "", int(found[0]["ModifyIndex"]))

    def order(self) -> dict[str, Any]:
        """What stands beside the key: who wished it, and when."""
        return dict(json.loads(self.consul.get("bluegreen/apps/shop/order") or "{}"))

    def left_over(self) -> bool:
        """Whether somebody's preparation is under way, or was left behind."""
        return self.consul.get("bluegreen/apps/shop/prepare") is not None

    def answers(self) -> dict[str, str]:
        """Which colour answers at each node's front."""
        return {node.node: node.answer() for node in self.nodes}

    def reports(self) -> dict[str, dict[str, Any]]:
        """What each node has published in Consul."""
        found = self.consul.ask("/v1/kv/bluegreen/nodes/shop/?recurse") or []
        names = [each["Key"].rpartition("/")[2] for each in found]
        return {name: json.loads(self.consul.get(f"bluegreen/nodes/shop/{name}") or "{}") for name in names}

    def unsettled(self) -> dict[str, str]:
        """What each node still lacks: to serve the key, to be alive, to see both colours well."""
        key, told = self.key(), self.reports()
        alive = {each.rpartition("/")[2] for each in self.consul.keys("bluegreen/alive/")}
        found = {}
        for node in self.nodes:
            lacks = _lacks(told.get(node.node, {}), key)
            if lacks or node.node not in alive:
                found[node.node] = lacks or "it is not alive"
        return found

    def until_settled(self, *, within_s: float = 120.0) -> Key:
        """Wait until every node serves what the key names, says so in Consul, and could flip back."""

        def settled() -> bool:
            try:
                return not self.unsettled()
            except OSError:  # Consul elects a leader
                return False

        try:
            eventually(settled, "the fleet is settled", within_s=within_s)
        except AssertionError as late:
            words = [f"{node.node}: {node.report()}\n{node.bgd.last_words()}" for node in self.nodes]
            raise AssertionError("\n".join([f"{late}: {self.unsettled()}", *words])) from None
        return self.key()

    @contextmanager
    def load(self, **lanes: int) -> Iterator[Mapping[str, Load]]:
        """Load on all fronts at once, by node. What was lost is for the caller to judge."""
        with ExitStack() as stack:
            made = {node.node: Load(node.port, folder=node.folder, **(lanes or LIGHT)) for node in self.nodes}
            for load in made.values():
                stack.callback(load.stop)
                load.spawn()
            for load in made.values():
                load.wait_ready()
            yield made


def _lacks(report: Mapping[str, Any], key: Key) -> str:
    """Why a report does not say that the node serves the key and is ready for the other colour."""
    serving = report.get("serving") or {}
    served = serving.get("colour"), serving.get("generation"), serving.get("proved")
    if served != (key.colour, key.generation, True):
        return f"serves {served} for {key}; {report.get('because')}: {report.get('detail')}"
    if report["because"] not in CALM:
        return f"{report['because']}: {report.get('detail')}"
    seen = {colour: told["verdict"] for colour, told in report["colours"].items()}
    return "" if set(seen.values()) == {"up"} else f"sees {seen}"


def enrol(consul: ConsulServer, backends: Backends) -> None:
    """Write the backends into the catalog, on a machine of their own."""
    for colour, address in backends.addresses:
        host, _, port = address.rpartition(":")
        service = {"ID": f"shop-{address}", "Service": "shop", "Address": host, "Port": int(port)}
        service |= {"Tags": [colour], "Meta": {"version": RELEASES[colour]}}
        place = {"Node": "apps-1", "Address": "127.0.0.1", "Service": service}
        consul.request("PUT", "/v1/catalog/register", json.dumps(place).encode())


@contextmanager
def fleet(folder: Path, *lines: str) -> Iterator[Fleet]:
    """Six nodes that serve blue; `lines` are further settings of the app."""
    with ExitStack() as stack:
        quorum = Quorum(folder / "consul")
        stack.callback(quorum.kill)
        quorum.start()
        short = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bgd-")))
        backends = stack.enter_context(Backends(short, [colour for colour in COLOURS for _ in range(3)]))
        enrol(quorum.servers[0], backends)
        nodes = []
        for number, kind in enumerate(KINDS):
            proxy = stack.enter_context(running(kind))
            place = short / f"lb-{number + 1}"
            place.mkdir()
            node = Shop(place, quorum.servers[number % 3], proxy, backends, node=f"lb-{number + 1}")
            node.apps = [node.app("shop", node.port, *lines, probe=PROBE)]
            node.bgd = node.daemon()
            stack.callback(lambda node=node: node.bgd.stop())
            nodes.append(node)
        made = Fleet(quorum, backends, nodes)
        made.bgctl("init", "shop", "--live", "blue", check=True)
        for node in nodes:
            node.bgd.spawn()
        for node in nodes:
            node.bgd.wait_ready()
        made.until_settled()
        yield made
