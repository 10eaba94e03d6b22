"""Time as it is told."""

import re
from datetime import UTC, datetime, timedelta

from bgd.host.clock import SystemClock
from bgd.ports import Clock


def test_at_is_utc_with_milliseconds() -> None:
    """Times for people and records are UTC with milliseconds and a Z."""
    clock: Clock = SystemClock()
    at = clock.at()

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", at)
    assert abs(datetime.fromisoformat(at) - datetime.now(UTC)) < timedelta(seconds=5)


def test_ages_never_go_back() -> None:
    """Ages are measured by a clock that nobody sets."""
    clock = SystemClock()
    seen = [clock.now_s() for _ in range(100)]

    assert seen == sorted(seen)
    assert abs(clock.wall_s() - datetime.now(UTC).timestamp()) < 5
