"""Time, as this machine has it: monotonic for ages, UTC for showing."""

import time
from datetime import UTC, datetime


class SystemClock:
    """The clocks of the kernel."""

    def __init__(self) -> None:
        self._apart_s = time.time() - time.monotonic()

    def now_s(self) -> float:
        """Seconds that never go back; comparable within one boot only."""
        return time.monotonic()

    def wall_s(self) -> float:
        """Seconds since 1970, to bridge a restart."""
        return time.time()

    def at(self) -> str:
        """Now, in UTC with milliseconds, for people and records."""
        return _text(time.time())

    def shown(self, moment_s: float) -> str:
        """A moment of the monotonic clock for people: the same text whenever it is asked about."""
        return _text(moment_s + self._apart_s)


def _text(wall_s: float) -> str:
    return datetime.fromtimestamp(wall_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
