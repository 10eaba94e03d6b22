"""Many services, one thread: each is read in turn, and all are asked whether they have moved when Consul's
catalog has changed at all.

Rules that live here: between two readings of a service nothing is lost, since its index is compared with the
one that was read; each is read whole at least each `WAIT_S`, whatever was signalled, since only a whole
answer shows that a right was lost; after a fault no index counts; asking around takes no more than a small
share of the time in the long run, however much of the catalog is none of our business.
"""

import random
import threading
import time
from collections.abc import Iterable

from bgd.store.catalog_watch import CatalogWatch
from bgd.store.client import Client
from bgd.store.faults import Fault, StoreFault
from bgd.store.follow import WAIT_S, Backoff
from bgd.store.wake import Wake

BUSY = 1 / 20
"""Asking all services for their indexes takes no more than this share of the time …"""
AT_ONCE_S = 1.0
"""… but so much of it may come at once, after a quiet while."""

_Row = tuple[CatalogWatch, str]


class CatalogRounds:
    """Reads the services of any number of watches. `add` and `drop` may be called from any thread."""

    def __init__(self, client: Client, watches: Iterable[CatalogWatch]) -> None:
        self._client = client
        self._wake = Wake(client, self._note_change, self._note_fault)
        self._changed = threading.Condition()
        self._stopping = False
        self._woken = False
        self._life = 0
        """Which life of Consul it is, as far as we know: an index of another one says nothing."""
        self._earliest_s = 0.0
        """When the services may be asked around again."""
        self._indexes: dict[_Row, int] = {}
        """What each service's answer was read at; without one it must be read whole."""
        self._due_s: dict[_Row, float] = {}
        """When each service must be read whole."""
        self._backoff = Backoff()
        self._thread = threading.Thread(target=self._run, name="catalog", daemon=True)
        for watch in watches:
            self.add(watch)

    def start(self) -> None:
        self._wake.start()
        self._thread.start()

    def add(self, watch: CatalogWatch) -> None:
        """Read this one's services from now on, the first time at once."""
        with self._changed:
            self._due_s.update(((watch, service), 0.0) for service in watch.services)
            self._changed.notify()

    def drop(self, watch: CatalogWatch) -> None:
        """Read this one's services no more."""
        with self._changed:
            for service in watch.services:
                self._due_s.pop((watch, service), None)
                self._indexes.pop((watch, service), None)

    def close(self) -> None:
        """Nothing is read any more; the threads end with the calls that they wait for."""
        self._wake.close()
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def _note_change(self) -> None:
        with self._changed:
            self._woken = True
            self._changed.notify()

    def _note_fault(self, fault: StoreFault) -> None:
        for watch, service in list(self._due_s):
            watch.failed(service, fault)
        with self._changed:
            self._life += 1
            self._indexes.clear()
            self._due_s = dict.fromkeys(self._due_s, 0.0)
            self._changed.notify()

    def _run(self) -> None:
        while not self._stopping:
            row = self._await_need()
            if self._stopping:
                return
            if row is not None:
                self._read(row)
            else:
                self._ask_around()

    def _await_need(self) -> _Row | None:
        """The service that must be read now; None: all are to be asked around."""
        with self._changed:
            while not self._stopping:
                now_s = time.monotonic()
                row = min(self._due_s, key=lambda each: self._due_s[each], default=None)
                due_s = self._due_s[row] if row is not None else float("inf")
                if due_s <= now_s:
                    return row
                if self._woken and self._earliest_s <= now_s:
                    self._woken = False
                    return None
                until_s = min(due_s, self._earliest_s) if self._woken else due_s
                self._changed.wait(min(until_s - now_s, WAIT_S))
            return None

    def _ask_around(self) -> None:
        """Read every service whose index is another one than it was."""
        began_s = time.monotonic()
        for row, before in list(self._indexes.items()):  # the others are to be read anyway
            if self._stopping:
                return
            watch, service = row
            try:
                moved = self._client.service_index(service) != before
            except StoreFault as fault:
                self._failed(row, fault)
                if fault.kind is Fault.LOST:
                    self._note_change()  # for those that were not asked
                    break
                continue
            if moved:
                self._read(row)
            else:
                watch.heard(service)
        now_s = time.monotonic()
        rested_s = max(self._earliest_s, now_s - AT_ONCE_S / BUSY)
        self._earliest_s = rested_s + (now_s - began_s) / BUSY

    def _read(self, row: _Row) -> None:
        watch, service = row
        life, before = self._life, self._indexes.get(row, 0)
        try:
            index, part = watch.ask(service)
            if index < before:  # a step backwards is not believed
                index, part = watch.ask(service)
        except StoreFault as fault:
            self._failed(row, fault)
            return
        watch.seen(service, part)
        # Spread over time: all at once would keep a flip waiting.
        due_s = time.monotonic() + random.uniform(0.5, 1) * WAIT_S  # noqa: S311 (no secret)
        with self._changed:
            if row in self._due_s and life == self._life:
                self._due_s[row], self._indexes[row] = due_s, index

    def _failed(self, row: _Row, fault: StoreFault) -> None:
        """This one waits its turn, and all of them wait a little."""
        watch, service = row
        watch.failed(service, fault)
        pause_s = self._backoff.next_s()
        with self._changed:
            self._indexes.pop(row, None)
            if row in self._due_s:
                self._due_s[row] = time.monotonic() + pause_s
            self._changed.wait_for(lambda: self._stopping, pause_s)
