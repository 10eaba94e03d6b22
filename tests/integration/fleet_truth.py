"""Whether what bgctl said of a death in the middle of an order is true, and who lost anything by it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from signal import SIGKILL

from bgctl.demo.records import Record
from tests.integration import fleet_seen
from tests.integration.fleet_kills import Round
from tests.integration.fleet_seen import Asked
from tests.integration.fleet_world import Key
from tests.integration.load import Load

UNTOUCHED = re.compile(r"nothing was written|untouched")
WRITTEN = re.compile(
    r"generation (\d+) \((blue|green)\) is written|(blue|green) is written as generation (\d+)"
)
ENDS = {0, 3, 4, 6, 130, -SIGKILL}


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
    if written and each.after != Key(written[2] or written[3], int(written[1] or written[4])):
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
