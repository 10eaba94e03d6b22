"""Turns: each contender is flipped under load, one after the other, round after round.

Rules: the load of a turn is its contender's alone; a flip is measured from just before its key is sent
to the end of the last answer of the old colour; a flip that never came counts as failed.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import attrs

from bench import by_hand
from bench.contenders import Contender
from bgctl.demo.parts import Load

PAUSE_S = 0.6  # between flips: long after each contender's own work is done
COLOURS = ("green", "blue")


@attrs.define
class Score:
    """What a contender's turns came to."""

    name: str
    proxy: str
    apps: int
    late_ms: list[float] = attrs.field(factory=list)
    requests: int = 0
    lost: int = 0
    failed: int = 0

    @property
    def median_ms(self) -> float:
        return median(self.late_ms) if self.late_ms else float("nan")

    @property
    def worst_ms(self) -> float:
        return max(self.late_ms, default=float("nan"))


def turn(contender: Contender, score: Score, folder: Path, flips: int) -> None:
    """Flip a contender an even number of times under load of its own."""
    written: list[tuple[str, int]] = []
    path = f"--path={by_hand.path(contender.first)}"
    with Load(folder, contender.port, path, name=contender.key_prefix) as load:
        for number in range(flips):
            time.sleep(PAUSE_S)
            written.append((COLOURS[number % 2], time.monotonic_ns()))
            contender.flip(COLOURS[number % 2])
        time.sleep(PAUSE_S)
    score.requests += len(load.records)
    score.lost += len(load.lost())
    count_late(load, score, written)


def count_late(load: Load, score: Score, written: Sequence[tuple[str, int]]) -> None:
    ends = [at_ns for _, at_ns in written[1:]] + [1 << 62]
    for (colour, at_ns), end_ns in zip(written, ends, strict=True):
        old = COLOURS[1 - COLOURS.index(colour)]
        if load.last(colour, after_ns=at_ns, before_ns=end_ns):
            score.late_ms.append(max(0.0, (load.last(old, before_ns=end_ns) - at_ns) / 1e6))
        else:
            score.failed += 1
