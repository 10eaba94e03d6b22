"""What nginx may do for a while: files that stand for tens of seconds yet to come, and end by themselves.

Workers look for a name in the folder of the slot they are in, which is the wall clock in tens of seconds.
Rules that live here: a slot is allowed only when all of it is; what is not allowed any more is taken away
before anything new is allowed; nothing of it needs to outlive a loss of power.
"""

import os
import threading
from collections.abc import Mapping
from pathlib import Path

SLOT_S = 10
AHEAD_S = 60
"""Further than that nothing is allowed, whoever asks for it."""


class Slots:
    """Names in the folders of slots, below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._one_at_a_time = threading.Lock()

    def path(self, name: str) -> str:
        """What workers look for, in nginx's words."""
        return f"{self._folder}/$bgd_slot/{name}"

    def allow(self, until_s: Mapping[str, float], now_s: float) -> None:
        """Exactly these names, each until its time by the wall clock. Raises OSError."""
        wanted: dict[str, set[str]] = {}
        for name, until in until_s.items():
            for number in _whole(now_s, min(until, now_s + AHEAD_S)):
                wanted.setdefault(str(number), set()).add(name)
        with self._one_at_a_time:
            standing = {slot: _names(self._folder / slot) for slot in _names(self._folder)}
            for slot, names in standing.items():
                self._take(slot, names - wanted.get(slot, set()), last=slot not in wanted)
            for slot, names in wanted.items():
                self._put(slot, names - standing.get(slot, set()))

    def _take(self, slot: str, names: set[str], *, last: bool) -> None:
        for name in names:
            (self._folder / slot / name).unlink(missing_ok=True)
        if last:
            (self._folder / slot).rmdir()

    def _put(self, slot: str, names: set[str]) -> None:
        if names:
            _open_to_all(self._folder)
            _open_to_all(self._folder / slot)
        for name in names:
            os.close(os.open(self._folder / slot / name, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))


def _whole(now_s: float, until_s: float) -> range:
    """The slots from now on that end by then."""
    return range(int(now_s // SLOT_S), int(until_s // SLOT_S))


def _names(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))
    except FileNotFoundError:
        return set()


def _open_to_all(folder: Path) -> None:
    """nginx's workers look into it, whatever bgd's umask."""
    if not folder.exists():
        folder.mkdir(parents=True)
        folder.chmod(0o755)
