"""What an app's services say → CatalogSeen when its meaning changed, else StoreHeard.

Either by one blocking query per service, or as somebody else reads them (`catalog_rounds`).

A changed output of a check wakes every watcher, too; that is no news. A colour that has suddenly no
backend is believed only when we can read what we have written ourselves. What is the same after a fault is
told once more: until then it was old.
"""

import threading
import time

from bgd.config import AppSettings
from bgd.core.events import CatalogSeen, StoreHeard
from bgd.core.model import Colour
from bgd.ports import Post
from bgd.store import catalog
from bgd.store.client import Client, StoreFault
from bgd.store.follow import WAIT_S, follow, in_time
from bgd.store.presence import Presence
from bgd.store.rights import Rights

HEARD_S = 1.0
"""So often at most it is said that nothing has changed: checks may talk without end."""


class CatalogWatch:
    """One app's backends, until it is stopped."""

    def __init__(
        self, client: Client, app: AppSettings, post: Post, presence: Presence, rights: Rights
    ) -> None:
        self._client, self.app = client, app
        self._post, self._presence, self._rights = post, presence, rights
        self.services = catalog.services(app)
        self._stop = threading.Event()
        self._posting = threading.Lock()
        self._parts: dict[str, CatalogSeen] = {}
        self._last: CatalogSeen | None = None
        self._answered: set[str] = set()
        """The services that have answered since the last word: what one says is not heard of the other."""
        self._heard_s = float("-inf")

    def start(self) -> None:
        """Watch, with a thread and a connection for each service."""
        for service in self.services:
            threading.Thread(
                target=self._run, args=(service,), name=f"catalog {service}", daemon=True
            ).start()

    def stop(self) -> None:
        """Nothing is posted any more; the threads end with the calls that they wait for."""
        with self._posting:
            self._stop.set()
        self._rights.well(self._name)

    @property
    def _name(self) -> str:
        return f"catalog of {self.app.name}"

    def _run(self, service: str) -> None:
        for answer in follow(lambda index: self._ask(service, index), self._stop):
            if isinstance(answer, StoreFault):
                self.failed(service, answer)
            else:
                self.seen(service, answer)

    def ask(self, service: str) -> tuple[int, CatalogSeen]:
        """What one of the services says now, and its index. Raises StoreFault."""
        return in_time(lambda: self._ask(service, 0))

    def _ask(self, service: str, index: int) -> tuple[int, CatalogSeen]:
        now, instances = self._client.health(service, index=index, wait_s=WAIT_S)
        part = catalog.read(self.app, service, instances)
        before = self._parts.get(service)
        if before is not None and any(before.backends[each] and not part.backends[each] for each in Colour):
            self._presence.prove_right(self.app.name)
        return now, part

    def failed(self, service: str, fault: StoreFault) -> None:
        """A service could not be asked, or its answer not be believed."""
        with self._posting:
            if self._stop.is_set():
                return
            self._rights.failed(self._name, fault)
            self._last = None
            self._answered.discard(service)

    def heard(self, service: str) -> None:
        """A service says what it said when it was last asked."""
        self.seen(service, self._parts[service])

    def seen(self, service: str, part: CatalogSeen) -> None:
        """This is what a service says."""
        self._rights.well(self._name)
        with self._posting:
            self._parts[service] = part
            if self._stop.is_set() or len(self._parts) < len(self.services):
                return
            self._answered.add(service)
            whole = catalog.merge(self.app, (self._parts[each] for each in self.services))
            if whole != self._last:
                self._last = whole
                self._say(whole)
            elif len(self._answered) == len(self.services) and time.monotonic() - self._heard_s >= HEARD_S:
                self._say(StoreHeard(self.app.name))

    def _say(self, event: CatalogSeen | StoreHeard) -> None:
        self._answered.clear()
        self._heard_s = time.monotonic()
        self._post(event)
