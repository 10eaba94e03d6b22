"""Whether a reload is under way, so that a flip made meanwhile is proved again when it has ended."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Reloads:
    """Counts the reloads that began, and lets a flip wait out one that is under way."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._under_way = False
        self.begun = 0

    @property
    def under_way(self) -> bool:
        return self._under_way

    @contextmanager
    def one(self) -> Iterator[None]:
        """A reload, from before the file is swapped until what it lost has been set anew."""
        with self._changed:
            assert not self._under_way, "reloads follow each other"
            self._under_way, self.begun = True, self.begun + 1
        try:
            yield
        finally:
            with self._changed:
                self._under_way = False
                self._changed.notify_all()

    def wait_out(self, deadline_s: float) -> None:
        """Return when no reload is under way, or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: not self._under_way, deadline_s)
