"""HAProxy's statistics: which of its counters are read, and what two readings of them come to."""

import random
from dataclasses import replace

import pytest

from bgd.proxy.adapter import Answered
from bgd.proxy.haproxy import stat
from bgd.proxy.haproxy.stat import SAMPLES, Counts

HEAD = (
    "# pxname,svname,req_tot,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,last_chk,"
    "qtime,ctime,rtime,"
)
START = Counts(0, 0, 0, (0, 0, 0))


class Mean:
    """A mean as HAProxy keeps it: whole numbers, a sum that slides after its first samples, rounded up."""

    def __init__(self) -> None:
        self.sum, self.ended = 0, 0

    def add(self, value_ms: int) -> None:
        self.ended += 1
        slides = self.ended > SAMPLES
        self.sum += value_ms - (-(-self.sum // SAMPLES) if slides else 0)

    def read(self) -> Counts:
        samples = min(self.ended, SAMPLES) or 1
        return Counts(self.ended, 0, self.ended, (0, 0, -(-self.sum // samples)))


def answered(before: Counts, after: Counts) -> Answered:
    found = stat.between(before, after)

    assert found is not None
    return found


def test_read() -> None:
    """Counters are found by their names, and what does not apply counts as nothing."""
    rows = 'shop_green,BACKEND,12,1,2,3,4,5,6,"a, b",7,8,9,\nlegacy,BACKEND,,,,,,,,,,,,\n'

    assert {
        "shop_green": Counts(15, 5, 12, (7, 8, 9)),
        "legacy": START,
    } == stat.read(f"{HEAD}\n{rows}")


@pytest.mark.parametrize(
    "said",
    ["", "Permission denied", "# pxname,svname,hrsp_5xx,\n", f"{HEAD}\nshop_green,BACKEND{',x' * 12}\n"],
)
def test_no_statistics(said: str) -> None:
    """What is no such table is no answer."""
    with pytest.raises(OSError, match="HAProxy's statistics"):
        stat.read(said)


def test_between() -> None:
    """Answers are those with a status; of them those with 5xx have failed."""
    before, after = Counts(100, 10, 120, (0, 0, 0)), Counts(150, 13, 180, (0, 0, 0))

    assert Answered(50, 3, 0.0) == stat.between(before, after)


@pytest.mark.parametrize("less", ["answers", "failed", "ended"])
def test_began_anew(less: str) -> None:
    """A counter that went back says that nothing can be known."""
    before = Counts(100, 10, 120, (0, 0, 0))

    assert stat.between(before, replace(before, **{less: 1})) is None
    assert stat.between(None, before) is None
    assert stat.between(before, None) is None


def test_nothing_answered() -> None:
    """Two readings without an answer between them come to nothing."""
    counts = Counts(600, 0, 600, (0, 1, 30))

    assert Answered(0, 0, 0.0, 1.024) == stat.between(counts, counts)


@pytest.mark.parametrize("answers", [1, 5, 40, 300, 3000])
@pytest.mark.parametrize("before", [0, 100, 500, 2000])
def test_answer_time(answers: int, before: int) -> None:
    """Over a window the mean answer time is right within what is said of it, whatever was answered before."""
    drawn, mean = random.Random(answers * before + answers), Mean()
    for _ in range(before):
        mean.add(drawn.randrange(400))
    read, truth_s, found_s, blur_s = mean.read(), 0.0, 0.0, 0.0
    for _ in range(10):
        for _ in range(answers):
            took_ms = drawn.randrange(100)
            mean.add(took_ms)
            truth_s += took_ms / 1000
        now = mean.read()
        step = answered(read, now)
        read, found_s, blur_s = now, found_s + step.seconds, max(blur_s, step.blur_s)

    requests = 10 * answers
    drawn_s = 0.0 if answers < SAMPLES else 0.003  # only the newest answers weigh
    assert found_s - blur_s <= truth_s + drawn_s * requests
    assert (found_s - blur_s) / requests >= truth_s / requests - 0.004 - 2 * blur_s / requests


def fifty(ms: int, *, after: int, of_ms: int) -> float:
    """What fifty answers are said to have taken together, after so many of another kind, in s at least."""
    mean = Mean()
    for _ in range(after):
        mean.add(of_ms)
    before = mean.read()
    for _ in range(50):
        mean.add(ms)
    step = answered(before, mean.read())
    return step.seconds - step.blur_s


def test_slow_past() -> None:
    """Answers that were slow before do not make the new ones slow."""
    assert fifty(1, after=1000, of_ms=5000) < 50 * 0.02


def test_slow_now() -> None:
    """Fifty slow answers are seen as slow, after however many quick ones."""
    assert 0.45 < fifty(500, after=100_000, of_ms=1) / 50 < 0.52
