"""Trying until something is proved, or the time is over."""

import time
from collections.abc import Callable

from bgd.core.reasons import Because
from bgd.proxy.errors import WorldError

STEP_S = 0.005


def until(until_s: float, attempt: Callable[[float], str | None]) -> None:
    """Call with the seconds left until nothing is wrong. Raises WorldError with what was wrong last."""
    wrong = "no time left"
    while (left_s := until_s - time.monotonic()) > 0:
        try:
            found = attempt(left_s)
        except OSError as error:
            found = f"bgd's own listener does not answer: {error}"
        if found is None:
            return
        wrong = found
        time.sleep(min(STEP_S, max(0.0, until_s - time.monotonic())))
    raise WorldError(Because.NOT_PROVED, wrong)
