"""nginx's text: its marker, and its servers as they are written.

Rules that live here: two files are one structure only when both say the same marker; a group in which the
other colour stands too is no colour's.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from bgd.config.listens import claimed
from bgd.config.values import Bad
from bgd.core.model import Colour
from bgd.proxy import files
from bgd.proxy.adapter import RunningServer, Texts
from bgd.proxy.names import backend
from bgd.proxy.nginx.fallback import is_fallback

_MARKER = re.compile(r'^\s*return 200 "bgd \S+ (\w+) ', re.MULTILINE)
_MARKED = re.compile(r"^# structure (\w+)$", re.MULTILINE)
_UPSTREAM = re.compile(r"^\s*upstream (\S+) \{$")
_SERVER = re.compile(r"^\s*server (\S+?)((?: [^;]*)?);(?: # (\S+))?")
_LISTEN = re.compile(r"^\s*listen ([^;]+);", re.MULTILINE)


def marker(part: str, streams: str | None) -> str | None:
    """The marker of the structure of bgd's part; None when its files are not of one."""
    found = _MARKER.search(part)
    if found is None or streams is None:
        return found[1] if found else None
    marked = _MARKED.search(streams)
    return found[1] if marked and marked[1] == found[1] else None


def servers(text: str) -> dict[str, dict[str, str]]:
    """Each group's servers as they are written: name → place and options."""
    found: dict[str, dict[str, str]] = {}
    here: dict[str, str] = {}
    for line in text.splitlines():
        if group := _UPSTREAM.match(line):
            here = {} if is_fallback(group[1]) else found.setdefault(group[1], {})
        elif line.strip() == "}":
            here = {}
        elif server := _SERVER.match(line):
            name = server[3] or server[1].replace("[", "").replace("]", "")
            here[name] = f"{server[1]}{server[2]}"
    return found


def claims(texts: Texts, *, but: int) -> Iterator[str]:
    """The addresses that texts bind, but those of a port."""
    for found in _LISTEN.findall("\n".join(texts.values())):
        try:
            bound = sorted(claimed(found.split(), found).claims)
        except Bad:  # what only nginx understands is left to its own check
            continue
        yield from (claim for claim in bound if not claim.endswith(f":{but}"))


def was_answered(header_times: str) -> bool:
    """Whether the last server that was asked gave an answer, by what nginx noted of it."""
    return header_times.rsplit(" ", 1)[-1] not in ("", "-")


class Standing:
    """What stands on disk, read again when it is another file."""

    def __init__(self, folder: Path, streams: str, part: str) -> None:
        self._folder, self._streams, self._part = folder, streams, part
        self._seen: object = None
        self._texts: Texts = {}
        self._before = ""
        self._markers: tuple[str, ...] = ()
        self._servers: dict[str, dict[str, RunningServer]] = {}
        self._servers_before: dict[str, dict[str, RunningServer]] = {}
        self._places: dict[str, frozenset[str]] = {}

    def texts(self) -> Texts:
        self._look()
        return self._texts

    def marker(self) -> str | None:
        """The structure of what stands."""
        self._look()
        return marker(self._texts.get(self._part, ""), self._texts.get(self._streams))

    def markers(self) -> tuple[str, ...]:
        """The structures that may serve: what stands, and what stood before."""
        self._look()
        return self._markers

    def servers(self) -> dict[str, dict[str, RunningServer]]:
        self._look()
        return self._servers

    def places(self) -> Mapping[str, frozenset[str]]:
        """Where each group's servers are, also of what stood before: old workers finish what they have."""
        self._look()
        return self._places

    def usable(self, group: str, structures: Iterable[str | None]) -> dict[str, RunningServer]:
        """A group's servers as far as each of these structures has them: any of them may get a request."""
        self._look()
        known: dict[str | None, dict[str, dict[str, RunningServer]]] = {}
        known[self._markers[-1] if self._markers else None] = self._servers_before
        known[self.marker()] = self._servers
        found = [known.get(each, {}).get(group, {}) for each in structures]
        return {
            name: RunningServer(
                down=any(each[name].down for each in found), taken_out=False, weight=first.weight
            )
            for name, first in (found[0] if found else {}).items()
            if all(name in each for each in found)
        }

    def mentions(self, words: str) -> bool:
        """Whether what stands, or what stood before, holds these words."""
        self._look()
        return words in self._texts.get(self._part, "") or words in self._before

    def apps(self) -> list[str]:
        end = backend("", Colour.BLUE)
        return [name.removesuffix(end) for name in self.servers() if name.endswith(end)]

    def _look(self) -> None:
        names = (self._part, self._streams, f"{self._part}.good")
        seen = [_identity(self._folder / name) for name in names]
        if seen == self._seen:
            return
        part, streams, part_before = (files.read(self._folder / name) for name in names)
        self._before = part_before or ""
        self._texts = {self._part: part or ""} | ({self._streams: streams} if streams else {})
        found = [marker(part or "", streams), marker(part_before or "", None)]
        self._markers = tuple(dict.fromkeys(each for each in found if each))
        self._servers = _groups("\n".join(self._texts.values()))
        self._servers_before = _groups(self._before)
        self._places = _places("\n".join(self._texts.values()), self._before)
        self._seen = seen


def _groups(text: str) -> dict[str, dict[str, RunningServer]]:
    return {
        name: {server: _running(written) for server, written in group.items()}
        for name, group in servers(text).items()
    }


def _places(*texts: str) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for text in texts:
        for name, group in servers(text).items():
            found.setdefault(name, set()).update(written.split()[0] for written in group.values())
    return {name: frozenset(places) for name, places in found.items()}


def _running(written: str) -> RunningServer:
    weight = re.search(r" weight=(\d+)", written)
    return RunningServer(down=" down" in written, taken_out=False, weight=int(weight[1]) if weight else 1)


def _identity(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size
