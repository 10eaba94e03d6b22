"""How the demo's backends answer the paths that are more than one quick answer."""

import base64
import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from bgctl.demo.backend import Connection, Server

WEBSOCKET_KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def argument(head: bytes, name: str, default: int) -> int:
    query = urlsplit(head.split(b" ", 2)[1].decode("latin-1")).query
    return int(parse_qs(query).get(name, [str(default)])[0])


def slow(server: "Server", connection: "Connection", head: bytes) -> None:
    connection.busy = True
    answer = connection.listener.answer
    server.later(argument(head, "ms", 1000) / 1000, lambda: server.finish(connection, answer))


def big(server: "Server", connection: "Connection", head: bytes) -> None:
    server.finish(connection, connection.listener.response(b"x" * argument(head, "n", 1_000_000)))


def stream(server: "Server", connection: "Connection", head: bytes) -> None:
    left, pause_s = argument(head, "n", 10), argument(head, "ms", 100) / 1000
    listener, connection.busy = connection.listener, True
    start = b"HTTP/1.1 " + listener.status + b"\r\n" + listener.heads
    server.send(connection, start + b"transfer-encoding: chunked\r\n\r\n")

    def chunk() -> None:
        nonlocal left
        left -= 1
        server.send(connection, b"6\r\nchunk\n\r\n")
        if left > 0:
            server.later(pause_s, chunk)
        else:
            server.finish(connection, b"0\r\n\r\n")

    server.later(pause_s, chunk)


def websocket(server: "Server", connection: "Connection", head: bytes) -> None:
    lines = dict(line.lower().partition(b":")[::2] for line in head.split(b"\r\n")[1:])
    if b"sec-websocket-key" not in lines:
        server.finish(connection, connection.listener.response(b"no websocket\n"))
        return
    key = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
    digest = hashlib.sha1(key.split(b":", 1)[1].strip() + WEBSOCKET_KEY, usedforsecurity=False).digest()
    connection.websocket = True
    upgrade = b"upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: "
    start = b"HTTP/1.1 101 Switching Protocols\r\n" + connection.listener.heads + upgrade
    server.send(connection, start + base64.b64encode(digest) + b"\r\n\r\n")


def echo_frames(server: "Server", connection: "Connection") -> None:
    """Echo each short frame unmasked; a close frame is echoed and ends the connection."""
    while len(connection.incoming) >= 6:
        length = connection.incoming[1] & 0x7F
        if length > 125 or not connection.incoming[1] & 0x80:
            server.drop(connection)
            return
        if len(connection.incoming) < 6 + length:
            return
        first, mask = connection.incoming[0], connection.incoming[2:6]
        masked = connection.incoming[6 : 6 + length]
        connection.incoming = connection.incoming[6 + length :]
        plain = bytes(byte ^ mask[i % 4] for i, byte in enumerate(masked))
        connection.closing = connection.closing or first & 0x0F == 8
        server.send(connection, bytes([first, length]) + plain)


ROUTES: dict[bytes, "Callable[[Server, Connection, bytes], None]"] = {
    b"/slow": slow,
    b"/big": big,
    b"/stream": stream,
    b"/ws": websocket,
}
