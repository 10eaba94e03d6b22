"""Tells a story: commands, one a line, and under each what the daemons answered.

The commands are the steps of the simulation's world, in words. Each node answers with what it did; a
node that did nothing new says what it serves and waits for, when that has changed. Every invariant of the
simulation is asserted on the way.
"""

from bgctl import standing
from bgd.core.actions import Hold
from bgd.core.model import Colour, Desired, MinHealthy, Policy
from bgd.core.reasons import Because
from bgd.core.snapshot import freeze
from bgd.core.way_back import way_back
from tests.simulation.consul import APP
from tests.simulation.node import Node, told
from tests.simulation.world import World

POLICY = Policy(
    rise=1,
    fall=1,
    probation_s=300.0,
    patience_s=600.0,
    latency_s=1.0,
    min_requests=10,
    min_healthy=MinHealthy(100),
)


class Teller:
    """One story: its world, and what was last said of each node."""

    def __init__(self) -> None:
        self.world = World(1, policy=POLICY, with_history=True, backends=3)
        self._stood: dict[str, str] = {}

    def answer(self, command: str) -> list[str]:
        """Carry a command out; what came of it, a line each."""
        self.world.talks, self.world.said = True, []
        name, *words = command.split()
        said = getattr(self, f"tell_{name}", None)
        if said is not None:
            return list(said(*words))
        self.world.do((name, *map(_word, words)))
        return [*self.world.said, *self._stands()]

    def _stands(self) -> list[str]:
        lines = []
        for node in self.world.nodes:
            stands = self._stand(node)
            if stands != self._stood.get(node.name):
                self._stood[node.name] = stands
                lines.append(f"{node.name} {stands}")
        return lines

    def _stand(self, node: Node) -> str:
        served = node.decided or "nothing"
        if not node.running:
            return f"is silent, its proxy serves {served}"
        return f"serves {served}: {told(node.action)}{_answer(node)}"

    # -- what is asked rather than done -------------------------------------------------------------

    def tell_fleet(self, nodes: str, *begun: str) -> list[str]:
        """So many nodes; `on blue` or `on green`: all serve it, and it is confirmed as it runs."""
        self.world = World(int(nodes), policy=POLICY, with_history=True, backends=3)
        self.world.talks = True
        self.world.do(("redeploy", "green", "2.0"))
        for colour in begun[1:]:
            self.world.do(("cli", colour))
            self.world.do(("all",))
            self.world.do(("sleep", 300))
            self.world.do(("all",))
        self._stands()
        live = self.world.seen()[1].keys[APP]
        return [f"live is {live.colour}" if isinstance(live, Desired) else "nothing is wished"]

    def tell_turn(self, *nodes: str) -> list[str]:
        """The nodes named read and act, or all."""
        for number in nodes or map(str, range(len(self.world.nodes))):
            self.world.do(("turn", int(number)))
        waits = (node for node in self.world.nodes if _because(node) is Because.REVERT_WAITING_QUORUM)
        for node in () if nodes else tuple(waits):  # who has voted looks again, in less than a second
            self.world.do(("turn", self.world.nodes.index(node)))
        return [*self.world.said, *self._stands()]

    def tell_time(self, amount: str) -> list[str]:
        """Time passes, and all turn each second of the way that matters: at its beginning and its end."""
        self.world.do(("sleep", _seconds(amount)))
        return [*self.world.said, *self._stands()]

    def tell_key(self) -> list[str]:
        """What Consul holds."""
        event = self.world.seen()[1]
        live, ledger = event.keys[APP], event.ledgers[APP]
        if not isinstance(live, Desired):
            return [f"live: {type(live).__name__}"]
        order = live.order
        author = f"{order.kind} by {order.by}" if order else "by consul"
        good = ", ".join(f"{colour} {each.release}" for colour, each in sorted(ledger.good.items()))
        lines = [f"live: {live.colour}, {author}", f"good: {good or 'nothing'}"]
        return [*lines, f"rejected: {', '.join(sorted(ledger.rejected)) or 'nothing'}"]

    def tell_drained(self, colour: str) -> list[str]:
        """What `wait --drained` says."""
        app, left = self.world.app(), Colour(colour)
        if self.world.drained(left):
            return ["yes"]
        on = {each.node: each.colour(left).sessions for each in app.members}
        open_on = ", ".join(f"{node} has {count} open" for node, count in on.items() if count)
        silent = f"{standing.names(app.silent)} silent" if app.silent else ""
        unconfirmed = "" if left.other in app.ledger.good else f"{left.other} is not confirmed"
        return [f"no: {silent or open_on or unconfirmed or 'not counted'}"]

    def tell_way_back(self, number: str = "0") -> list[str]:
        """Where a revert would go now."""
        way = way_back(freeze(self.world.nodes[int(number)].k, self.world.now_s))
        assert way is not None, "a ledger was read"
        until = f" until {way.until_s - self.world.now_s:g} s from now" if way.until_s else ""
        return [way.detail if way.because is None else f"none{until}: {way.because}: {way.detail}"]

    def tell_history(self) -> list[str]:
        """What happened, oldest first."""
        return [
            f"{event['what']} to {event['to']} by {event['by']}: {event['outcome']}"
            for event in self.world.history()
        ]


def _because(node: Node) -> Because | None:
    return node.action.because if isinstance(node.action, Hold) else None


def _answer(node: Node) -> str:
    """What it says to a preparation, if it says something."""
    prepared = (node.told or {}).get("prepared")
    if prepared is None:
        return ""
    refusal = next((gate for gate in prepared["gates"] if not gate["ok"]), None)
    return f"; no to it: {refusal['because']}, {refusal['detail']}" if refusal else "; prepared"


def _word(word: str) -> object:
    if word in ("yes", "no"):
        return word == "yes"
    number = word.removeprefix("-")
    return int(word) if number.isdecimal() else ("" if word == "none" else word)


def _seconds(amount: str) -> int:
    return int(amount[:-1]) * {"s": 1, "m": 60, "h": 3600}[amount[-1]]
