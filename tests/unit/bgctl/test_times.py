"""Durations as people write them, and ages as they read them."""

import time
from datetime import UTC, datetime

import pytest

from bgctl import times

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(("text", "expected"), [("500ms", 0.5), ("60s", 60), ("5m", 300), ("1.5h", 5400)])
def test_durations_carry_their_unit(text, expected):
    """A duration is a number with its unit."""
    assert expected == times.seconds(text)


@pytest.mark.parametrize("text", ["", "5", "5 parsecs", "-1s", "s"])
def test_nothing_else_is_a_duration(text):
    """A duration without a unit, or with another, is refused."""
    with pytest.raises(ValueError, match=r"^"):
        times.seconds(text)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-01-31T11:59:18Z", "42s"),
        ("2026-01-31T08:47:30.5Z", "3h12m"),
        ("2026-01-31T08:52:30Z", "3h07m"),
        ("2026-01-29T10:00:00Z", "2d2h"),
        ("2026-01-31T11:00:00Z", "1h"),
        ("2026-01-31T12:00:09Z", "0s"),
        ("yesterday", ""),
        (None, ""),
    ],
)
def test_ages_have_two_units_at_most(at, expected):
    """An age is shown in its two largest units; what cannot be read has none."""
    assert expected == times.ago(at, NOON)


def test_a_moment_is_shown_by_the_readers_clock(monkeypatch):
    """A moment of today is shown as the hour, another one with its day; what cannot be read not at all."""
    monkeypatch.setenv("TZ", "CET-1")
    time.tzset()
    try:
        assert times.clock("2026-01-31T12:05:09Z", NOON) == "13:05"
        assert times.clock("2026-02-01T12:05:09Z", NOON) == "2026-02-01 13:05"
        assert times.clock(None, NOON) == ""
    finally:
        monkeypatch.undo()
        time.tzset()
