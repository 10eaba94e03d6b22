"""Whether Consul lets us, as several threads find out: told when it does not, and when it does again."""

import threading
from collections.abc import Callable

from bgd.core.events import StoreDenied
from bgd.ports import Post
from bgd.store.faults import Fault, StoreFault


class Rights:
    """Posts StoreDenied for each refusal; `again` is called when nobody is refused any more."""

    def __init__(self, post: Post, again: Callable[[], None]) -> None:
        self._post, self._again = post, again
        self._lock = threading.Lock()
        self._denied: set[str] = set()

    def failed(self, who: str, fault: StoreFault) -> None:
        """Somebody's call failed. That Consul is lost is the business of the watch over all wishes."""
        if fault.kind is Fault.DENIED:
            with self._lock:
                self._denied.add(who)
            self._post(StoreDenied(fault.detail))

    def well(self, who: str) -> None:
        """Somebody's call did what it should."""
        with self._lock:
            if who not in self._denied:
                return
            self._denied.discard(who)
            over = not self._denied
        if over:
            self._again()
