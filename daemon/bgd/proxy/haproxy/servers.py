"""Which commands bring a running HAProxy's servers to what is wanted.

Rule that lives here: which of a server's states bgd puts right; a server counts as up for its first checks,
so that one that is not healthy is put down before it can be asked, as long as another one serves.
"""

from collections.abc import Iterable, Mapping

from bgd.core.model import Server
from bgd.proxy.adapter import RunningServer
from bgd.proxy.names import by_name


def steps(
    name: str,
    written: Mapping[str, str],
    wanted: Iterable[Server],
    running: Mapping[str, RunningServer],
    healthy: frozenset[str],
) -> list[str]:
    """What brings a running backend's servers to what is wanted; removal is not part of it.

    A new server counts as up for its first checks: one that is not healthy by own probes is put
    down first, while another is there to serve.
    """
    steps: list[str] = []
    others_serve = any(server.name in healthy for server in wanted)
    for server in sorted(wanted):
        place, now = f"{name}/{server.name}", running.get(server.name)
        if now is None and not by_name(server):
            steps += _joins(
                place, written[server.name], server.weight, others_serve and server.name not in healthy
            )
        if now is None:
            continue
        if now.taken_out:
            steps += [f"enable health {place}", f"set server {place} state ready"]
        if now.weight != server.weight:
            steps.append(f"set server {place} weight {server.weight}")
    return steps


def revivals(name: str, running: Mapping[str, RunningServer], healthy: frozenset[str]) -> list[str]:
    """Servers that are healthy by own probes but that HAProxy's checks have not seen rise yet."""
    return [
        f"set server {name}/{server} health up"
        for server in running
        if server in healthy and running[server].down
    ]


def suppressions(name: str, wanted: Iterable[Server], healthy: frozenset[str]) -> list[str]:
    """After a reload every server counts as up: those that are not healthy are put down at once."""
    names = [server.name for server in wanted]
    if not any(each in healthy for each in names):
        return []
    return [f"set server {name}/{each} health down" for each in sorted(names) if each not in healthy]


def _joins(place: str, written: str, weight: int, suspect: bool) -> list[str]:
    steps = [f"add server {place} {written}", f"enable health {place}"]
    if not suspect:
        return [*steps, f"set server {place} state ready"]
    return [
        *steps,
        f"set server {place} weight 0",
        f"set server {place} state ready",
        f"set server {place} health down",
        f"set server {place} weight {weight}",
    ]
