"""Something of a fleet is killed in the middle of an order, and comes back.

Half of what was killed is started again after a second, as a supervisor does it, the other half only when
bgctl has given its answer.
"""

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bgctl.demo.process import environment
from tests.integration.consul import ConsulServer
from tests.integration.fleet_world import Fleet, Key, other
from tests.integration.shop import Shop
from tests.integration.waiting import eventually

KINDS = ("bgctl", "daemon", "leader", "proxy")
PATIENCE_S, PATIENT = 8.0, 4
"""An order waits so long, or so many times as long as an undisturbed one takes on this machine."""
AGAIN_S = 1.0
"""So long after its death a supervisor starts something anew."""


@dataclass(frozen=True)
class Said:
    """How a bgctl ended, and its one JSON document; nothing when it was killed."""

    exit: int
    told: Mapping[str, Any]
    err: str

    @property
    def detail(self) -> str:
        error = self.told.get("error", {})
        return f"{error.get('because', '')}: {error.get('detail', '')}"


class Asking:
    """A bgctl that asks for a colour."""

    def __init__(self, consul: ConsulServer, colour: str, *more: str, **variables: str) -> None:
        command = [sys.executable, "-m", "bgctl", "--consul-addr", consul.address, "-o", "json", "set-live"]
        self.process = subprocess.Popen(
            [*command, colour, "--app", "shop", *more],
            env=environment() | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> Said:
        out, err = self.process.communicate(timeout=90)
        return Said(self.process.returncode, json.loads(out) if out else {}, err)


@contextmanager
def asking(consul: ConsulServer, colour: str, *more: str, **variables: str) -> Iterator[Asking]:
    """A bgctl that runs meanwhile, and is gone afterwards."""
    asked = Asking(consul, colour, *more, **variables)
    try:
        yield asked
    finally:
        asked.process.kill()
        asked.process.communicate()


def asked(six: Fleet, colour: str, *more: str) -> Said:
    """Ask for a colour, and wait for the answer."""
    with asking(six.consul, colour, *more) as one:
        return one.end()


@contextmanager
def frozen(node: Shop) -> Iterator[None]:
    """A daemon that stands still; its sign of life stays for up to twice its session's TTL."""
    node.bgd.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        node.bgd.signal(signal.SIGCONT)


@dataclass(frozen=True)
class Victim:
    """What is killed, and how it comes back."""

    kind: str
    name: str
    strike: Callable[[Asking], None]
    back: Callable[[], None] = lambda: None


def victim(fleet: Fleet, kind: str, draw: random.Random) -> Victim:
    """One of a kind; of what there are several, any."""
    if kind == "bgctl":
        number = draw.choice([signal.SIGKILL, signal.SIGINT])
        return Victim(kind, number.name, lambda asked: asked.signal(number))
    if kind == "leader":
        server = fleet.quorum.leader()
        return Victim(kind, server.folder.name, lambda _: server.kill(), server.start)
    node = draw.choice(fleet.nodes)
    if kind == "proxy":
        return Victim(kind, node.node, lambda _: node.proxy.kill(), node.proxy.start)

    def again() -> None:
        node.bgd = node.daemon()
        node.bgd.start()

    return Victim(kind, node.node, lambda _: node.bgd.kill(), again)


@dataclass(frozen=True)
class Round:
    """One order, one death, and how it ended."""

    victim: Victim
    colour: str
    before: Key
    after: Key
    said: Said
    begun_ns: int
    struck_ns: int
    ended_ns: int
    back_ns: int
    settled_s: float
    """How long after its return all was well again."""

    def __str__(self) -> str:
        moment_s = (self.struck_ns - self.begun_ns) / 1e9
        first = "back first" if self.back_ns < self.ended_ns else "answer first"
        return (
            f"{self.victim.kind} {self.victim.name} at {moment_s:.2f} s, {first}: exit {self.said.exit} "
            f"{self.said.detail if self.said.exit else ''} · settled in {self.settled_s:.1f} s"
        )


def strike(fleet: Fleet, kind: str, draw: random.Random, long_s: float) -> Round:
    """Ask for the other colour, and kill something within the moments that this takes."""
    before = fleet.until_settled()
    chosen, colour = victim(fleet, kind, draw), other(before.colour)
    asked_of, supervised = draw.choice(fleet.quorum.servers), draw.random() < 0.5
    begun_ns = time.monotonic_ns()
    with asking(asked_of, colour, "--timeout", f"{max(PATIENCE_S, PATIENT * long_s):.0f}s") as asked:
        threading.Event().wait(draw.uniform(0.1, 1) * long_s)  # the moment is what is tested
        struck_ns = time.monotonic_ns()
        chosen.strike(asked)
        if supervised:
            threading.Event().wait(AGAIN_S)
            back_ns = _came_back(chosen)
        said, ended_ns = asked.end(), time.monotonic_ns()
    if not supervised:
        back_ns = _came_back(chosen)
    eventually(lambda: not fleet.left_over(), "no prepare is left", within_s=40)
    after = fleet.until_settled()
    settled_s = (time.monotonic_ns() - max(back_ns, ended_ns)) / 1e9
    ended = Round(chosen, colour, before, after, said, begun_ns, struck_ns, ended_ns, back_ns, settled_s)
    print(ended)
    return ended


def _came_back(chosen: Victim) -> int:
    chosen.back()
    return time.monotonic_ns()
