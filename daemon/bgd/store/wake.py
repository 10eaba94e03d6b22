"""Two questions that wait for a change in Consul's whole catalog → one signal that something has changed.

What has changed they do not say: their answers are left out, and only the index counts. Registrations move
that of the services, and checks that of the checks. A signal may be one too many, and one that is lost costs
no more than a round (`catalog_rounds`).
"""

import threading
from collections.abc import Callable

from bgd.store.client import Client
from bgd.store.faults import StoreFault
from bgd.store.follow import WAIT_S, follow

GATHER_S = 0.05
"""What changes together, as when a colour is registered, is told once."""


class Wake:
    """Two threads that wait for Consul, until it is closed."""

    def __init__(
        self, client: Client, changed: Callable[[], None], failed: Callable[[StoreFault], None]
    ) -> None:
        """`failed` is called when an index that is known may be one of another life of Consul."""
        self._changed, self._failed = changed, failed
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(ask,), name=name, daemon=True)
            for name, ask in (("services", client.services_index), ("checks", client.checks_index))
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Nothing is signalled any more; the threads end with the calls that they wait for."""
        self._stop.set()

    def _run(self, ask: Callable[[int, float], int]) -> None:
        def index_of(index: int) -> tuple[int, int]:
            now = ask(index, WAIT_S)
            return now, now

        before = 0
        for answer in follow(index_of, self._stop):
            if isinstance(answer, StoreFault):
                self._failed(answer)
                before = 0
            elif answer != before:
                before = answer
                self._stop.wait(GATHER_S)
                self._changed()
