"""What the proxy saw of its own answers, summed over each app's window.

Rules that live here: a sum never reaches over what cannot be known (a proxy that began anew, a reader that
was away), nor over a change of what the proxy decides; where the time of an answer is not known exactly,
the mean is the least that it can be; what says nothing is said once.
"""

import threading
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from bgd.config import AppSettings
from bgd.core.events import TrafficSeen
from bgd.core.model import Colour
from bgd.proxy.adapter import Answered

GAP_S = 5.0
"""Who has not read for so long was away."""
SLACK_S = 0.5
"""Readings are not made on the dot: a window of n seconds may hold n of them."""
SETTLE_S = 1.0
"""A change of what is decided counts for the core a little later than the proxy shows it."""
STEPS = 60
"""A window is kept in about so many steps, however long it is."""

Counted = Mapping[tuple[str, Colour], Answered | None]


@dataclass(frozen=True, slots=True)
class _Step:
    since_s: float
    until_s: float
    answered: Answered

    def with_next(self, until_s: float, answered: Answered) -> "_Step":
        return _Step(self.since_s, until_s, _sum((self.answered, answered)))


@dataclass(slots=True)
class Window:
    """What one colour of one app has answered lately, step by step."""

    steps: deque[_Step] = field(default_factory=deque)
    empty_said: bool = True
    """The last that was said of it is that nothing is known, or nothing was answered."""

    def add(self, since_s: float, until_s: float, answered: Answered, window_s: float) -> None:
        """Take in what was answered between two readings; what has left the window is dropped."""
        newest = self.steps[-1] if self.steps else None
        if newest is not None and until_s - newest.since_s <= window_s / STEPS:
            self.steps[-1] = newest.with_next(until_s, answered)
        else:
            self.steps.append(_Step(since_s, until_s, answered))
        while len(self.steps) > 1 and until_s - self.steps[0].since_s > window_s + SLACK_S:
            self.steps.popleft()

    def total(self) -> Answered:
        """All steps together."""
        return _sum(step.answered for step in self.steps)


class Traffic:
    """The windows of all apps whose traffic is judged. May be used from several threads."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, Colour], Window] = {}
        self._begins_s: dict[str, float] = {}
        self._read_s = float("-inf")
        self._lock = threading.Lock()

    def changed(self, app: str, now_s: float) -> None:
        """What the proxy decides for this app has changed, or may have: its sums begin anew."""
        with self._lock:
            self._begins_s[app] = now_s + SETTLE_S
            for colour in Colour:
                if window := self._windows.get((app, colour)):
                    window.steps.clear()

    def seen(
        self, apps: Mapping[str, AppSettings], counted: Counted, *, asked_s: float, now_s: float
    ) -> list[TrafficSeen]:
        """Take in what was counted since the reading before, and tell what that comes to.

        `asked_s` and `now_s` are the moments before and after the counters were read.
        """
        with self._lock:
            since_s, self._read_s = self._read_s, asked_s
            away = now_s - since_s > GAP_S
            self._keep_only(apps)
            events = (
                self._told(apps[app], colour, None if away else answered, since_s, now_s)
                for (app, colour), answered in counted.items()
            )
            return [event for event in events if event is not None]

    def _keep_only(self, apps: Collection[str]) -> None:
        self._windows = {place: window for place, window in self._windows.items() if place[0] in apps}
        self._begins_s = {app: begins_s for app, begins_s in self._begins_s.items() if app in apps}

    def _told(
        self, app: AppSettings, colour: Colour, answered: Answered | None, since_s: float, now_s: float
    ) -> TrafficSeen | None:
        if since_s < self._begins_s.get(app.name, float("-inf")):
            return None
        window = self._windows.setdefault((app.name, colour), Window())
        if answered is None:
            window.steps.clear()
        else:
            window.add(since_s, now_s, answered, app.revert.window_s)
        total = window.total()
        if not total.requests and window.empty_said:
            return None
        window.empty_said = not total.requests
        return _event(app.name, colour, window, total, now_s)


def _event(app: str, colour: Colour, window: Window, total: Answered, now_s: float) -> TrafficSeen:
    if not window.steps:
        return TrafficSeen(app, colour, now_s, None)
    least_s = max(0.0, total.seconds - total.blur_s)
    mean_s = least_s / total.requests if total.requests else 0.0
    return TrafficSeen(app, colour, window.steps[0].since_s, total.requests, total.failed, mean_s)


def _sum(parts: Iterable[Answered]) -> Answered:
    requests, failed, seconds, blur_s = 0, 0, 0.0, 0.0
    for part in parts:
        requests += part.requests
        failed += part.failed
        seconds += part.seconds
        blur_s = max(blur_s, part.blur_s)
    return Answered(requests, failed, seconds, blur_s)
