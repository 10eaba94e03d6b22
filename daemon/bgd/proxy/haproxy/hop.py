"""The hop by which HAProxy itself leads requests to the other colour, from the moment that live is dead.

Each colour's last server is a frontend of the same HAProxy that leads on to the other colour, if it may.

Rules that live here: a permission is a time in the map of the worker that runs, and never in its file, so
that it ends by itself, whoever is dead; of an app only one colour may be left, so that no request comes
back by a hop; while requests go straight over (the latch) live is asked again every LATCH_S; without
permission the first moment of an outage is waited for, since live may only be restarting, and no other one.
"""

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path

from bgd.core.permission import Permission
from bgd.proxy.names import backend

SERVER = "bgd_other"
"""The hop's name among a colour's servers. It is no server of the app."""
WENT_OVER = "proc.bgd_over"
"""The variable that is another one each time that a request is led over."""
LATCH_S = 10
WAIT = {"whole_ms": 1000, "step_ms": 250, "most": 1000}
"""Without permission: how long live is waited for, how often it is tried meanwhile, and how many may wait."""
EMPTY = "# only what runs is told: what stands here would hold for ever\n"


def place(node: str, folder: Path, name: str) -> str:
    """Where the hop out of a backend listens.

    An abstract socket is reached out of a chroot, and by the user that HAProxy's worker runs as.
    """
    mark = hashlib.sha256(f"{node}\0{folder}".encode()).hexdigest()[:8]
    return f"abns@bgd-{mark}-{name}"


def times(permitted: Mapping[str, Permission]) -> dict[str, int]:
    """Backend that may be left → until when, as HAProxy tells the time."""
    ahead_s = time.time() - time.monotonic()
    return {backend(app, each.live): int(each.until_s + ahead_s) for app, each in permitted.items()}


class Over:
    """Whether requests go over, by WENT_OVER: while the latch holds, they do so without a word."""

    def __init__(self) -> None:
        self._seen: object = None
        self._until_s = float("inf")

    def seen(self, worker: str, variable: str | None, now_s: float) -> bool:
        """Take in what this worker says; another worker may have led any."""
        if (worker, variable) != self._seen:
            self._seen, self._until_s = (worker, variable), now_s + LATCH_S + 2.0
        return now_s < self._until_s


def steps(until: Mapping[str, int], standing: Mapping[str, str], may: Path, over: Path) -> list[str]:
    """What brings a worker's permissions to these times; what is taken back is taken back first."""
    withdrawn = sorted(standing.keys() - until.keys())
    return [
        *(f"del map {may} {name}" for name in withdrawn),
        *(f"{'set' if name in standing else 'add'} map {may} {name} {until[name]}" for name in sorted(until)),
        *(f"del map {over} {name}" for name in withdrawn),
    ]
