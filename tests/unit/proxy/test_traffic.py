"""The window over what the proxy answered: what is summed, what ends a sum, and what is told of it."""

from collections.abc import Mapping

from bgd.config import AppSettings
from bgd.config.settings import RevertSettings
from bgd.core.events import TrafficSeen
from bgd.core.model import Colour
from bgd.proxy.adapter import Answered
from bgd.proxy.traffic import GAP_S, SETTLE_S, STEPS, Traffic

BLUE, GREEN = Colour.BLUE, Colour.GREEN


class Reader:
    """Reads once a second what it is given; the first reading, at second 0, knows nothing."""

    def __init__(self, window_s: float = 30.0) -> None:
        revert = RevertSettings(error_rate=0.05, window_s=window_s)
        self.apps = {"shop": AppSettings(name="shop", service="shop", revert=revert)}
        self.traffic = Traffic()
        self.now_s = -1.0
        self.read(None)

    def read(
        self, answered: Answered | None, colour: Colour = GREEN, after_s: float = 1.0
    ) -> TrafficSeen | None:
        """What is told after one more reading."""
        self.now_s += after_s
        counted = {("shop", colour): answered}
        told = self.traffic.seen(self.apps, counted, asked_s=self.now_s, now_s=self.now_s)
        return told[0] if told else None


def seen(since_s: float, requests: int | None, errors: int = 0, mean_s: float = 0.0) -> TrafficSeen:
    return TrafficSeen("shop", GREEN, since_s, requests, errors, mean_s)


def test_sum() -> None:
    """Errors and answer times are summed, from the first reading on."""
    reader = Reader()
    reader.read(Answered(10, 1, 2.0))

    assert seen(0.0, 40, 3, 0.2) == reader.read(Answered(30, 2, 6.0))


def test_window() -> None:
    """What is older than the window is not judged any more."""
    reader = Reader(window_s=3.0)
    reader.read(Answered(100, 100, 0.0))
    told = [reader.read(Answered(10, 0, 0.0)) for _ in range(3)]

    assert [seen(0.0, 110, 100), seen(0.0, 120, 100), seen(1.0, 30)] == told


def test_short_window() -> None:
    """A window that is shorter than the time between two readings holds the newest one."""
    reader = Reader(window_s=1.0)
    reader.read(Answered(10, 0, 0.0), after_s=1.6)

    assert seen(1.6, 20, 5) == reader.read(Answered(20, 5, 0.0), after_s=1.6)


def test_long_window() -> None:
    """However long a window is, a bounded number of steps is kept of it."""
    reader = Reader(window_s=600.0)
    for _ in range(2000):
        told = reader.read(Answered(1, 0, 0.0))

    assert told is not None
    assert told.requests is not None
    assert 600 - 600 / STEPS <= told.requests <= 600
    assert told.requests == reader.now_s - told.since_s
    assert len(reader.traffic._windows["shop", GREEN].steps) <= STEPS + 1


def test_unknown() -> None:
    """What cannot be known ends the sum; that is told once, and the next sum begins there."""
    reader = Reader()
    reader.read(Answered(100, 100, 0.0))

    assert seen(2.0, None) == reader.read(None)
    assert reader.read(None) is None
    assert seen(3.0, 10) == reader.read(Answered(10, 0, 0.0))


def test_away() -> None:
    """A reader that was away does not know what it missed."""
    reader = Reader()
    reader.read(Answered(100, 0, 0.0))
    back = reader.read(Answered(1000, 1000, 0.0), after_s=GAP_S + 0.1)

    assert seen(reader.now_s, None) == back
    assert seen(reader.now_s, 10) == reader.read(Answered(10, 0, 0.0))


def test_one_missed_reading() -> None:
    """One reading that failed loses nothing: the next tells of both."""
    reader = Reader()
    reader.read(Answered(10, 0, 0.0))

    assert seen(0.0, 30) == reader.read(Answered(20, 0, 0.0), after_s=2.0)


def test_change() -> None:
    """What was counted before a change of what is decided, or while it settled, is not in the sum."""
    reader = Reader()
    reader.read(Answered(100, 100, 0.0))
    reader.traffic.changed("shop", reader.now_s + 0.5)
    settling = [reader.read(Answered(100, 100, 0.0)) for _ in range(2)]

    assert settling == [None, None]

    told = reader.read(Answered(10, 0, 0.0))

    assert seen(3.0, 10) == told
    assert told is not None
    assert told.since_s >= 1.5 + SETTLE_S


def test_change_of_another() -> None:
    """A change of one app says nothing about another."""
    reader = Reader()
    reader.read(Answered(100, 1, 0.0))
    reader.traffic.changed("bakery", reader.now_s)

    assert seen(0.0, 200, 2) == reader.read(Answered(100, 1, 0.0))


def test_colours_apart() -> None:
    """Each colour has a sum of its own."""
    reader = Reader()
    both: Mapping[tuple[str, Colour], Answered | None] = {
        ("shop", BLUE): Answered(10, 0, 1.0),
        ("shop", GREEN): Answered(20, 20, 1.0),
    }
    told = reader.traffic.seen(reader.apps, both, asked_s=1.0, now_s=1.0)

    assert [(each.colour, each.requests, each.errors) for each in told] == [(BLUE, 10, 0), (GREEN, 20, 20)]


def test_quiet() -> None:
    """Of a colour that answers nothing nothing is told, but once that there is nothing any more."""
    reader = Reader(window_s=2.0)

    assert reader.read(Answered(0, 0, 0.0)) is None

    reader.read(Answered(10, 10, 0.0))
    told = [reader.read(Answered(0, 0, 0.0)) for _ in range(3)]

    assert [seen(1.0, 10, 10), seen(2.0, 0), None] == told


def test_least_mean() -> None:
    """Where answer times are not known exactly, the mean is the least that it can be."""
    reader = Reader()
    reader.read(Answered(10, 0, 1.0, blur_s=0.5))
    told = reader.read(Answered(10, 0, 1.0, blur_s=0.3))

    assert seen(0.0, 20, 0, 0.075) == told


def test_never_below_nothing() -> None:
    """No mean is below nothing."""
    reader = Reader()

    assert seen(0.0, 1, 0, 0.0) == reader.read(Answered(1, 0, -0.2, blur_s=0.5))


def test_no_longer_judged() -> None:
    """An app whose traffic is judged again later begins anew."""
    reader = Reader()
    reader.read(Answered(100, 100, 0.0))
    reader.traffic.seen({}, {}, asked_s=2.0, now_s=2.0)
    reader.now_s = 2.0

    assert seen(2.0, 10) == reader.read(Answered(10, 0, 0.0))
