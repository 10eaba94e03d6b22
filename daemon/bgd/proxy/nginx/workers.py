"""nginx's processes, as far as this user may see them: those that serve, those that finish.

Rule that lives here: what cannot be seen is unknown, never none.
"""

import os
from collections.abc import Iterable, Iterator
from itertools import takewhile
from pathlib import Path

PROC = Path("/proc")
LISTENING = "0A"  # as the kernel writes the state of a socket


def of(master: int) -> dict[int, bool] | None:
    """Each worker's pid, and whether it is shutting down; None when they cannot be seen."""
    try:
        children = (PROC / f"{master}/task/{master}/children").read_text().split()
    except OSError:
        return None
    titles = {int(pid): _title(pid) for pid in children}
    return {pid: "shutting down" in title for pid, title in titles.items() if "worker process" in title}


def users(pids: Iterable[int]) -> set[int] | None:
    """Whom these processes run as; None when one cannot be seen."""
    try:
        return {(PROC / str(pid)).stat().st_uid for pid in pids}
    except OSError:
        return None


def ports(master: int) -> set[int]:
    """The ports that nginx holds already, as far as this user may see: a reload hands them on."""
    try:
        links = [os.readlink(each) for each in (PROC / str(master) / "fd").iterdir()]
        rows = [row for name in ("tcp", "tcp6") for row in _listening(PROC / "net" / name)]
    except OSError:
        return set()
    sockets = {link[8:-1] for link in links if link.startswith("socket:[")}
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[9] in sockets}


def _listening(table: Path) -> Iterator[list[str]]:
    """Those that listen stand first; under load the rest is so long that to read it takes seconds."""
    with table.open() as rows:
        next(rows)
        yield from takewhile(lambda row: row[3] == LISTENING, map(str.split, rows))


def _title(pid: str) -> str:
    try:
        return (PROC / pid / "cmdline").read_bytes().decode(errors="replace")
    except OSError:  # it has just ended
        return ""
