"""HAProxy's statistics: what a backend has answered between two readings of its counters.

Rules that live here: a request that was sent again and then answered is no failed one, so that only the
status that went to the client counts; how the time of the newest answers is won from HAProxy's sliding
mean, and how uncertain it is.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass

from bgd.proxy.adapter import Answered

QUESTION = "show stat -1 2 -1"
"""The rows of all backends, and no others."""
SAMPLES = 512
"""Over so many answers goes HAProxy's mean: each further one takes so great a part of the sum away."""
KEPT = 1 - 1 / SAMPLES
STATUSES = ("hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx")
TIMES = ("qtime", "ctime", "rtime")
"""What a client waits for an answer's head: its place in the queue, the connection, the server."""
ALL = "req_tot"


@dataclass(frozen=True, slots=True)
class Counts:
    """A backend's counters since its worker started. `means_ms` as HAProxy rounds them: up."""

    answers: int
    failed: int
    ended: int
    """Requests that ended, also those that nobody waited for."""
    means_ms: tuple[int, ...]

    def sums_ms(self) -> Iterator[float]:
        """The sums that the means were made of: plain ones at first, then sliding ones."""
        samples = min(self.ended, SAMPLES)
        return (samples * (mean_ms - 0.5) if mean_ms else 0.0 for mean_ms in self.means_ms)


def read(said: str) -> dict[str, Counts]:
    """Backend → counters, in the answer to QUESTION. Raises OSError when it is no such answer."""
    try:
        head, *rows = csv.reader(said.removeprefix("# ").splitlines() or [""])
        places = {name: place for place, name in enumerate(head)}
        (name, ended), statuses, times = (
            [places[each] for each in wanted] for wanted in (("pxname", ALL), STATUSES, TIMES)
        )
        return {row[name]: _counts(row, ended, statuses, times) for row in rows if len(row) >= len(head)}
    except KeyError as missing:
        raise OSError(f"HAProxy's statistics do not tell {missing}") from None
    except (csv.Error, ValueError) as error:
        raise OSError(f"HAProxy's statistics cannot be read: {error}") from error


def _counts(row: list[str], ended: int, statuses: list[int], times: list[int]) -> Counts:
    """What does not apply to a backend (one of mode tcp) is empty."""
    by_status = [int(row[place] or 0) for place in statuses]
    means_ms = tuple(int(row[place] or 0) for place in times)
    return Counts(sum(by_status), by_status[-1], int(row[ended] or 0), means_ms)


def between(before: Counts | None, after: Counts | None) -> Answered | None:
    """What was answered between two readings of one worker; None when the counters began anew."""
    if before is None or after is None:
        return None
    answers, failed = after.answers - before.answers, after.failed - before.failed
    if answers < 0 or failed < 0 or after.ended < before.ended:
        return None
    pairs = zip(before.sums_ms(), after.sums_ms(), strict=True)
    mean_ms = sum(_newest(old, new, before.ended, after.ended) for old, new in pairs)
    blurred = sum(any(each) for each in zip(before.means_ms, after.means_ms, strict=True))
    return Answered(answers, failed, answers * mean_ms / 1000, blurred * SAMPLES / 1000)


def _newest(sum_before: float, sum_after: float, before: int, after: int) -> float:
    """The mean of what was added to a sum that keeps all of its first samples, and then slides.

    From one reading to the next the rounded means may make it too high or too low, even less than nothing;
    summed over readings these errors cancel out, but for the first and the last one.
    """
    whole = min(max(SAMPLES - before, 0), after - before)
    kept = KEPT ** (after - before - whole)
    weight = whole * kept + (1 - kept) * SAMPLES
    return (sum_after - sum_before * kept) / weight if weight else 0.0
