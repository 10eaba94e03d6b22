"""Asking through the proxy's own front: what does it decide, and who answers.

Each frontend has a listener of bgd's own. A request there that carries `bgd-proof` is answered by
the very backend that the map sends it to; one that does not goes on to a server, and the answer
names it. One that carries `bgd-rehearse` goes to the backend it names, whatever the map says. So
neither TLS, nor addresses, nor the rules among an app's lines make a difference.
"""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bgd.core.model import Server
from bgd.proxy.render import by_name

A_FEW = 4
CONNECT_S = 0.05


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


def all_refuse(servers: Sequence[Server]) -> bool:
    """Whether none of a few servers takes a connection: mostly the first one does, which is enough."""
    asked = [server for server in servers if not by_name(server)][:A_FEW]
    if not asked or len(asked) < min(len(servers), A_FEW):
        return False
    return all(_refuses(server) for server in asked)


def _refuses(server: Server) -> bool:
    family = socket.AF_INET6 if ":" in server.address else socket.AF_INET
    with socket.socket(family) as door:
        door.settimeout(CONNECT_S)
        try:
            door.connect((server.address, server.port))
        except TimeoutError:
            return False  # silence is no refusal
        except OSError:
            return True
    return False


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
