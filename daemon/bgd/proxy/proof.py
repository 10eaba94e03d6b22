"""Asking through the proxy's own front: what does it decide, and who answers.

Each frontend has a listener of bgd's own. A request there that carries `bgd-proof` is answered by
the very backend that the map sends it to; one that does not goes on to a server, and the answer
names it. One that carries `bgd-rehearse` goes to the backend it names, whatever the map says. So
neither TLS, nor addresses, nor the rules among an app's lines make a difference.
"""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back through the front."""

    status: str
    headers: Mapping[str, str]


DECISION = "bgd-proof: 1\r\n"
"""The header of a request that asks for the decision only."""


def rehearsal(name: str) -> str:
    """The header of a request that goes to this backend."""
    return f"bgd-rehearse: {name}\r\n"


def ask(front: Path, host: str, path: str, header: str = "", *, deadline_s: float) -> Answer:
    """One request through bgd's own listener. Raises OSError."""
    with _connect(front, deadline_s) as door:
        head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{header}"
        door.sendall(f"{head}User-Agent: bgd\r\nConnection: close\r\n\r\n".encode())
        return _read(door)


def knock(front: Path, deadline_s: float) -> socket.socket:
    """An open connection through bgd's own listener, for an app that speaks no HTTP. Raises OSError."""
    return _connect(front, deadline_s)


def _connect(front: Path, deadline_s: float) -> socket.socket:
    door = socket.socket(socket.AF_UNIX)
    try:
        door.settimeout(deadline_s)
        door.connect(str(front))
    except OSError:
        door.close()
        raise
    return door


def _read(door: socket.socket) -> Answer:
    said = b""
    while b"\r\n\r\n" not in said and (chunk := door.recv(1 << 14)):
        said += chunk
    first, *rows = said.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    fields = (row.partition(":") for row in rows)
    return Answer(first, {name.strip().lower(): value.strip() for name, _, value in fields})
