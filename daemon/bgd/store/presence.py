"""What this node tells the fleet: that it lives, its reports, and events that it was the first to prove.

Rules that live here: nothing is written before the sign of life stands; of a report only the newest
waits, and it is written only when its meaning has changed; what the store has lost is written anew; a
failed write is tried again without end, and never holds up the others.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from bgd.store import records, writes
from bgd.store.alive import RENEW_S, Alive, SecondDaemon
from bgd.store.client import Client, Fault, StoreFault
from bgd.store.follow import Backoff
from bgd.store.ops import Set
from bgd.store.rights import Rights

MOST_EVENTS = 200
CLOSING_S = 2.0

Job = tuple[str, int]
"""A report of an app (generation 0), or an event of one of its generations."""


class Presence:
    """One thread that writes. All else may be called from any thread and returns at once."""

    def __init__(
        self,
        client: Client,
        node: str,
        instance: str,
        rights: Rights,
        second: Callable[[SecondDaemon], None],
    ) -> None:
        self._client, self._node = client, node
        self._alive = Alive(client, node, instance)
        self._rights, self._second = rights, second
        self._changed = threading.Condition()
        self._stopping = False
        self._jobs: dict[Job, None] = {}
        self._newest: dict[str, Mapping[str, Any]] = {}
        self._events: dict[Job, Mapping[str, Any]] = {}
        self._writing = threading.Lock()
        self._written: dict[str, Mapping[str, Any]] = {}
        self._known: set[str] = set()
        """The apps whose report we have once written: only by these can a right be proved."""
        self._mark: tuple[str, int] | None = None
        """The key that we wrote last, and its ModifyIndex: when it differs, the store was restored."""
        self._renew_s = 0.0
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)

    def start(self) -> None:
        """Begin to live, as soon as Consul answers."""
        self._thread.start()

    def publish(self, app: str, report: Mapping[str, Any]) -> None:
        """Write this node's report of an app."""
        with self._changed:
            self._newest[app] = report
            self._add((app, 0))

    def record(self, app: str, generation: int, event: Mapping[str, Any]) -> None:
        """Create the event of a generation, unless another node has."""
        with self._changed:
            self._events[(app, generation)] = event
            while len(self._events) > MOST_EVENTS:
                self._drop(next(iter(self._events)))
            self._add((app, generation))

    def withdraw(self, app: str, by: str) -> None:
        """End this node's membership of an app."""
        self.publish(app, records.gone(by))

    def prove_right(self, app: str) -> None:
        """Raise StoreFault unless we can read what we have written: else an empty answer means nothing."""
        with self._changed:
            app = app if app in self._known else min(self._known, default="")
        if not app or self._is_there(app):
            return
        hidden = f"our own report {self._client.keys.report(app, self._node)} is not to be read"
        try:
            self._write_report(app, anew=True)
        except StoreFault as fault:
            raise StoreFault(fault.kind, f"{hidden}, nor to be written: {fault.detail}") from fault
        if not self._is_there(app):
            raise StoreFault(Fault.DENIED, f"{hidden}, although we have just written it")

    def close(self) -> None:
        """Write what waits, take the sign of life away, and end within `CLOSING_S`."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(CLOSING_S)

    # -- the writer's thread ------------------------------------------------------------------------

    def _run(self) -> None:
        backoff = Backoff()
        while not self._stopping:
            try:
                self._turn()
                self._rights.well("presence")
                self._wait(self._renew_s - time.monotonic(), for_jobs=True)
            except SecondDaemon as found:
                with self._changed:
                    self._known.clear()  # from now on nothing is written
                self._second(found)
                return
            except StoreFault as fault:
                self._rights.failed("presence", fault)
                self._wait(backoff.next_s(), for_jobs=False)
        self._end()

    def _turn(self) -> None:
        if time.monotonic() >= self._renew_s:
            if not (self._alive.keep() and self._mark_stands()):
                self._write_all_anew()
            self._renew_s = time.monotonic() + RENEW_S
        while time.monotonic() < self._renew_s and (job := self._next()):
            self._do(job)

    def _next(self) -> Job | None:
        with self._changed:  # others add to them meanwhile
            return next(iter(self._jobs), None)

    def _wait(self, duration_s: float, *, for_jobs: bool) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or (for_jobs and bool(self._jobs)), duration_s)

    def _end(self) -> None:
        with contextlib.suppress(StoreFault):  # nobody is left to hear of it
            for job in list(self._jobs):
                self._do(job)
        with contextlib.suppress(StoreFault):  # the sign of life goes by itself, a little later
            self._alive.end()

    def _do(self, job: Job) -> None:
        """Carry out one job; a failed one waits behind all others."""
        with self._changed:
            self._jobs.pop(job, None)
        app, generation = job
        try:
            if generation:
                self._create_event(job)
            else:
                self._write_report(app)
        except StoreFault:
            with self._changed:
                self._jobs.setdefault(job)
            raise

    def _write_report(self, app: str, *, anew: bool = False) -> None:
        with self._writing:  # by whichever thread, never two at once
            report = self._newest.get(app)
            if report is None or (not anew and records.meaning(report) == self._written.get(app)):
                return
            key = self._client.keys.report(app, self._node)
            self._mark = (key, self._client.transact([Set(key, records.encode(report))]))
            self._remember(app, report)

    def _remember(self, app: str, report: Mapping[str, Any]) -> None:
        with self._changed:
            self._written[app] = records.meaning(report)
            self._known.add(app)
            if records.is_gone(report) and self._newest[app] is report:
                del self._newest[app], self._written[app]
                self._known.discard(app)

    def _create_event(self, job: Job) -> None:
        event = self._events.get(job)
        if event is not None:
            writes.create_event(self._client, *job, event)
            self._events.pop(job, None)

    # -- what the store has lost --------------------------------------------------------------------

    def _mark_stands(self) -> bool:
        if self._mark is None:
            return True
        there = self._client.read(self._mark[0])
        return there is not None and there.modify_index == self._mark[1]

    def _write_all_anew(self) -> None:
        with self._changed:
            self._mark = None
            self._written.clear()
            for app in self._newest:
                self._jobs.setdefault((app, 0))

    def _is_there(self, app: str) -> bool:
        return self._client.read(self._client.keys.report(app, self._node), consistent=True) is not None

    def _add(self, job: Job) -> None:
        self._jobs.setdefault(job)
        self._changed.notify()

    def _drop(self, job: Job) -> None:
        del self._events[job]
        self._jobs.pop(job, None)
