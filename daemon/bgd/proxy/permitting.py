"""What the proxy may do by itself, told again to each worker that does not know it yet.

Rules that live here: a permission stands in the workers that run and in no file that they read, so it is told
after each reload, and to a worker that nobody here has started; one that cannot be told ends by itself.
"""

import threading
from collections.abc import Mapping
from typing import Any

from bgd.core.permission import Permission
from bgd.proxy.adapter import Adapter


class Permitting:
    """The newest permissions. May be told from any thread."""

    def __init__(self, adapter: Adapter, log: Any) -> None:
        self._adapter, self._log = adapter, log
        self._newest: Mapping[str, Permission] | None = None
        self._one_at_a_time = threading.Lock()
        self._refused, self._worker = "", ""

    def tell(self, permitted: Mapping[str, Permission]) -> None:
        """From now on these, and no others."""
        self._newest = dict(permitted)
        self.again()

    @property
    def apps(self) -> frozenset[str]:
        """Whose requests the proxy may lead to the other colour by itself."""
        return frozenset(self._newest or ())

    def again(self) -> None:
        """The newest once more. Before anything was told, what stands is not touched."""
        with self._one_at_a_time:
            refused = ""
            try:
                if self._newest is not None:
                    self._adapter.permit(self._newest)
            except OSError as error:
                refused = str(error)
            if refused and refused != self._refused:
                self._log.warning("cannot tell the proxy what it may do by itself", detail=refused)
            self._refused = refused

    def seen(self, worker: str) -> None:
        """This worker serves: it may be a new one, which knows of no permission."""
        if worker != self._worker:
            self._worker = worker
            self.again()
