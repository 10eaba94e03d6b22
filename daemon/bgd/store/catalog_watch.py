"""One blocking query per service of an app → CatalogSeen when its meaning changed, else StoreHeard.

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
from bgd.store.follow import WAIT_S, follow
from bgd.store.presence import Presence
from bgd.store.rights import Rights

HEARD_S = 1.0
"""So often at most it is said that nothing has changed: checks may talk without end."""


class CatalogWatch:
    """Watches one app's backends, until it is stopped."""

    def __init__(
        self, client: Client, app: AppSettings, post: Post, presence: Presence, rights: Rights
    ) -> None:
        self._client, self.app = client, app
        self._post, self._presence, self._rights = post, presence, rights
        self._services = catalog.services(app)
        self._stop = threading.Event()
        self._posting = threading.Lock()
        self._parts: dict[str, CatalogSeen] = {}
        self._last: CatalogSeen | None = None
        self._answered: set[str] = set()
        """The services that have answered since the last word: what one says is not heard of the other."""
        self._heard_s = float("-inf")

    def start(self) -> None:
        for service in self._services:
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
                self._rights.failed(self._name, answer)
                self._failed(service)
            else:
                self._rights.well(self._name)
                self._seen(service, answer)

    def _ask(self, service: str, index: int) -> tuple[int, CatalogSeen]:
        now, instances = self._client.health(service, index=index, wait_s=WAIT_S)
        part = catalog.read(self.app, service, instances)
        before = self._parts.get(service)
        if before is not None and any(before.backends[each] and not part.backends[each] for each in Colour):
            self._presence.prove_right(self.app.name)
        return now, part

    def _failed(self, service: str) -> None:
        with self._posting:
            self._last = None
            self._answered.discard(service)

    def _seen(self, service: str, part: CatalogSeen) -> None:
        with self._posting:
            self._parts[service] = part
            if self._stop.is_set() or len(self._parts) < len(self._services):
                return
            self._answered.add(service)
            whole = catalog.merge(self.app, (self._parts[each] for each in self._services))
            if whole != self._last:
                self._last = whole
                self._say(whole)
            elif len(self._answered) == len(self._services) and time.monotonic() - self._heard_s >= HEARD_S:
                self._say(StoreHeard(self.app.name))

    def _say(self, event: CatalogSeen | StoreHeard) -> None:
        self._answered.clear()
        self._heard_s = time.monotonic()
        self._post(event)
