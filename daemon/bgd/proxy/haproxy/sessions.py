"""What is open on a colour of HAProxy's: in the worker that serves, and in those that finish what they have.

Rules that live here: a backend tells how many it has, those in its queue too; who went over by the hop is
on the other colour, who still waits there is not; a worker that cannot be asked may have any number, unless
it is known not to have the backend; an old worker still decides for who keeps a connection to it, so it is
told what was decided since, and nothing is known before that.
"""

import csv
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bgd.core.model import Colour
from bgd.proxy.haproxy import hop, master, runtime
from bgd.proxy.names import backend

Ask = Callable[[list[str]], list[str]]
"""Puts questions to one worker. Raises OSError."""

_BACKEND = "BACKEND"
_ABSENT = "No such proxy"
_SESSION = re.compile(r"^(0x[0-9a-f]+): .* be=(\S+) srv=(\S+) ", re.MULTILINE)
_LED = re.compile(r" fe=(\S+) be=(\S+) srv=\S+ ")


@dataclass(frozen=True, slots=True)
class Found:
    """One worker's own: what is open on each backend, of that at the hop, and who was led where by it."""

    open: Mapping[str, int]
    at_hop: Mapping[str, int]
    led: Mapping[tuple[str, str], int]
    """(frontend, backend) → how many; only where any are at a hop."""


class Sessions:
    """Counts and cuts in all workers of one HAProxy."""

    def __init__(self, ask: Ask, master_socket: Path, map_file: Path) -> None:
        self._ask, self._master, self._map = ask, master_socket, map_file
        self._without: dict[int, set[str]] = {}
        """Of old workers that have answered once: the backends that they do not have."""

    def counted(self, apps: Collection[str]) -> dict[tuple[str, Colour], int | None]:
        """How many are open on each colour of these apps. Raises OSError."""
        names = {(app, colour): backend(app, colour) for app in apps for colour in Colour}
        pid, decides = self._serving()
        others = master.others(self._master, pid)
        if others is None:
            return dict.fromkeys(names)
        unknown: set[str] = set()
        workers = [_find(self._ask, names.values())]
        self._without = {each: known for each, known in self._without.items() if each in others}
        for each in others:
            asked = [name for name in names.values() if name not in self._without.get(each, ())]
            try:
                workers.append(self._find_old(each, asked))
                unknown |= self._lead(each, apps, decides)
            except master.Gone:
                continue
            except OSError:
                unknown |= set(asked)
        if self._serving()[0] != pid:
            return dict.fromkeys(names)  # a reload came between, and nobody has asked who served before
        return {place: None if name in unknown else _sum(workers, name) for place, name in names.items()}

    def cut(self, app: str, colour: Colour) -> int:
        """End what is open on a colour; how many were. Raises OSError."""
        name = backend(app, colour)
        pid, _ = self._serving()
        count = _cut(self._ask, name)
        for each in master.others(self._master, pid) or ():
            with suppress(OSError):  # gone; or it is asked again with the next look
                count += _cut(self._of(each), name)
        return count

    def _serving(self) -> tuple[int, Mapping[str, str]]:
        """The worker that serves, and what it decides."""
        info, entries = self._ask(["show info", f"show map {self._map}"])
        return int(runtime.info(info, "Pid") or 0), runtime.entries(entries)

    def _of(self, worker: int) -> Ask:
        return lambda questions: master.ask(self._master, worker, questions)

    def _find_old(self, worker: int, names: Iterable[str]) -> Found:
        names = list(names)
        found = _find(self._of(worker), names)
        self._without.setdefault(worker, set()).update(set(names) - found.open.keys())
        return found

    def _lead(self, worker: int, apps: Iterable[str], decides: Mapping[str, str]) -> set[str]:
        """Tell an old worker what was decided since; the backends that it may have sent requests to."""
        said = self._of(worker)([f"show map {self._map}"])[0]
        before = runtime.entries(said)
        astray = [app for app in apps if app in before and before[app] != decides.get(app, before[app])]
        if astray:
            self._of(worker)([f"set map {self._map} {app} {decides[app]}" for app in astray])
        return {before[app] for app in astray}


def _find(ask: Ask, names: Iterable[str]) -> Found:
    names = list(names)
    rows = [_rows(said) for said in ask([f"show stat {name} 6 -1" for name in names])] if names else []
    found = {name: each for name, each in zip(names, rows, strict=True) if each is not None}
    at_hop = {name: each.get(hop.SERVER, 0) for name, each in found.items()}
    led = Counter(_LED.findall(ask(["show sess"])[0])) if any(at_hop.values()) else {}
    return Found({name: each.get(_BACKEND, 0) for name, each in found.items()}, at_hop, led)


def _rows(said: str) -> dict[str, int] | None:
    """Server, or BACKEND, → how many it has, in the answer to `show stat`; None of a backend that is not."""
    if said.startswith(_ABSENT):
        return None
    head, *rows = csv.reader(said.removeprefix("# ").splitlines() or [""])
    try:
        name, open_now = head.index("svname"), head.index("scur")
        return {row[name]: int(row[open_now] or 0) for row in rows if len(row) > open_now}
    except ValueError as error:
        raise OSError(f"HAProxy's statistics cannot be read: {error}") from error


def _sum(workers: Iterable[Found], name: str) -> int:
    """A hop leads from an old worker into the one that serves: so all are taken together.

    Between the two questions somebody else may have gone over: no more than were at the hop.
    """
    workers = list(workers)
    here = sum(each.open.get(name, 0) for each in workers)
    at_hop = sum(each.at_hop.get(name, 0) for each in workers)
    stem = name.rpartition("_")[0]
    ends = [backend(stem, colour) for colour in Colour]
    led = sum(each.led.get((f"bgd_{name}", end), 0) for each in workers for end in ends)
    return here - min(led, at_hop)


def _cut(ask: Ask, name: str) -> int:
    """One by one: a worker that finishes what it has refuses to end a server's all at once."""
    if not (_rows(ask([f"show stat {name} 2 -1"])[0]) or {}).get(_BACKEND):
        return 0
    open_now = [
        session
        for session, on, server in _SESSION.findall(ask(["show sess"])[0])
        if on == name and server != hop.SERVER
    ]
    answers = ask([f"shutdown session {session}" for session in open_now]) if open_now else []
    return sum(not answer for answer in answers)
