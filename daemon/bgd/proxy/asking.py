"""Asking the running proxy by HTTP, on a door of bgd's own: a unix socket, or an address of loopback.

Rule that lives here: every answer has a deadline and a length; an OSError means that there was none.
"""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LONGEST = 1 << 16

Door = Path | tuple[str, int]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the status line, headers by their names in small letters, what was read of the body."""

    status: str
    headers: Mapping[str, str]
    body: str = ""

    def said(self, field: str) -> str:
        """A header, or else the status: for people."""
        return self.headers.get(field) or self.status or "nothing"


def ask(door: Door, host: str, path: str, header: str = "", *, deadline_s: float) -> Answer:
    """One request. Raises OSError."""
    with knock(door, deadline_s) as opened:
        head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{header}"
        opened.sendall(f"{head}User-Agent: bgd\r\nConnection: close\r\n\r\n".encode())
        return _read(opened)


def knock(door: Door, deadline_s: float) -> socket.socket:
    """An open connection. Raises OSError."""
    opened = socket.socket(socket.AF_UNIX if isinstance(door, Path) else socket.AF_INET)
    try:
        opened.settimeout(deadline_s)
        opened.connect(str(door) if isinstance(door, Path) else door)
    except OSError:
        opened.close()
        raise
    return opened


def _read(opened: socket.socket) -> Answer:
    """The head, and of the body what came with it."""
    said = b""
    while b"\r\n\r\n" not in said and len(said) < LONGEST and (chunk := opened.recv(1 << 14)):
        said += chunk
    head, _, body = said.partition(b"\r\n\r\n")
    first, *rows = head.decode("latin-1").split("\r\n")
    fields = (row.partition(":") for row in rows)
    headers = {name.strip().lower(): value.strip() for name, _, value in fields}
    return Answer(first, headers, body.decode("latin-1"))
