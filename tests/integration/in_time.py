"""Tests that must do something themselves within a span that what they look at sets.

A machine may be too slow for that now and then. What came then shows nothing, neither for the thing under
test nor against it: the test measures its own part, and is carried out anew in a fresh world when that took
too long. Nothing else is forgiven.
"""

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TRIES = 6


class TooSlow(Exception):
    """The test's own part took longer than the span that it had to fit into."""


@contextmanager
def own_part(most_s: float) -> Iterator[None]:
    """What the test does here must be over within so many seconds, else the attempt shows nothing."""
    began_s = time.monotonic()
    yield
    if (took_s := time.monotonic() - began_s) > most_s:
        raise TooSlow(f"the test's own part took {took_s:.2f} s of the {most_s:g} s that it has")


def anew_when_too_slow(test: Callable[..., None]) -> Callable[..., None]:
    """Carry out a test with an own part, as often as it must be, each time in an empty `tmp_path`."""

    @functools.wraps(test)
    def attempts(tmp_path: Path, **more: Any) -> None:
        said = []
        for number in range(TRIES):
            (folder := tmp_path / str(number)).mkdir()
            try:
                return test(tmp_path=folder, **more)
            except TooSlow as late:
                said.append(str(late))
        raise AssertionError(f"this machine is too slow: {'; '.join(said)}")

    return attempts
