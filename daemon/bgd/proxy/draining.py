"""What is left on the colours that were left: counted with each look, and cut when its time is over.

Rules that live here: nothing is cut of the colour that was flipped to last, whatever was told before, nor
while the proxy decides for it; who goes over to the other colour by the proxy's own choice is counted there
too, also after that was drained.
"""

import threading
import time
from collections.abc import Collection, Iterator, Mapping, Set
from contextlib import contextmanager
from typing import Any

from bgd.core.draining import Drain
from bgd.core.events import SessionsSeen
from bgd.core.model import Colour
from bgd.ports import Post
from bgd.proxy.adapter import Adapter
from bgd.proxy.structure import Watcher


class Draining:
    """Counts and cuts, as it is told. `look` is one thread's; the rest may be called from any."""

    def __init__(self, adapter: Adapter, observer: Watcher, log: Any) -> None:
        self._adapter, self._observer, self._log = adapter, observer, log
        self._drains: Mapping[str, Drain] = {}
        self._cuts: dict[str, tuple[Drain, int]] = {}
        """How many of a drain's were cut up to now."""
        self._spared: dict[str, Colour] = {}
        """The colour that each app was flipped to last."""
        self._permitted: frozenset[str] = frozenset()
        self._locks: dict[str, threading.Lock] = {}
        self._counting = threading.Lock()
        self._trouble = ""

    def tell(self, drains: Mapping[str, Drain]) -> None:
        """From now on exactly these are counted, and cut when it is time."""
        self._drains = drains

    @contextmanager
    def flipping(self, app: str, colour: Colour) -> Iterator[None]:
        """From its beginning nothing of this colour is cut, unless the flip fails."""
        with self._lock(app):
            before = self._spared.get(app)
            self._spared[app] = colour
        try:
            yield
        except BaseException:
            if before is None:
                self._spared.pop(app, None)
            else:
                self._spared[app] = before
            raise

    def look(self, decided: Mapping[str, Colour], permitted: Collection[str], post: Post) -> None:
        """Cut what is due, count, and post what is left. `permitted`: who may go over by itself."""
        drains, trouble = self._drains, ""
        asked_s = time.monotonic()
        counted: Mapping[tuple[str, Colour], int | None] = {}
        apps = drains.keys() | self._gone_over(permitted)
        if not apps:
            return
        try:
            for app, drain in drains.items():
                if drain.cut_s is not None and asked_s >= drain.cut_s:
                    self._cut(app, drain, decided.get(app))
            counted = self._count(apps)
        except OSError as error:
            trouble = str(error)
        self._say(trouble)
        for app in sorted(apps):
            sessions = {colour: counted.get((app, colour)) for colour in Colour}
            decides = decided.get(app)
            if app not in drains and decides and sessions[decides.other] == 0:
                continue  # as it was; what live has changes all the time, and nobody is told of it at rest
            post(SessionsSeen(app, asked_s, sessions, self._cut_of(app, drains.get(app))))

    def left(self, app: str, colour: Colour) -> int | None:
        """How many would be left on a colour, were it left now; None when that cannot be known."""
        try:
            return self._count({app}).get((app, colour))
        except OSError:
            return None

    def _count(self, apps: Collection[str]) -> Mapping[tuple[str, Colour], int | None]:
        with self._counting:
            return self._adapter.sessions(apps)

    def _gone_over(self, permitted: Collection[str]) -> Set[str]:
        """Who may have gone over since the look before; when nobody can say, everybody may."""
        might, self._permitted = self._permitted | set(permitted), frozenset(permitted)
        try:
            return might if might and self._adapter.went_over() else set()
        except OSError:
            return might

    def _cut(self, app: str, drain: Drain, decides: Colour | None) -> None:
        with self._lock(app):
            if drain.colour is self._spared.get(app) or decides is not drain.colour.other:
                return
            count = self._adapter.cut(app, drain.colour)
        if count:
            self._cuts[app] = drain, self._cut_of(app, drain) + count
            self._observer.cut(app, count)
            self._log.warning("sessions cut", app=app, colour=drain.colour.value, count=count)

    def _cut_of(self, app: str, drain: Drain | None) -> int:
        cut_from, count = self._cuts.get(app, (drain, 0))
        return count if drain is None or cut_from == drain else 0

    def _lock(self, app: str) -> threading.Lock:
        return self._locks.setdefault(app, threading.Lock())

    def _say(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            self._log.warning("sessions unknown", detail=trouble)
        self._trouble = trouble
