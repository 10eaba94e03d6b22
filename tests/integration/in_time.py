"""Tests in which something must happen within a span: what they do themselves, or what they look at.

A machine may be too slow for that now and then. It only ever adds to a span, and what came too late for
that reason shows nothing, neither for the thing under test nor against it. So the test measures the span,
and is carried out anew in a fresh world when it was too long. Nothing else is forgiven.
"""

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TRIES = 5


class TooSlow(Exception):
    """A span was longer than it may be: this attempt shows nothing."""


def in_time(took_s: float, most_s: float, seen: str) -> None:
    """A span that was measured is at most so long, else the attempt shows nothing."""
    if took_s > most_s:
        raise TooSlow(f"{took_s:.2f} s in place of {most_s:g} s: {seen}")


@contextmanager
def own_part(most_s: float) -> Iterator[None]:
    """What the test does here must be over within so many seconds, else the attempt shows nothing."""
    began_s = time.monotonic()
    yield
    in_time(time.monotonic() - began_s, most_s, "the test's own part")


def anew_when_too_slow(test: Callable[..., None]) -> Callable[..., None]:
    """Carry out a test with such a span, as often as it must be, each time in an empty `tmp_path`."""

    @functools.wraps(test)
    def attempts(tmp_path: Path, **more: Any) -> None:
        said = []
        for number in range(TRIES):
            (folder := tmp_path / str(number)).mkdir()
            try:
                return test(tmp_path=folder, **more)
            except TooSlow as late:
                said.append(str(late))
        raise AssertionError(f"each time too slow: {'; '.join(said)}")

    return attempts
