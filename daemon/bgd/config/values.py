"""One value of bgd.toml → what it means, or what is wrong with it and the cure.

A reader takes what TOML gave for one key. It gives back the meaning or raises `Bad`; it never guesses.
What will be rendered into the proxy's configuration is held here to characters that mean nothing there.
"""

import json
import os.path
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from bgd.core.model import MinHealthy

Reader = Callable[[object], Any]


@attrs.frozen
class Problem:
    """One thing that is wrong with the configuration: where, what, and the cure."""

    place: str
    what: str
    cure: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}; {self.cure}"

    def within(self, place: str) -> "Problem":
        """The same, seen from the table around it."""
        return attrs.evolve(self, place=place + self.place)


class Bad(Exception):
    """A value that means nothing here. The places of its problems are relative to its key."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems)
        self.problems = problems


def bad(what: str, cure: str) -> Bad:
    """A value with one problem."""
    return Bad(Problem("", what, cure))


def shown(value: object) -> str:
    """A value as an operator knows it, on one line and not too long."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "an array"
    if isinstance(value, int) and value.bit_length() > 200:
        return "a number beyond all bounds"
    full = json.dumps(value) if isinstance(value, str | bool) else str(value)[:100]
    return full if len(full) <= 60 else full[:57] + "..."


def text(value: object) -> str:
    """Text on one line."""
    if not isinstance(value, str):
        raise bad(f"{shown(value)} is not text", 'write text in quotes: "..."')
    if not value.isprintable():
        raise bad(f"{shown(value)} holds a control character", "write one line of plain characters")
    return value


def matching(pattern: str, noun: str, cure: str, *, longest: int = 255) -> Reader:
    """Text of a given form."""
    form = re.compile(pattern, re.ASCII)

    def read(value: object) -> str:
        if not form.fullmatch(text(value)) or len(text(value)) > longest:
            raise bad(f"{shown(value)} is not {noun}", cure)
        return text(value)

    return read


def one_of(*words: str) -> Reader:
    """One of a few words."""

    def read(value: object) -> str:
        if value not in words:
            raise bad(
                f"{shown(value)} means nothing here", "use " + " or ".join(f'"{word}"' for word in words)
            )
        return text(value)

    return read


def number(low: int, high: int) -> Reader:
    """A whole number within limits."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise bad(f"{shown(value)} is not a whole number from {low} to {high}", "write such a number")
        return value

    return read


def yes_or_no(value: object) -> bool:
    """A switch."""
    if not isinstance(value, bool):
        raise bad(f"{shown(value)} is neither true nor false", "write true or false, without quotes")
    return value


def share(value: object) -> float:
    """A share such as "5%", from 0 to 1. All of them is no limit: no share is over it."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise bad(f"{shown(value)} is not a share", 'write it in quotes and with %, such as "5%"')
    found = re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,6})?) *%", text(value).strip())
    if not found or float(found[1]) >= 100:
        raise bad(f"{shown(value)} is not a share below 100%", 'write such as "5%" or "0.5%"; "0%" is off')
    return float(found[1]) / 100


_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}


def duration(low: str, high: str) -> Reader:
    """A duration such as "500ms", in seconds."""

    def read(value: object) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            raise bad(f"{shown(value)} has no unit", f'write a duration in quotes: "{shown(value)}s"')
        seconds_s = _seconds(text(value))
        if seconds_s is None:
            cure = 'write a number with ms, s, m or h, such as "500ms", "2s", "5m" or "1h"'
            raise bad(f"{shown(value)} is not a duration", cure)
        if not (_seconds(low) or 0) <= seconds_s <= (_seconds(high) or 0):
            raise bad(f"{shown(value)} is out of range", f"write a duration from {low} to {high}")
        return seconds_s

    return read


def _seconds(value: str) -> float | None:
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h)", value)
    return float(found[1]) * _UNITS_MS[found[2]] / 1000 if found else None


def each(reader: Reader, *, repeatable: bool = False) -> Reader:
    """An array of values, none of them twice unless that means something."""

    def read(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise bad(f"{shown(value)} is not an array", "put it in brackets: [...]")
        found: list[Any] = []
        problems: list[Problem] = []
        for index, item in enumerate(value):
            try:
                meaning = reader(item)
                if meaning in found and not repeatable:
                    raise bad(f"{shown(item)} stands here twice", "take one of them out")
                found.append(meaning)
            except Bad as wrong:
                problems += [problem.within(f"[{index}]") for problem in wrong.problems]
        if problems:
            raise Bad(*problems)
        return tuple(found)

    return read


def optional(reader: Reader, instead: object = "") -> Reader:
    """What the reader takes, or empty text, which means `instead`."""
    return lambda value: instead if value == "" else reader(value)


def path(value: object) -> Path:
    """The absolute path of a file or folder."""
    if not text(value).startswith("/"):
        raise bad(f"{shown(value)} is not an absolute path", 'begin it with "/"')
    return Path(os.path.normpath(text(value)))


def path_text(value: object) -> str:
    """The same, as text."""
    return str(path(value))


def socket_path(value: object) -> Path:
    """The path of a unix socket, which the kernel takes up to 107 bytes only."""
    found = path(value)
    if len(bytes(found)) > 107:
        raise bad(f"{shown(value)} is too long for a socket", "use a path of at most 107 bytes")
    return found


def part_path(suffix: str, title: str) -> Reader:
    """The path of bgd's own part. What stands beside it is named in it, so that the path is rendered too."""

    def read(value: object) -> Path:
        found = path(value)
        if not re.fullmatch(r"[A-Za-z0-9._/@+~-]+", str(found)):
            raise bad(
                f"{shown(value)} cannot be written into {title}'s configuration",
                "use letters, digits and ._/@+~- only",
            )
        if found.suffix != suffix:
            cure = f'end it in "{suffix}", the only files that {title} loads from that folder'
            raise bad(f"{shown(value)} would not be loaded by {title}", cure)
        return found

    return read


def command(value: object) -> str:
    """A command line."""
    try:
        if shlex.split(text(value)):
            return text(value)
    except ValueError:
        pass
    raise bad(f"{shown(value)} is not a command line", "write a program and its arguments, each quote closed")


def words(value: object) -> tuple[str, ...]:
    """A command in words: a program by its path or its name, and its arguments. No shell reads it."""
    if isinstance(value, str):
        cure = f"write each word by itself: {_in_words(value)}"
        raise bad(f"{shown(value)} is one piece of text", cure)
    found: tuple[str, ...] = each(text, repeatable=True)(value)
    if found and (not found[0].strip() or ("/" in found[0] and not found[0].startswith("/"))):
        cure = "begin with a program's absolute path, or its name alone, which is looked for in PATH"
        raise Bad(Problem("[0]", f"{shown(found[0])} is not a program", cure))
    return found


def _in_words(line: str) -> str:
    try:
        parts = shlex.split(line) if line.isprintable() and len(line) <= 100 else []
    except ValueError:
        parts = []
    return json.dumps(parts or ["/usr/local/bin/tell-us", "ops"])


_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = rf"{_LABEL}(\.{_LABEL})*"
_HOST_CURE = "write one exact host name, without port, wildcard, or dot at its end"
_PORT = r"([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_PATH = r"/[A-Za-z0-9._~!$&()*+,;=:@%/-]*"
_PLACE = rf"(({_HOST}|\[[0-9A-Fa-f:.]+\]):{_PORT})"

app_name = matching(
    r"[a-z0-9]([a-z0-9-]*[a-z0-9])?",
    "a name for an app",
    'use at most 40 of a-z, 0-9 and "-", with a letter or digit at both ends',
    longest=40,
)
node_name = matching(
    r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?",
    "a name for a node",
    'use at most 64 of a-z, 0-9, "-" and ".", with a letter or digit at both ends',
    longest=64,
)
service_name = matching(
    r"[A-Za-z0-9_.-]+", "a service's name", "use letters, digits and ._- only", longest=128
)
meta_key = matching(
    r"[A-Za-z0-9_-]+", "a key of service meta", "use at most 128 letters, digits and _-", longest=128
)
prefix = matching(
    r"(?!.*(^|/)\.\.?(/|$))[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*",
    "a prefix for keys",
    'use words of letters, digits and ._- with single "/" between them, such as "bluegreen"',
)
datacenter = matching(r"[A-Za-z0-9_-]+", "a datacenter's name", "use letters, digits and _- only")
unit = matching(r"[A-Za-z0-9:_.@-]+\.service", "a unit's name", 'write it in full, such as "haproxy.service"')
container = matching(
    r"[A-Za-z0-9][A-Za-z0-9_.-]*", "a container's name", "write its name or id, as `docker ps` shows it"
)
listen = matching(
    _PLACE, "an address to listen on", 'write host:port, such as "127.0.0.1:9180", or "" for none'
)
consul_address = matching(
    rf"unix:///[^ ]+|(https?://)?({_PLACE}|{_HOST}|\[[0-9A-Fa-f:.]+\])/?",
    "an address of Consul",
    'write "http://host:port", "https://host:port" or "unix:///path"',
)
url_path = matching(_PATH, "a path prefix", 'begin it with "/"; no query, no spaces, the rest as in a URL')
plain_path = matching(
    r"(?!.*//|.*/\.\.?(/|$))/[A-Za-z0-9._~!$&()*+,;=:@/-]*",
    "a path prefix that nginx could match",
    'begin it with "/"; nginx compares decoded paths, in which no "%", "//", "/./" or "/../" is left',
)
probe_path = matching(
    _PATH + r"(\?[A-Za-z0-9._~!$&()*+,;=:@%/?-]*)?",
    "a path to probe",
    'begin it with "/", the rest as in a URL; or "" for a TCP connect only',
    longest=1000,
)
probe_host = matching(rf"({_HOST}|\[[0-9A-Fa-f:.]+\])(:{_PORT})?", "a host", "write a host name")
_host = matching(_HOST, "a host name", _HOST_CURE)


def host(value: object) -> str:
    """An exact host name; case means nothing in it."""
    return str(_host(value)).lower()


_SECTIONS = {
    *("acme", "backend", "cache", "crt-store", "defaults", "fcgi-app", "frontend", "global", "http-errors"),
    *("listen", "log-forward", "log-profile", "mailers", "peers", "program", "resolvers", "ring", "traces"),
    "userlist",
}


def frontend_line(value: object) -> str:
    """A further line for an app's frontend. It cannot begin a section: what follows would be lost in it."""
    first = re.split(r"[ #]", text(value).lstrip(" "))[0]
    if re.search(r"""["'\\$]""", first):  # HAProxy would read another word there than people do
        cure = "write the line's first word in plain letters"
        raise bad(f"{shown(value)} begins with a quote, a backslash or a $", cure)
    if first in _SECTIONS:
        cure = "put sections into the host's own file; lines are for this app's frontend"
        raise bad(f"{shown(value)} begins a section", cure)
    return text(value)


_EXPECT_CURE = 'write status codes from 100 to 599, such as "200-399" or "200,204,300-399"'


def expect(value: object) -> tuple[tuple[int, int], ...]:
    """Ranges of status codes."""
    ranges = [re.fullmatch(r" *([0-9]{3}) *(?:- *([0-9]{3}) *)?", part) for part in text(value).split(",")]
    found = tuple((int(each_[1]), int(each_[2] or each_[1])) for each_ in ranges if each_)
    if len(found) < len(ranges) or not all(100 <= low <= high <= 599 for low, high in found):
        raise bad(f"{shown(value)} is not a list of status codes", _EXPECT_CURE)
    return found


_MIN_HEALTHY_CURE = 'write a share from "1%" to "100%", a number from 1 up, or such as "80% of live"'


def min_healthy(value: object) -> MinHealthy:
    """How many backends of a colour must be healthy."""
    written = shown(value) if isinstance(value, int) and not isinstance(value, bool) else text(value)
    found = re.fullmatch(r"([0-9]{1,5})(%| *% of live)?", written.strip())
    unit_of = {None: "count", "%": "percent"}
    if not found or int(found[1]) < 1 or (found[2] and int(found[1]) > 100):
        raise bad(f"{shown(value)} is not a number or share of backends", _MIN_HEALTHY_CURE)
    return MinHealthy(int(found[1]), unit_of.get(found[2], "percent-of-live"))
