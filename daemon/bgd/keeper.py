"""What is known of each app, brought to disk.

Rules that live here: of an app only the newest waits, and one write runs at a time, so that a start with
hundreds of apps writes each of them once or twice; what was proved does not wait behind the others; a full
disk loses nothing that is served: it is said once, and tried again; of an app that is gone nothing stays.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import structlog

from bgd.core import memory
from bgd.core.knowledge import Knowledge
from bgd.core.model import Serving
from bgd.ports import Clock, State


class Keeper:
    """One state directory, for the loop's thread and its workers."""

    def __init__(self, state: State, clock: Clock, start: Callable[[Callable[[], None]], None]) -> None:
        """`start` has a worker carry something out."""
        self._state, self._clock, self._start = state, clock, start
        self._log = structlog.get_logger("hands")
        self._disk, self._lock = threading.Lock(), threading.Lock()
        self._waiting: dict[str, Knowledge] = {}
        self._running = False
        self._gone: set[str] = set()
        """Apps that are to leave the disk: what is still on its way there comes too late."""
        self._saved: dict[str, Mapping[str, Any]] = {}
        self._clean: dict[str, Knowledge] = {}
        """What is known to stand on disk as it is: most ticks change nothing."""
        self.unsaved: set[str] = set()
        """Apps whose last write failed: it was said once, and is tried again with each tick."""

    def prove(self, knowledge: Knowledge, serving: Serving) -> None:
        """Write now what was proved: it is on disk before anybody is told."""
        with self._disk:  # what waits, or was about to be written, is older
            with self._lock:
                self._waiting.pop(knowledge.app, None)
            self._save(replace(knowledge, serving=serving))

    def remember(self, knowledge: Knowledge) -> None:
        """Start writing what changed, if anything has. Only called by the loop."""
        app = knowledge.app
        if self._clean.get(app) is knowledge:
            return
        if self._remembered(knowledge) == self._saved.get(app):
            self._clean[app] = knowledge
            return
        with self._lock:
            self._gone.discard(app)
            self._waiting[app] = knowledge
            if self._running:
                return
            self._running = True
        self._start(self._save_all)

    def forget(self, app: str) -> None:
        """The app is gone: so is what was said of it, and what stands on disk. Only called by the loop."""
        with self._lock:
            self._waiting.pop(app, None)
            self._gone.add(app)
        self._saved.pop(app, None)
        self._clean.pop(app, None)
        self._start(lambda: self._erase(app))

    def _erase(self, app: str) -> None:
        with self._disk:
            with self._lock:
                if app not in self._gone:
                    return  # it has come again meanwhile
            try:
                self._state.forget(app)
            except OSError as error:  # the next start will find it
                self._log.error("state not removed", app=app, error=str(error))

    def _save_all(self) -> None:
        while True:
            with self._disk:
                knowledge = self._next()
                if knowledge is None:
                    return
                self._save(knowledge)

    def _next(self) -> Knowledge | None:
        with self._lock:
            if not self._waiting:
                self._running = False
                return None
            return self._waiting.pop(next(iter(self._waiting)))

    def _save(self, knowledge: Knowledge) -> None:
        app = knowledge.app
        with self._lock:
            if app in self._gone:
                return
        remembered = self._remembered(knowledge)
        if remembered == self._saved.get(app):
            return
        try:
            self._state.save(app, remembered)
        except OSError as error:
            if app not in self.unsaved:
                self._log.error("state not written", app=app, error=str(error))
            self.unsaved.add(app)
            return
        self.unsaved.discard(app)
        self._saved[app] = remembered

    def _remembered(self, knowledge: Knowledge) -> dict[str, Any]:
        return memory.remember(knowledge, now_s=self._clock.now_s(), wall_s=self._clock.wall_s())
