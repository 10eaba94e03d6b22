"""What each colour has answered, by a log that nginx writes for bgd alone.

The log is buffered, so it is a second late; nginx appends to it and bgd empties it. Rules that live here:
nginx writes only while it is listened to, which ends by itself, so a bgd that is gone leaves no log that
grows; a request counts for the colour whose server answered last, or for the one that was decided when nobody
did; its time is that until the head of the answer, so a long answer or a websocket makes nobody slow.
"""

import os
import re
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from bgd.core.model import Colour
from bgd.proxy.adapter import Answered
from bgd.proxy.names import backend
from bgd.proxy.nginx.fallback import SUFFIX
from bgd.proxy.nginx.slots import SLOT_S, Slots

FORMAT = "$bgd_backend|$status|$upstream_addr|$upstream_header_time|$upstream_response_time"
BYTES_MAX = 4 << 20
"""A log of this size is emptied."""
WAITING_MAX = 64 << 20
GAP_S = 5.0
NOBODY = Answered(0, 0, 0.0)
_NEXT = re.compile(", | : ")
_SWITCHED = 101

Key = tuple[str, Colour]
Counts = dict[Key, Answered | None]
Places = Mapping[str, Collection[str]]
"""Group → where its servers are."""


class Log:
    """One log, from where it was read last."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "traffic"
        self._listening = Slots(folder / "listening")
        self._listened_slot = 0
        self._life: object = None
        self._at, self._read_s, self._rest = 0, 0.0, b""

    @property
    def listened(self) -> str:
        """The file that is there while it is listened to, in nginx's words."""
        return self._listening.path("bgd")

    def prepare(self) -> None:
        """Have the log be there before nginx opens it, and as bgd's own: only so it can be emptied."""
        if self.path.exists() and not os.access(self.path, os.R_OK | os.W_OK):
            self.path.unlink()
        if not self.path.exists():
            self.path.touch()
            self.path.chmod(0o664)  # by its group it stays bgd's when nginx gives it to its workers

    def news(self, life: object) -> list[str] | None:
        """The lines since the last reading; None when it began here, or some may be missing.

        Raises OSError when it cannot be read and emptied.
        """
        with self.path.open("r+b") as log:
            self._listen()
            found = os.fstat(log.fileno())
            life, away = (life, found.st_ino), time.monotonic() > self._read_s + GAP_S
            broken = life != self._life or away or not 0 <= found.st_size - self._at <= WAITING_MAX
            if broken:
                self._at, self._rest = found.st_size, b""
            log.seek(self._at)
            said = log.read()
            self._at += len(said)
            self._life, self._read_s = life, time.monotonic()
            if self._at > BYTES_MAX and os.fstat(log.fileno()).st_size == self._at:
                log.truncate(0)
                self._at = 0
        lines = (self._rest + said).split(b"\n")
        self._rest = lines.pop()
        return None if broken else [line.decode(errors="replace") for line in lines]

    def _listen(self) -> None:
        wall_s = time.time()
        if int(wall_s // SLOT_S) != self._listened_slot:
            self._listening.allow({"bgd": wall_s + 2 * SLOT_S}, wall_s)
            self._listened_slot = int(wall_s // SLOT_S)


def nothing_known(apps: Collection[str]) -> Counts:
    """For each colour of these apps."""
    return {(app, colour): None for app in apps for colour in Colour}


def counted(lines: Iterable[str], apps: Collection[str], places: Places) -> Counts:
    """What each colour of these apps has answered by these lines."""
    found = {(app, colour): NOBODY for app in apps for colour in Colour}
    names = {backend(*key): key for key in found}
    for line in lines:
        fields = line.split("|")
        key = names.get(fields[0].removesuffix(SUFFIX))
        if key is None or len(fields) != 5 or not fields[1].isdigit() or int(fields[1]) == _SWITCHED:
            continue
        tries = _tries(fields[2:])
        if (whose := _whose(key, fields[0], tries[-1][0], places)) is not None:
            before = found[whose]
            found[whose] = Answered(
                before.requests + 1,
                before.failed + (int(fields[1]) >= 500),
                before.seconds + _waited(whose, fields[0], tries, places),
            )
    return {**found}


def _tries(fields: list[str]) -> list[tuple[str, ...]]:
    """Each server that was asked: where it is, and the two times."""
    if " " not in fields[0]:
        return [tuple(fields)]
    return [*zip(*map(_NEXT.split, fields), strict=False)]


def _whose(key: Key, group: str, last: str, places: Places) -> Key | None:
    """Whose answer it was; None when the server that answered has left meanwhile."""
    if not group.endswith(SUFFIX) or last.startswith(group) or last in places.get(backend(*key), ()):
        return key
    other = key[0], key[1].other
    return other if last in places.get(backend(*other), ()) else None


def _waited(whose: Key, group: str, tries: Iterable[tuple[str, ...]], places: Places) -> float:
    """How long this colour's servers took, each until the head of its answer, or until it was given up."""
    own = places.get(backend(*whose), ()) if group.endswith(SUFFIX) else None
    return sum(
        float(head if head[:1].isdigit() else all_of_it if all_of_it[:1].isdigit() else 0)
        for place, head, all_of_it in tries
        if own is None or place in own
    )
