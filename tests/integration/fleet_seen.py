"""What the customers of a fleet saw of one flip, read from the records of the load on each node.

Two figures tell how far apart the nodes were. *Skew*: from the last old answer of the node that was first to
that of the node that was last. *Both*: for how long customers got either colour, from the first new answer
anywhere to the last old one anywhere. Each can be no finer than the load's requests on a node.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bgctl.demo.records import SHORT, Record


@dataclass(frozen=True)
class Turn:
    """One node's change of colours, in `time.monotonic_ns()`."""

    last_old_ns: int
    """The end of the last old answer."""
    first_new_ns: int
    """The end of the first new answer."""


@dataclass(frozen=True)
class Flipped:
    """A flip of the whole fleet: every node's turn, and when the key was written."""

    written_ns: int
    turns: Mapping[str, Turn]

    @property
    def skew_ms(self) -> float:
        ends = [turn.last_old_ns for turn in self.turns.values()]
        return (max(ends) - min(ends)) / 1e6

    @property
    def both_ms(self) -> float:
        last = max(turn.last_old_ns for turn in self.turns.values())
        return max(0.0, (last - min(turn.first_new_ns for turn in self.turns.values())) / 1e6)

    @property
    def late_ms(self) -> float:
        """From the key to the last old answer of the last node."""
        return max(0.0, (max(turn.last_old_ns for turn in self.turns.values()) - self.written_ns) / 1e6)


@dataclass(frozen=True)
class Asked:
    """A colour that was asked for, and the moments of that, in `time.monotonic_ns()`."""

    colour: str
    begun_ns: int
    written_ns: int
    """Just before the key was written."""
    ended_ns: int
    """When whoever asked said that it is done."""


def flips(asked: Sequence[Asked], records: Mapping[str, Sequence[Record]]) -> list[Flipped]:
    """Each flip as every node's load saw it; a node that never turned is a failed test."""
    ends = [each.begun_ns for each in asked[1:]] + [1 << 63]
    found = []
    for each, end_ns in zip(asked, ends, strict=True):
        turns = {}
        for node, seen in records.items():
            turned = turn(seen, each.colour, after_ns=each.begun_ns, before_ns=end_ns)
            assert turned, f"{node} never turned to {each.colour}"
            turns[node] = turned
        found.append(Flipped(each.written_ns, turns))
    return found


def strays(
    asked: Sequence[Asked], records: Mapping[str, Sequence[Record]], *, before_ns: int = 1 << 63
) -> list[tuple[str, Record]]:
    """Requests that were begun after a flip was said to be done, and answered by the old colour."""
    ends = [each.begun_ns for each in asked[1:]] + [before_ns]
    return [
        (node, record)
        for each, end_ns in zip(asked, ends, strict=True)
        for node, seen in records.items()
        for record in seen
        if each.ended_ns < record.start_ns and record.end_ns < end_ns
        if record.lane in SHORT and record.colour not in ("", each.colour)
    ]


def turn(records: Sequence[Record], colour: str, *, after_ns: int, before_ns: int) -> Turn | None:
    """A node's change to a colour in a stretch of time; None when the load did not see both sides of it."""
    short = [record for record in records if record.lane in SHORT and not record.error]
    seen = [record for record in short if after_ns <= record.end_ns < before_ns]
    new = [record.end_ns for record in seen if record.colour == colour]
    old = [record.end_ns for record in short if record.end_ns < before_ns and record.colour != colour]
    return Turn(max(old), min(new)) if new and old else None


def monotonic_ns(wall_s: float) -> int:
    """A moment of the wall clock as one of the monotonic clock, while nobody sets the wall clock."""
    return time.monotonic_ns() - int((time.time() - wall_s) * 1e9)


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, nine of ten, and the worst."""
    ordered = sorted(values)
    return median(ordered), ordered[int(0.9 * (len(ordered) - 1))], ordered[-1]
