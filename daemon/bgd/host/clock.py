"""Time, as this machine has it: monotonic for ages, UTC for showing."""

import time
from datetime import UTC, datetime


class SystemClock:
    """The clocks of the kernel."""

    def now_s(self) -> float:
        """Seconds that never go back; comparable within one boot only."""
        return time.monotonic()

    def wall_s(self) -> float:
        """Seconds since 1970, to bridge a restart."""
        return time.time()

    def at(self) -> str:
        """Now, in UTC with milliseconds, for people and records."""
        return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
