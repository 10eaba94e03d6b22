"""What this node tells the fleet: that it lives, its reports, and what it has to write into the history.

Rules that live here: nothing is written before the sign of life stands, and the first reports of a life in
the moment in which it does; of a report only the newest waits, and it is written only when its meaning has
changed, or it holds a vote, which grows old; what the store has lost is written anew; a failed write is
tried again without end, and never holds up the others.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from bgd.core.knowledge import VOTE_RENEWED_S
from bgd.store import records
from bgd.store.alive import RENEW_S, Alive, SecondDaemon
from bgd.store.chronicle import AGAIN_S, Chronicle, Page
from bgd.store.client import Client, Fault, StoreFault
from bgd.store.follow import Backoff
from bgd.store.ops import Set
from bgd.store.rights import Rights
from bgd.store.writes import LARGEST_TRANSACTION

CLOSING_S = 2.0
FIRST_REPORTS_S = 1.0
"""So long the sign of life waits for the first reports of this life."""

Job = str | Page
"""The report of an app, or a page of the history."""


class Presence:
    """One thread that writes. All else may be called from any thread and returns at once."""

    def __init__(
        self,
        client: Client,
        node: str,
        instance: str,
        rights: Rights,
        second: Callable[[SecondDaemon], None],
        chronicle: Chronicle,
        apps: Collection[str],
    ) -> None:
        self._client, self._node = client, node
        self._chronicle, self._awaited = chronicle, frozenset(apps)
        self._alive = Alive(client, node, instance)
        self._rights, self._second = rights, second
        self._changed = threading.Condition()
        self._stopping = False
        self._jobs: dict[Job, None] = {}
        self._later: dict[Job, float] = {}
        """What is to be done again, and when."""
        self._renewing: set[str] = set()
        """The apps whose report is to be written again although it says the same."""
        self._newest: dict[str, Mapping[str, Any]] = {}
        self._writing = threading.Lock()
        self._written: dict[str, Mapping[str, Any]] = {}
        self._known: set[str] = set()
        """The apps whose report we have once written: only by these can a right be proved."""
        self._mark: tuple[str, int] | None = None
        """The key that we wrote last, and its ModifyIndex: when it differs, the store was restored."""
        self._renew_s = 0.0
        self.lives = False
        """Whether the sign of life stands, as far as is known."""
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)

    def start(self) -> None:
        """Begin to live, as soon as Consul answers."""
        self._thread.start()

    def publish(self, app: str, report: Mapping[str, Any]) -> None:
        """Write this node's report of an app."""
        with self._changed:
            self._newest[app] = report
            self._add(app)

    def record(self, app: str, generation: int, event: Mapping[str, Any]) -> None:
        """Create the event of a generation, unless another node has."""
        self._add_page((app, generation, ""), self._chronicle.create(app, generation, event))

    def conclude(self, app: str, generation: int, outcome: str) -> None:
        """Set the outcome of a generation that this node's write has ended."""
        self._add_page((app, generation, outcome), self._chronicle.conclude(app, generation, outcome))

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
        self._await_first_reports()
        while not self._stopping:
            try:
                self._turn()
                self._rights.well("presence")
                self._wait(self._next_s() - time.monotonic(), for_jobs=True)
            except SecondDaemon as found:
                with self._changed:
                    self.lives = False
                    self._known.clear()  # from now on nothing is written
                self._second(found)
                return
            except StoreFault as fault:
                self._rights.failed("presence", fault)
                self._wait(backoff.next_s(), for_jobs=False)
        self._end()

    def _turn(self) -> None:
        if time.monotonic() >= self._renew_s:
            self._live()
            self._renew_s = time.monotonic() + RENEW_S
        self._bring_forward()
        while time.monotonic() < self._renew_s and (job := self._next()):
            self._do(job)

    def _await_first_reports(self) -> None:
        """The loop says at once what it knows; whoever finds our sign of life is to find that beside it."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopping or self._awaited <= self._newest.keys(), FIRST_REPORTS_S
            )

    def _live(self) -> None:
        """Renew the sign of life. What stands beside a new one is written with it, as much as goes in."""
        with self._writing:
            beside: dict[str, Mapping[str, Any]] = {}

            def reports() -> list[Set]:
                with self._changed:
                    newest = list(self._newest.items())[: LARGEST_TRANSACTION - 1]
                    beside.update((app, _dated(report)) for app, report in newest)
                return [self._set(app, report) for app, report in beside.items()]

            index = self._alive.keep(reports)
            if index or not self._mark_stands():
                self._write_all_anew()
            for app, report in beside.items():
                self._remember(app, report, index)
            self.lives = True

    def _bring_forward(self) -> None:
        """What was put off is due."""
        now_s = time.monotonic()
        with self._changed:
            for job in [job for job, due_s in self._later.items() if due_s <= now_s]:
                del self._later[job]
                self._jobs.setdefault(job)
                if isinstance(job, str):
                    self._renewing.add(job)

    def _next_s(self) -> float:
        with self._changed:
            return min((self._renew_s, *self._later.values()))

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
        try:
            if isinstance(job, str):
                self._write_report(job)
            elif not self._chronicle.write(job):
                with self._changed:
                    self._later[job] = time.monotonic() + AGAIN_S
        except StoreFault:
            with self._changed:
                self._jobs.setdefault(job)
            raise

    def _write_report(self, app: str, *, anew: bool = False) -> None:
        with self._writing:  # by whichever thread, never two at once
            report = self._newest.get(app)
            anew = anew or app in self._renewing
            if report is None or (not anew and records.meaning(report) == self._written.get(app)):
                return
            if app in self._renewing:
                report = _dated(report)
            self._remember(app, report, self._client.transact([self._set(app, report)]))

    def _set(self, app: str, report: Mapping[str, Any]) -> Set:
        return Set(self._client.keys.report(app, self._node), records.encode(report))

    def _remember(self, app: str, report: Mapping[str, Any], index: int) -> None:
        self._mark = (self._client.keys.report(app, self._node), index)
        with self._changed:
            self._written[app] = records.meaning(report)
            self._later.pop(app, None)
            self._renewing.discard(app)
            if report.get("vote") is not None:
                self._later[app] = time.monotonic() + VOTE_RENEWED_S
            self._known.add(app)
            if records.is_gone(report) and records.is_gone(self._newest[app]):
                del self._newest[app], self._written[app]
                self._known.discard(app)

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
                self._jobs.setdefault(app)

    def _is_there(self, app: str) -> bool:
        return self._client.read(self._client.keys.report(app, self._node), consistent=True) is not None

    def _add(self, job: Job) -> None:
        self._jobs.setdefault(job)
        self._changed.notify()

    def _add_page(self, page: Page, dropped: Sequence[Page]) -> None:
        with self._changed:
            for each in dropped:
                self._jobs.pop(each, None)
                self._later.pop(each, None)
            self._add(page)


def _dated(report: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same report as of now: Consul leaves a key as old as it was when the same is written to it."""
    return {**report, "at": records.now_at()}
