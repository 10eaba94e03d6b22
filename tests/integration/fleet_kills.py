"""Something of a fleet is killed in the middle of an order: what is done, and what has to be true afterwards.

Half of what was killed is started again after a second, as a supervisor does it, the other half only when
bgctl has given its answer. Whatever bgctl said is held against what the key names, and against who answered.
"""

import json
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bgctl.demo.process import environment
from bgctl.demo.records import Record
from tests.integration import fleet_seen
from tests.integration.consul import ConsulServer
from tests.integration.fleet_seen import Asked
from tests.integration.fleet_world import Fleet, Key, other
from tests.integration.load import Load
from tests.integration.waiting import eventually

KINDS = ("bgctl", "daemon", "leader", "proxy")
PATIENCE = "8s"
AGAIN_S = 1.0
"""So long after its death a supervisor starts something anew."""
UNTOUCHED = re.compile(r"nothing was written|untouched")
WRITTEN = re.compile(r"generation (\d+) \((blue|green)\) is written")
ENDS = {0, 3, 4, 6, 130, -signal.SIGKILL}


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
        out, err = self.process.communicate(timeout=60)
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
    with asking(asked_of, colour, "--timeout", PATIENCE) as asked:
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


@dataclass
class Verdict:
    """What is not true of some rounds."""

    wrong: list[str] = field(default_factory=list)

    def blames(self, ended: Round, what: str) -> None:
        self.wrong.append(f"{what}: {ended}; key before {ended.before}, after {ended.after}")


def untrue(rounds: Sequence[Round]) -> list[str]:
    """Where bgctl's exit code or its sentence does not say what has happened."""
    verdict = Verdict()
    for each in rounds:
        if each.said.exit not in ENDS or "Traceback" in each.said.err:
            verdict.blames(each, f"an end that nobody promised: {each.said.err[-500:]}")
        if each.after not in (each.before, Key(each.colour, each.after.generation)):
            verdict.blames(each, "the key names what nobody asked for")
        if each.said.exit == 0:
            _of_success(each, verdict)
        elif each.said.exit > 0:
            _of_failure(each, verdict)
    return verdict.wrong


def _of_success(each: Round, verdict: Verdict) -> None:
    told = each.said.told
    if (told["colour"], told["generation"]) != (each.after.colour, each.after.generation):
        verdict.blames(each, f"the key does not name what is told: {told}")
    if len(told["proved"]) != 6:
        verdict.blames(each, f"not proved by all: {told}")


def _of_failure(each: Round, verdict: Verdict) -> None:
    detail, moved = each.said.detail, each.after != each.before
    if moved and UNTOUCHED.search(detail):
        verdict.blames(each, "it was written after all")
    written = WRITTEN.search(detail)
    if written and (int(written[1]), written[2]) != (each.after.generation, each.after.colour):
        verdict.blames(each, "what is said to be written is not what stands")
    if each.said.exit == 3:
        missing = each.victim.name if each.victim.kind in ("daemon", "proxy") else r"lb-\d|store-lost"
        if not re.search(missing, detail):
            verdict.blames(each, "it does not name who is missing")


def lost(rounds: Sequence[Round], loads: Mapping[str, Load]) -> list[tuple[str, Record]]:
    """Requests that got no whole answer, but for those of a proxy that was dead."""
    dead = [each for each in rounds if each.victim.kind == "proxy"]
    return [
        (node, record)
        for node, load in loads.items()
        for record in load.lost()
        if not any(
            each.victim.name == node and record.start_ns < each.back_ns and record.end_ns > each.struck_ns
            for each in dead
        )
    ]


def strays(rounds: Sequence[Round], loads: Mapping[str, Load]) -> list[tuple[str, Record]]:
    """Requests that the old colour answered although they were begun when bgctl had said it is done."""
    found = []
    ends = [each.begun_ns for each in rounds[1:]] + [1 << 63]
    for each, end_ns in zip(rounds, ends, strict=True):
        if each.said.exit == 0:
            asked = Asked(each.colour, each.begun_ns, each.begun_ns, each.ended_ns)
            seen = {node: load.records for node, load in loads.items()}
            found += fleet_seen.strays([asked], seen, before_ns=end_ns)
    return found
