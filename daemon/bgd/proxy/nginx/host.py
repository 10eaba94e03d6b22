"""The host's own configuration as nginx would load it, with a candidate of bgd's part in its place.

Rules that live here: an include is followed as nginx follows it, by pattern, and from the main file's own
folder; where it names bgd's folder, the candidate is found there and not what stands; what bgd cannot
read is left to the proxy.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bgd.config import ProxySettings
from bgd.config.directives import Directive, directives
from bgd.core.reasons import Because
from bgd.proxy.errors import WorldError
from bgd.proxy.machine import Machine

FILES_MAX = 2000
"""How many files are followed: some that include each other would never end."""
DEPTH_MAX = 16
_TABLES = frozenset({"types", "map", "geo", "split_clients", "charset_map", "match"})
"""Blocks of pairs, whose first words are no directives."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file as it is loaded at one place: the blocks around it, what it says, what it includes."""

    path: Path
    text: str
    place: str
    """The line that includes it."""
    within: tuple[str, ...]
    part: bool
    """Whether it belongs to the candidate."""
    says: tuple[Directive, ...]
    includes: Mapping[Directive, "Include"] = field(default_factory=dict)

    def all(self) -> Iterator["Source"]:
        """This one and all that it includes."""
        yield self
        for include in self.includes.values():
            for each in include.sources:
                yield from each.all()


@dataclass(frozen=True, slots=True)
class Include:
    """What one line includes: files in order, and which of them could be read."""

    pattern: Path
    found: tuple[Path, ...]
    sources: tuple[Source, ...]
    ours: bool
    """Whether the line names bgd's folder."""


def read(texts: Mapping[str, str], settings: ProxySettings, machine: Machine) -> Source:
    """The main file with all that it includes. Raises WorldError when it cannot be read."""
    try:
        text = machine.read(settings.main_file)
        return _Reader(texts, settings, machine).source(settings.main_file, text, "", (), 0)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        detail = f"proxy.main_file: {settings.main_file} cannot be read: {why}"
        raise WorldError(Because.CHECK_FAILED, detail) from error


class _Reader:
    """Follows includes through one configuration, and reads each file once."""

    def __init__(self, texts: Mapping[str, str], settings: ProxySettings, machine: Machine) -> None:
        self._texts, self._machine = texts, machine
        self._prefix, self._folder = settings.main_file.parent, settings.file.parent
        self._real = _real(self._folder)
        self._read: dict[Path, str | None] = {}
        self._left = FILES_MAX

    def source(self, path: Path, text: str, place: str, within: tuple[str, ...], depth: int) -> Source:
        says = tuple(each for each in directives(text, within) if not _TABLES & set(each.within))
        includes = {
            each: self._include(each, f"{path}:{each.line}", depth + 1)
            for each in says
            if each.name == "include" and len(each.words) == 2 and "\0" not in each.values[0]
        }
        return Source(path, text, place, within, path.parent == self._folder, says, includes)

    def _include(self, directive: Directive, place: str, depth: int) -> Include:
        pattern = self._prefix / directive.values[0]
        ours = self._folder.match(str(pattern.parent)) or _real(pattern.parent) == self._real
        found = self._find(pattern, ours)
        sources = [
            self.source(path, text, place, directive.within, depth)
            for path in found
            if (text := self._text(path, depth)) is not None
        ]
        return Include(pattern, tuple(found), tuple(sources), ours)

    def _find(self, pattern: Path, ours: bool) -> list[Path]:
        """What the line would load, with the candidate's files instead of those that stand."""
        mine = [
            self._folder / name for name in sorted(self._texts) if ours and Path(name).match(pattern.name)
        ]
        if ours and not _is_glob(pattern.parent):
            return mine
        found = self._machine.find(str(pattern)) if _is_glob(pattern) else [pattern]
        others = [self._unlinked(path) for path in found]
        return [*mine, *(path for path in others if not ours or path.parent != self._folder)]

    def _text(self, path: Path, depth: int) -> str | None:
        self._left -= 1
        if self._left < 0 or depth > DEPTH_MAX:
            return None
        if path.parent == self._folder:
            return self._texts.get(path.name)
        if path not in self._read:
            try:
                self._read[path] = self._machine.read(path)
            except (OSError, UnicodeDecodeError):
                self._read[path] = None
        return self._read[path]

    def _unlinked(self, path: Path) -> Path:
        """A file of bgd's folder by its own name, also where the host has a link to it."""
        there = _real(path)
        return self._folder / there.name if there.parent == self._real else path


def _real(path: Path) -> Path:
    """Without links; a circle of them ends somewhere, and is the proxy's to tell."""
    return Path(os.path.realpath(path))


def _is_glob(path: Path) -> bool:
    return any(mark in str(path) for mark in "*?[")
