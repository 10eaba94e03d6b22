"""What is open on a colour of nginx's: the connections that its workers hold to the colour's addresses.

Rules that live here: which worker holds a connection is hidden from others than root, so that all count that
a user of the workers holds and bgd itself does not; an address counts for as long as an old worker may have
a connection to it, whatever the text says since; two colours at one address both have what is open there.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path

from bgd.core.model import Colour
from bgd.proxy import files
from bgd.proxy.names import backend
from bgd.proxy.nginx import sockets
from bgd.proxy.nginx.text import Standing

REST_S = 5.0
"""So often it is looked whether anybody has gone over: nginx tells nothing of it, and the kernel must look at
every socket of the host."""

Places = Mapping[str, frozenset[str]]


class Addresses:
    """Group → every address that workers may have connections to, over restarts of bgd too."""

    def __init__(self, folder: Path, standing: Standing) -> None:
        self._path, self._standing = folder / "addresses.json", standing
        self._kept = _read(self._path)
        self._whole = bool(self._kept) or not standing.markers()
        """Whether nothing can be missing: of workers from before the first note nothing is known."""

    def note(self, *, old_workers: bool = True) -> Places | None:
        """What stands, and as long as there may be old workers, what stood; None when that is not known."""
        places = dict(self._standing.places())
        if old_workers:
            for group, kept in self._kept.items():
                places[group] = places.get(group, frozenset()) | kept
        else:
            self._whole = True
        if places != self._kept:
            self._kept = places
            text = json.dumps({group: sorted(each) for group, each in sorted(places.items())})
            with suppress(OSError):  # what is not written is missed by the next bgd only
                files.replace(self._path, text)
        return places if self._whole else None


class Sessions:
    """Counts what one nginx has open."""

    def __init__(
        self,
        addresses: Addresses,
        users: Callable[[], set[int] | None],
        old_workers: Callable[[], int | None],
    ) -> None:
        self._addresses, self._users, self._old_workers = addresses, users, old_workers
        self._rested_s = float("-inf")

    def counted(self, apps: Collection[str]) -> dict[tuple[str, Colour], int | None]:
        """How many are open on each colour of these apps. Raises OSError."""
        names = {(app, colour): backend(app, colour) for app in apps for colour in Colour}
        known = self._addresses.note(old_workers=self._old_workers() != 0)
        if known is None:
            return dict.fromkeys(names)
        places = {name: set(filter(None, map(sockets.place, known.get(name, ())))) for name in names.values()}
        held = self._held({each for some in places.values() for each in some})
        return {key: sum(held[each] for each in places[name]) for key, name in names.items()}

    def went_over(self) -> bool:
        """Whether it is time to look."""
        now_s = time.monotonic()
        if now_s - self._rested_s < REST_S:
            return False
        self._rested_s = now_s
        return True

    def _held(self, places: Collection[sockets.Place]) -> Counter[sockets.Place]:
        """Connections of bgd's own last for milliseconds: it looks for them before and after."""
        users, own = self._users(), sockets.own()
        found = sockets.leading_to(places) if places else []
        own |= sockets.own()
        return Counter(
            each.peer for each in found if each.inode not in own and (users is None or each.user in users)
        )


def _read(path: Path) -> dict[str, frozenset[str]]:
    """What was noted; nothing when it cannot be read."""
    try:
        return {
            str(group): frozenset(map(str, some))
            for group, some in json.loads(files.read(path) or "{}").items()
        }
    except (ValueError, TypeError, AttributeError):
        return {}
