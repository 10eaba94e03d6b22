"""Asking through the proxy's own front: what does it decide, and who answers.

Each frontend has a listener of bgd's own. A request there that carries `bgd-proof` is answered by
the very backend that the map sends it to; one that does not goes on to a server, and the answer
names it. One that carries `bgd-rehearse` goes to the backend it names, whatever the map says. So
neither TLS, nor addresses, nor the rules among an app's lines make a difference.
"""

import errno
import selectors
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bgd.core.model import Server
from bgd.proxy.render import by_name

AT_ONCE = 4
CONNECT_S = 0.05
_ON_ITS_WAY = (0, errno.EINPROGRESS)


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
    """Whether none of a few servers takes a connection; silence within the time is no refusal."""
    asked = [server for server in servers if not by_name(server)][:AT_ONCE]
    if not asked or len(asked) < min(len(servers), AT_ONCE):
        return False
    with ExitStack() as open_doors, selectors.DefaultSelector() as selector:
        for server in asked:
            door = open_doors.enter_context(
                socket.socket(socket.AF_INET6 if ":" in server.address else socket.AF_INET)
            )
            door.setblocking(False)
            if door.connect_ex((server.address, server.port)) not in _ON_ITS_WAY:
                continue
            selector.register(door, selectors.EVENT_WRITE)
        return _none_connects(selector)


def _none_connects(selector: selectors.BaseSelector) -> bool:
    until_s = time.monotonic() + CONNECT_S
    while selector.get_map():
        ready = selector.select(max(0.0, until_s - time.monotonic()))
        if not ready:
            return False
        for key, _ in ready:
            assert isinstance(key.fileobj, socket.socket)
            if key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                return False
            selector.unregister(key.fileobj)
    return True


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
