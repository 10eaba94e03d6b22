"""Waiting for changes: blocking queries in a row, for as long as somebody listens.

Rules that live here: an index that goes backwards is not believed but read again from the start (a
restored or a wounded server answers so, and such an answer can be empty); after a failure the next
question waits for nothing; failures are retried without end, the first quickly, in a row ever slower,
each after a random while, so that a fleet does not come back all at once.
"""

import random
import time
from collections.abc import Callable, Iterator
from threading import Event
from typing import Generic, TypeVar

from bgd.store.faults import Fault, StoreFault

WAIT_S = 25.0
"""Some versions break longer waits; and it bounds how late a frozen agent is noticed."""
LATE_S = WAIT_S + 15.0
"""No answer takes so long. One that is read later came while this daemon was frozen, and is old."""
FIRST_S, LONGEST_S = 0.1, 5.0

T = TypeVar("T")


class Backoff:
    """How long to wait before the next try. Failures that follow each other soon are one row."""

    def __init__(self) -> None:
        self._row, self._last_s = 0, float("-inf")

    def next_s(self) -> float:
        """A random while, longer with every failure of the row."""
        now_s = time.monotonic()
        self._row = self._row + 1 if now_s - self._last_s < 2 * LONGEST_S else 0
        self._last_s = now_s
        return random.uniform(0, min(LONGEST_S, FIRST_S * 2.0 ** min(self._row, 10)))  # noqa: S311 (no secret)


def in_time(ask: Callable[[], T]) -> T:
    """What is answered; raises StoreFault when it was read so late that it is old."""
    began_s = time.monotonic()
    answer = ask()
    if (late_s := time.monotonic() - began_s) > LATE_S:
        raise StoreFault(Fault.LOST, f"the answer was read {late_s:.0f} s after its question")
    return answer


class Follow(Generic[T]):
    """What `ask(index)` answers, each time that it changes, and each fault on the way."""

    def __init__(self, ask: Callable[[int], tuple[int, T]], stop: Event) -> None:
        self._ask, self._stop = ask, stop
        self._index = 0
        self._backoff = Backoff()

    def __iter__(self) -> Iterator[T | StoreFault]:
        while not self._stop.is_set():
            began_s = time.monotonic()
            try:
                index, answer = in_time(lambda: self._ask(self._index))
            except StoreFault as fault:
                if self._stop.is_set():
                    return
                self._index = 0
                yield fault
                self._pause()
                continue
            before, self._index = self._index, max(1, index)
            if index < before:
                self._index = 0
                continue
            if self._stop.is_set():
                return
            yield answer
            if index == before and time.monotonic() - began_s < 1:
                self._pause()  # it did not wait for a change: do not spin

    def _pause(self) -> None:
        self._stop.wait(self._backoff.next_s())


def follow(ask: Callable[[int], tuple[int, T]], stop: Event) -> Iterator[T | StoreFault]:
    """Every answer of a blocking query, each after a change or `WAIT_S`, and every fault, until `stop`."""
    return iter(Follow(ask, stop))
