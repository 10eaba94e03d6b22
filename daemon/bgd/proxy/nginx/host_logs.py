"""The access logs that the host names for all its servers: who gives a server one more must name them again.

nginx inherits logs only where a server names none. Rules that live here: what cannot be named again exactly
(nginx's built-in log, a format that is defined only further down, what stands in a file that bgd may not
read) is unknown, and then no log is added, so that the host's lose nothing.
"""

import time
from collections.abc import Iterator
from contextlib import suppress

from bgd.config import ProxySettings
from bgd.config.directives import Directive
from bgd.proxy.errors import WorldError
from bgd.proxy.machine import Machine
from bgd.proxy.nginx import host
from bgd.proxy.nginx.host import Include, Source

RENEWED_S = 30.0
BUILT_IN = ("combined", "off")


class HostLogs:
    """The host's logs, read again now and then once somebody has asked for them."""

    def __init__(self, settings: ProxySettings, machine: Machine) -> None:
        self._settings, self._machine = settings, machine
        self._lines: tuple[str, ...] | None = None
        self._read_s: float | None = None

    @property
    def dialect(self) -> str:
        """What a text has of them."""
        return "" if self._read_s is None else repr(self.lines())

    def lines(self) -> tuple[str, ...] | None:
        """Each log as a directive; None when it is not known which they are."""
        if self._read_s is None or time.monotonic() > self._read_s + RENEWED_S:
            self._read_s = time.monotonic()
            with suppress(WorldError):
                self._lines = inherited(host.read({}, self._settings, self._machine))
        return self._lines

    @property
    def unknown(self) -> bool:
        """Whether they were asked for, and could not be told."""
        return self._read_s is not None and self._lines is None

    def missing(self) -> str:
        """The cure, when they are not known."""
        return (
            "traffic cannot be counted, for it is not known which logs to keep: write an access_log (or "
            f"'access_log off;') within the http {{ }} of {self._settings.main_file}, its log_format above "
            "bgd's include, and let bgd read all that http { } includes"
        )


def inherited(main: Source) -> tuple[str, ...] | None:
    """What a server that names no log inherits; None when that is no line, or one that came too late."""
    found: list[str] = []
    formats = set(BUILT_IN)
    passed = False
    for source, each in _in_order(main):
        if each in source.includes and _hides_some(source.includes[each], each):
            return None
        passed = passed or (each in source.includes and source.includes[each].ours)
        if each.within != ("http",) or source.part or not each.values:
            continue
        if each.name == "log_format" and not passed:
            formats.add(each.values[0])
        elif each.name == "access_log" and each.values[0] == "off":
            return ()
        elif each.name == "access_log":
            if each.values[1:] and "=" not in each.values[1] and each.values[1] not in formats:
                return None
            found.append(source.text[each.spans[0][0] : each.end])
    return tuple(found) or None


def _hides_some(include: Include, directive: Directive) -> bool:
    """Whether it includes, where logs may stand, what could not be read."""
    return directive.within in ((), ("http",)) and len(include.sources) < len(include.found)


def _in_order(source: Source) -> Iterator[tuple[Source, Directive]]:
    """All directives as nginx meets them."""
    for each in source.says:
        yield source, each
        if each in source.includes:
            for included in source.includes[each].sources:
                yield from _in_order(included)
