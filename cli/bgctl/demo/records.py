"""What a load run leaves behind: one record per request, its CSV, and the questions asked of it.

Times are `time.monotonic_ns()`, so they compare with any other process on this machine. A record
whose `error` is empty was answered 200 and whole; every other one is lost.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

SHORT = ("kept", "new", "steady", "h2", "tcp-new")
"""Lanes whose every request may be sent to either colour; the others stay where they began."""


class Record(NamedTuple):
    """One request, or one echo over a connection that is held."""

    lane: str
    reused: int
    start_ns: int
    end_ns: int
    status: int
    colour: str
    error: str
    server: str


def write(path: Path, records: Iterable[Sequence[object]]) -> None:
    """Write the records as CSV with a heading."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(Record._fields)
        rows.writerows(records)


def read(path: Path) -> list[Record]:
    """Read the records of a finished run, in the order in which they ended."""
    with path.open(newline="") as file:
        rows = csv.reader(file)
        next(rows)
        return [
            Record(row[0], int(row[1]), int(row[2]), int(row[3]), int(row[4]), row[5], row[6], row[7])
            for row in rows
        ]


def lost(records: Iterable[Record]) -> list[Record]:
    """The requests that got no whole 200."""
    return [record for record in records if record.error]


def last(records: Iterable[Record], colour: str, *, after_ns: int = 0, before_ns: int = 1 << 63) -> int:
    """When `colour` last ended an answer on a short lane within a stretch of time; 0 if it never did."""
    ends = (
        record.end_ns
        for record in records
        if record.colour == colour and record.lane in SHORT and after_ns <= record.end_ns < before_ns
    )
    return max(ends, default=0)


def summary(records: Iterable[Sequence[object]]) -> dict[str, object]:
    """How many requests, how many lost and by what, and who answered."""
    lanes, errors, colours = Counter[object](), Counter[object](), Counter[object]()
    for record in records:
        lanes[record[0]] += 1
        colours[record[5]] += 1
        errors[record[6]] += 1
    del errors[""]
    return {
        "requests": lanes.total(),
        "lost": errors.total(),
        "errors": dict(errors),
        "lanes": dict(lanes),
        "colours": dict(colours),
    }
