"""What this node still has to write into the history: events that it was the first to prove, and outcomes.

Rules that live here: an event is made once, by whoever is first; the outcome of a wish is set by the node
whose write ended it, as soon as its event is there, which another node may still be making; whatever this
node has written is told, once. Nobody waits for any of it: what cannot be written for long is dropped.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from bgd.store import records, writes
from bgd.store.client import Client

MOST = 200
AGAIN_S, PATIENCE_S = 1.0, 60.0
"""An outcome waits so long in all for its event, and so long between two looks."""

Told = Callable[[Mapping[str, Any]], None]
"""Is told an event with its app, node and generation; must return at once."""

Page = tuple[str, int, str]
"""An app's generation, and its outcome; empty: the event itself."""


class Chronicle:
    """Pages to write, by one thread. Adding to them may be done from any."""

    def __init__(self, client: Client, node: str, told: Told) -> None:
        self._client, self._node, self._told = client, node, told
        self._lock = threading.Lock()
        self._pages: dict[Page, Mapping[str, Any]] = {}
        self._until_s: dict[Page, float] = {}

    def create(self, app: str, generation: int, event: Mapping[str, Any]) -> list[Page]:
        """Note an event; answers with the pages that are dropped for it, or by it.

        It names this node, so that another one's, which says the same, is not taken for ours.
        """
        return self._add((app, generation, ""), {**event, "node": self._node})

    def conclude(self, app: str, generation: int, outcome: str) -> list[Page]:
        """Note how a generation ended; answers likewise."""
        return self._add((app, generation, outcome), {})

    def write(self, page: Page) -> bool:
        """Write a page; False: not yet, look again in `AGAIN_S`. Raises StoreFault."""
        with self._lock:
            event = self._pages.get(page)
        if event is None:
            return True
        app, generation, outcome = page
        if outcome:
            written = writes.set_outcome(self._client, app, generation, outcome)
            if written is None and time.monotonic() < self._until_s[page]:
                return False
            ours = written is not None and written.get("outcome") == outcome
        else:
            ours = writes.create_event(self._client, app, generation, event)
            written = {"schema": records.SCHEMA, "outcome": None, **event}
        self._drop(page)
        if ours and written is not None:
            self._told({**written, "app": app, "node": self._node, "generation": generation})
        return True

    def _add(self, page: Page, event: Mapping[str, Any]) -> list[Page]:
        with self._lock:
            self._pages[page] = event
            self._until_s[page] = time.monotonic() + PATIENCE_S
            dropped = list(self._pages)[:-MOST]
            for each in dropped:
                del self._pages[each], self._until_s[each]
        return dropped

    def _drop(self, page: Page) -> None:
        with self._lock:
            self._pages.pop(page, None)
            self._until_s.pop(page, None)
