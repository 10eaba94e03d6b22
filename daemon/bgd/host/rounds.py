"""Probes in rounds: who is probed when, on one thread with one epoll.

The first probe of a target starts at once. The second follows after a phase that differs from target to
target, and from then on the interval is kept, so that many targets never fire in one instant. A probe
ends before the next of its target begins.

All timers run on a clock that stands still while this thread itself is held up: a backend is never
blamed for a busy or suspended host.
"""

import heapq
import os
import select
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bgd.host.attempt import Attempt, Ended, Outcome, Place, Question, Trouble, begin
from bgd.host.names import Names

HELD_UP_S = 0.02
"""Coming back later than that is being held up."""
UNNOTICED_S = 0.1
"""Being held up for less, in the middle of a probe, may cost its backend so much of its time."""
EARLY_S = 0.003
"""A probe may start so much early, together with others: where there are thousands a second, it is mostly
waking up that costs."""
STARTS_AT_ONCE = 16
"""Between so many starts, answers are looked at."""
NAME_S = 0.1
"""So often is looked whether a name that was never found has an address by now."""
_GOLDEN = 0.6180339887498949
_EDGES = select.EPOLLIN | select.EPOLLOUT | select.EPOLLET


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """What is probed and how: `place` is None for a host name, which is looked up."""

    question: Question
    host: str
    port: int
    place: Place | None
    interval_s: float
    timeout_s: float
    max_latency_s: float

    @property
    def limit_s(self) -> float:
        """So long an answer may take; what is too slow need not be waited for."""
        return min(self.timeout_s, self.max_latency_s) if self.max_latency_s else self.timeout_s


class Target:
    """One backend that is probed again and again. Its one timer starts a probe, or ends it."""

    __slots__ = ("aim", "attempt", "began_s", "due_s", "rounds", "start_s", "tell")

    def __init__(self, aim: Aim, tell: Callable[[Outcome, float], None]) -> None:
        self.aim, self.tell = aim, tell
        self.attempt: Attempt | None = None
        self.began_s = self.start_s = self.due_s = 0.0
        self.rounds = 0


class Rounds:
    """The targets of one thread. Only `wake` may be called from another."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._names = Names()
        self._targets: set[Target] = set()
        self._under_way: dict[int, Target] = {}
        self._timers: list[tuple[float, int, Target]] = []
        self._count = 0
        self._held_up_s = 0.0
        self._polled_s = time.monotonic()

    def wake(self) -> None:
        """Have `turn` return soon."""
        os.eventfd_write(self._wake, 1)

    def add(self, target: Target) -> None:
        """Probe this one from now on."""
        self._targets.add(target)
        target.start_s = self._now_s()
        self._set_timer(target, target.start_s)

    def drop(self, target: Target) -> None:
        """Stop, even in the middle of a probe; its outcome is not told."""
        self._targets.discard(target)
        self._let_go(target)

    def close(self) -> None:
        """Drop all; nothing may be called afterwards."""
        for target in list(self._targets):
            self.drop(target)
        self._epoll.close()
        os.close(self._wake)

    def turn(self, at_most_s: float | None = None) -> None:
        """Wait for what happens next, for no longer than `at_most_s`, and carry it out."""
        wait_s = self._wait_s()
        if at_most_s is not None:
            wait_s = min(wait_s if wait_s is not None else at_most_s, max(0.0, at_most_s))
        events = self._poll(wait_s)
        for fd, ready in events:
            if fd == self._wake:
                os.eventfd_read(self._wake)
            elif target := self._under_way.get(fd):
                self._go_on(target, ready)
        at_s = time.monotonic()
        if at_s - self._polled_s > HELD_UP_S:
            return  # the next poll sets the clock right: nobody's time is over because we were held up
        now_s = at_s - self._held_up_s
        for target in self._due(now_s):
            if target.attempt is not None:
                self._expire(target)
            else:
                self._start(target, now_s)

    # -- time -----------------------------------------------------------------------------------

    def _now_s(self) -> float:
        return time.monotonic() - self._held_up_s

    def _poll(self, wait_s: float | None) -> list[tuple[int, int]]:
        """Ask epoll, and stop the clock for as long as this thread was kept from it."""
        asked_s = time.monotonic()
        events = self._epoll.poll(wait_s)
        now_s = time.monotonic()
        late_s = 0.0 if wait_s is None else max(0.0, now_s - asked_s - wait_s)
        if late_s + (asked_s - self._polled_s) > HELD_UP_S:
            self._held_up_s += now_s - self._polled_s  # when it began is not known, so all of it
        self._polled_s = now_s
        return events

    def _wait_s(self) -> float | None:
        while self._timers and not self._holds(self._timers[0]):
            heapq.heappop(self._timers)
        if not self._timers:
            return None
        wait_s = max(0.0, self._timers[0][0] - self._now_s())
        return min(wait_s, UNNOTICED_S) if self._under_way else wait_s

    def _holds(self, timer: tuple[float, int, Target]) -> bool:
        """Timers are never taken out of the heap: one that was set anew no longer holds."""
        due_s, _, target = timer
        return target.due_s == due_s and target in self._targets

    def _set_timer(self, target: Target, due_s: float) -> None:
        self._count += 1
        target.due_s = due_s
        heapq.heappush(self._timers, (due_s, self._count, target))

    def _due(self, now_s: float) -> Iterator[Target]:
        for _ in range(STARTS_AT_ONCE):
            while self._timers and not self._holds(self._timers[0]):
                heapq.heappop(self._timers)
            if not self._timers:
                return
            due_s, _, target = self._timers[0]
            if due_s > now_s and (target.attempt is not None or due_s > now_s + EARLY_S):
                return  # nobody's time is cut short
            yield heapq.heappop(self._timers)[2]

    # -- one probe ------------------------------------------------------------------------------

    def _start(self, target: Target, now_s: float) -> None:
        aim = target.aim
        place = aim.place or self._names.place(aim.host, aim.port, now_s)
        if place is None:
            self._set_timer(target, now_s + min(NAME_S, aim.interval_s))
            return
        target.began_s = now_s
        begun = begin(aim.question, place) if isinstance(place, Place) else place
        outcome = self._watch(target, begun) if isinstance(begun, Attempt) else begun
        if outcome is not None:
            self._end(target, outcome)

    def _watch(self, target: Target, attempt: Attempt) -> Trouble | None:
        try:
            self._epoll.register(attempt.fileno(), _EDGES)
        except OSError as error:
            attempt.close()
            return Trouble(f"cannot watch a socket: {error.strerror}")
        target.attempt = attempt
        self._under_way[attempt.fileno()] = target
        self._set_timer(target, target.began_s + target.aim.limit_s)
        return None

    def _go_on(self, target: Target, ready: int) -> None:
        assert target.attempt is not None
        outcome = target.attempt.step(ready)
        if outcome is not None:
            self._end(target, outcome)

    def _expire(self, target: Target) -> None:
        assert target.attempt is not None
        if target.aim.limit_s < target.aim.timeout_s:
            self._end(target, _slow(target.aim))
            return
        missing = "answer from" if target.attempt.asked else "connection to"
        within = shown(target.aim.timeout_s)
        self._end(target, Ended(False, f"no {missing} {target.aim.question.place} within {within}"))

    def _end(self, target: Target, outcome: Outcome) -> None:
        self._let_go(target)
        now_s = self._now_s()
        seen_s = self._polled_s - self._held_up_s  # what we do with an answer takes time that is ours
        took_s = max(0.0, seen_s - target.began_s)
        if isinstance(outcome, Ended) and outcome.ok and 0 < target.aim.max_latency_s < took_s:
            outcome = _slow(target.aim)
        self._set_timer(target, self._next_start_s(target, now_s))
        target.tell(outcome, took_s)

    def _let_go(self, target: Target) -> None:
        if target.attempt is not None:
            del self._under_way[target.attempt.fileno()]
            target.attempt.close()
            target.attempt = None

    def _next_start_s(self, target: Target, now_s: float) -> float:
        interval_s = target.aim.interval_s
        if not target.rounds:
            self._count += 1
            phase = self._count * _GOLDEN % 1
            target.start_s += (0.25 + phase) * interval_s
        target.rounds += 1
        now_s += EARLY_S  # it may have been early itself
        if target.start_s <= now_s:
            missed = (now_s - target.start_s) // interval_s
            target.start_s += (missed + 1) * interval_s
        return target.start_s


def _slow(aim: Aim) -> Ended:
    # The limit, not the time taken: what is the same must read the same, else it is news.
    return Ended(False, f"{aim.question.place} is slower than max_latency, {shown(aim.max_latency_s)}")


def shown(seconds_s: float) -> str:
    """A duration as it stands in bgd.toml."""
    return f"{seconds_s * 1000:g}ms" if seconds_s < 1 else f"{seconds_s:g}s"
