"""HAProxy's text: what of it is structure, how it is read back, and what in it could not work with bgd.

Rule that lives here: servers with an address can come and go at runtime; one with a host name is
resolved at a start only, so that it is structure.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bgd.config.binds import bound
from bgd.core.model import Colour, Server
from bgd.core.reasons import Because
from bgd.ports import Failed
from bgd.proxy.blocks import Block, Blocks
from bgd.proxy.haproxy import hop
from bgd.proxy.names import by_name
from bgd.proxy.routes import frontends

SPECIMEN = Server("192.0.2.1", 1, 1)
"""Stands for the servers of a backend in its structure, so that how a server is written is part of it."""

SOCKET_PATH_MAX = 107  # what the kernel takes for a unix socket


def bare(block: Block) -> Block:
    """The block without the servers that can come and go at runtime."""
    named = {
        colour: frozenset({SPECIMEN, *filter(by_name, block.servers.get(colour, ()))}) for colour in Colour
    }
    return replace(block, servers=named)


def reached(app: str, colour: Colour) -> str:
    """The variable that changes when a connection of bgd's own got through to a server of the colour."""
    return f"bgd_reached_{app.replace('-', '_')}_{colour}"


def owner(folder: Path) -> int:
    """Who may use the proof listener: whoever owns the folder; 0 (root may anyway) is not written."""
    try:
        return folder.stat().st_uid
    except OSError:
        return 0


def read_servers(text: str) -> dict[str, dict[str, str]]:
    """Each backend's servers as they are written: name → place and options."""
    found: dict[str, dict[str, str]] = {}
    here: dict[str, str] = {}
    for line in text.splitlines():
        match line.split(None, 2):
            case ["backend", name, *_]:
                here = found.setdefault(name, {})
            case ["frontend" | "global" | "defaults" | "listen", *_]:
                here = {}
            case ["server", name, rest] if name != hop.SERVER:
                here[name] = rest.strip()
    return found


def read_marker(text: str) -> str | None:
    """The marker of the structure of a text."""
    found = re.search(r"^\s*set-var proc\.bgd_structure str\((\w+)\)", text, re.MULTILINE)
    return found[1] if found else None


ELSEWHERE = ("transparent", "namespace", "interface")
"""Options with which an address is not this host's to try."""


def claims(text: str) -> Iterator[str]:
    """The addresses that a text binds on this host."""
    for line in text.splitlines():
        if not any(option in line.split() for option in ELSEWHERE):
            yield from sorted(bound(line))


def faults(blocks: Blocks, folder: Path) -> dict[str, Failed]:
    """What HAProxy would accept but what cannot work with bgd, with the cure."""
    found: dict[str, Failed] = {}
    for app, block in blocks.items():
        for line in block.settings.lines:
            if block.settings.mode == "http" and line.split()[:1] == ["redirect"]:
                found[app] = Failed(Because.CHECK_FAILED, f"line {line!r}: write it as 'http-request {line}'")
    for front in frontends([block.settings for block in blocks.values()], folder):
        if len(str(front.socket).encode()) > SOCKET_PATH_MAX:
            detail = (
                f"{front.socket} is longer than {SOCKET_PATH_MAX} bytes: give proxy.file a shorter folder"
            )
            found |= dict.fromkeys(front.apps, Failed(Because.CHECK_FAILED, detail))
    return found
