"""Waiting in tests: poll with a deadline, and say what never came about."""

import time
from collections.abc import Callable
from typing import Any

STEP_S = 0.005


def eventually(
    true: Callable[[], Any], what: str = "what the test waits for", *, within_s: float = 30.0
) -> Any:
    """Poll until something is so, and give it; a failed test when it never is."""
    end_s = time.monotonic() + within_s
    while time.monotonic() < end_s:
        if found := true():
            return found
        time.sleep(STEP_S)
    raise AssertionError(f"not within {within_s:g} s: {what}")
