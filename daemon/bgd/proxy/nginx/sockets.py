"""This host's TCP sockets, as the kernel tells any user: where they lead, whose they are.

Rules that live here: a socket that no process holds any more is nobody's session, nor is one that only
listens. The kernel is asked by sock_diag: its tables in /proc take seconds where thousands of connections
have just ended.
"""

import os
import socket
import struct
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass

Place = tuple[bytes, int]
"""An address as the kernel writes it, and a port."""

_SOCK_DIAG, _BY_FAMILY, _DUMP = 4, 20, 0x301
_DONE, _ERROR = 3, 2
_IPV4 = 4
_STATES = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << 11
"""Those that have a peer and an owner: established, being made, being ended."""
_ASK = struct.Struct("=IHHII BBBBI HH16s16sIII")
_HEAD, _TOLD = struct.Struct("=IHHII"), struct.Struct("=BBBB2xH16x16s12xIIIII")
_BUFFER, _DEADLINE_S = 1 << 18, 2.0


@dataclass(frozen=True, slots=True)
class Socket:
    """One end of a TCP connection on this host."""

    peer: Place
    user: int
    inode: int


def place(text: str) -> Place | None:
    """`127.0.0.1:80` or `[::1]:80`; None when it is neither."""
    host, _, port = text.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    try:
        return socket.inet_pton(family, host.strip("[]")), int(port)
    except (OSError, ValueError):
        return None


def leading_to(places: Collection[Place]) -> list[Socket]:
    """The sockets that processes of this host hold to these places. Raises OSError."""
    ports, families = {port for _, port in places}, {len(address) for address, _ in places}
    asked = ports.pop() if len(ports) == 1 else 0
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _SOCK_DIAG) as kernel:
        kernel.settimeout(_DEADLINE_S)
        found = [each for size in sorted(families) for each in _dump(kernel, size, asked)]
    return [each for each in found if each.peer in places and each.inode]


def own() -> set[int]:
    """The sockets of this very process, which probes the same places."""
    found = set()
    for each in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            link = os.readlink(f"/proc/self/fd/{each}")
            if link.startswith("socket:["):
                found.add(int(link[8:-1]))
    return found


def _dump(kernel: socket.socket, size: int, port: int) -> Iterator[Socket]:
    """The sockets to addresses of so many bytes; `port` 0: to any. The kernel looks at all each time."""
    family = socket.AF_INET if size == _IPV4 else socket.AF_INET6
    question = (family, socket.IPPROTO_TCP, 0, 0, _STATES, 0, socket.htons(port), b"", b"", 0, 0, 0)
    kernel.sendto(_ASK.pack(_ASK.size, _BY_FAMILY, _DUMP, 0, 0, *question), (0, 0))
    while True:
        said = kernel.recv(_BUFFER)
        at = 0
        while at < len(said):
            length, kind, *_ = _HEAD.unpack_from(said, at)
            if kind == _DONE:
                return
            if kind == _ERROR or length < _HEAD.size + _TOLD.size:
                raise OSError("the kernel tells nothing of its sockets")
            *_, port, peer, _, _, _, user, inode = _TOLD.unpack_from(said, at + _HEAD.size)
            yield Socket((peer[:size], socket.ntohs(port)), user, inode)
            at += length + 3 & ~3
