"""Backends for the demo, the tests and the bench: many addresses, two colours, one process.

    python -m bgctl.demo.backend blue=127.0.0.1:9001 blue=127.0.0.1:9002 green=127.0.0.1:9003

Each HTTP answer names its colour (X-Colour) and its address (X-Server). Paths:
`/slow?ms=N` answers late · `/stream?n=N&ms=N` sends N chunks, one each ms · `/big?n=N` sends N bytes ·
`/ws` is a websocket that echoes · anything else is answered at once.
With `--tcp` a connection is greeted by `colour server` and then echoes bytes.

Orders come on standard input, one a line, and each is answered by a line, `ok` or what was wrong:
`open COLOUR=ADDRESS` · `retire ADDRESS` (what is open goes on) · `close ADDRESS` (cuts it) ·
`fail ADDRESS` (answers 500) · `slow ADDRESS MS` · `heal ADDRESS`. The end of standard input ends the
process, so that no backend outlives what started it.
"""

import heapq
import os
import select
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count

from bgctl.demo.answers import ROUTES, echo_frames

READ_BYTES = 65536
BACKLOG = 1024


class Listener:
    """One address with its colour, its ready-made answer, and what it was told to do wrong."""

    def __init__(self, colour: str, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.colour, self.address = colour, address
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((host, int(port)))
        self.socket.listen(BACKLOG)
        self.heads = f"x-colour: {colour}\r\nx-server: {address}\r\n".encode()
        self.greeting = f"{colour} {address}\n".encode()
        self.connections: set[Connection] = set()
        self.heal()

    def heal(self) -> None:
        self.status, self.delay_s = b"200 OK", 0.0
        self.answer = self.response(f"{self.colour}\n".encode())

    def fail(self) -> None:
        self.status = b"500 Internal Server Error"
        self.answer = self.response(b"told to fail\n")

    def response(self, body: bytes) -> bytes:
        length = b"content-length: %d\r\n\r\n" % len(body)
        return b"HTTP/1.1 " + self.status + b"\r\n" + self.heads + length + body


class Connection:
    """One accepted connection: what came and is not yet answered, what waits to be sent."""

    __slots__ = ("blocked", "busy", "closing", "incoming", "listener", "outgoing", "socket", "websocket")

    def __init__(self, listener: Listener, accepted: socket.socket) -> None:
        self.listener, self.socket = listener, accepted
        self.incoming, self.outgoing = b"", b""
        self.blocked = self.busy = self.closing = self.websocket = False


class Server:
    """The event loop. Pipelined requests are answered in order: a busy connection waits."""

    def __init__(self, *, tcp: bool = False) -> None:
        self.poll = select.epoll()
        self.listeners: dict[str, Listener] = {}
        self.on_event: dict[int, Callable[[int], None]] = {}
        self.timers: list[tuple[float, int, Callable[[], None]]] = []
        self.order, self.tcp, self.running = count(), tcp, True

    def open(self, colour: str, address: str) -> None:
        listener = Listener(colour, address)
        self.listeners[address] = listener
        self.watch(listener.socket, lambda _: self.accept(listener))

    def retire(self, address: str) -> Listener:
        listener = self.listeners.pop(address)
        self.forget(listener.socket)
        return listener

    def close(self, address: str) -> None:
        listener = self.retire(address)
        for connection in list(listener.connections):
            self.drop(connection)

    def run(self) -> None:
        while self.running:
            for fd, events in self.poll.poll(self.until_next_timer()):
                if handler := self.on_event.get(fd):
                    handler(events)
            now = time.monotonic()
            while self.timers and self.timers[0][0] <= now:
                heapq.heappop(self.timers)[2]()

    def until_next_timer(self) -> float:
        return max(0.0, self.timers[0][0] - time.monotonic()) if self.timers else -1

    def later(self, delay_s: float, call: Callable[[], None]) -> None:
        heapq.heappush(self.timers, (time.monotonic() + delay_s, next(self.order), call))

    def watch(self, sock: socket.socket, handler: Callable[[int], None]) -> None:
        self.on_event[sock.fileno()] = handler
        self.poll.register(sock.fileno(), select.EPOLLIN)

    def forget(self, sock: socket.socket) -> None:
        if sock.fileno() >= 0:
            del self.on_event[sock.fileno()]
            sock.close()

    def drop(self, connection: Connection) -> None:
        connection.listener.connections.discard(connection)
        self.forget(connection.socket)

    def accept(self, listener: Listener) -> None:
        try:
            accepted, _ = listener.socket.accept()
        except OSError:
            return
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(listener, accepted)
        listener.connections.add(connection)
        self.watch(accepted, lambda events: self.ready(connection, events))
        if self.tcp:
            self.send(connection, listener.greeting)

    def ready(self, connection: Connection, events: int) -> None:
        if events & select.EPOLLOUT:
            self.flush(connection)
        if not events & ~select.EPOLLOUT or connection.socket.fileno() < 0:
            return
        try:
            received = connection.socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        if not received:
            self.drop(connection)
        elif self.tcp:
            self.send(connection, received)
        else:
            connection.incoming += received
            self.take(connection)

    def take(self, connection: Connection) -> None:
        """Answer what has wholly come; a busy connection goes on when its answer is out."""
        if connection.websocket:
            echo_frames(self, connection)
            return
        while not connection.busy and (end := connection.incoming.find(b"\r\n\r\n")) >= 0:
            head = connection.incoming[:end]
            body = body_length(head)
            if len(connection.incoming) < end + 4 + body:
                return
            connection.incoming = connection.incoming[end + 4 + body :]
            self.answer(connection, head)

    def answer(self, connection: Connection, head: bytes) -> None:
        listener = connection.listener
        if b"close" in head and b"\nconnection: close" in head.lower():
            connection.closing = True
        route = ROUTES.get(head.split(b" ", 2)[1].partition(b"?")[0])
        if not listener.delay_s:
            route(self, connection, head) if route else self.finish(connection, listener.answer)
            return
        connection.busy = True
        self.later(listener.delay_s, lambda: self.finish(connection, listener.answer))

    def finish(self, connection: Connection, last: bytes) -> None:
        """Send the end of an answer, and go on with what waits behind it."""
        waited, connection.busy = connection.busy, False
        self.send(connection, last)
        if waited and connection.socket.fileno() >= 0:
            self.take(connection)

    def send(self, connection: Connection, payload: bytes) -> None:
        if connection.outgoing:
            connection.outgoing += payload
            return
        connection.outgoing = payload
        self.flush(connection)

    def flush(self, connection: Connection) -> None:
        if connection.socket.fileno() < 0:
            return
        try:
            sent = connection.socket.send(connection.outgoing)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.drop(connection)
            return
        connection.outgoing = connection.outgoing[sent:]
        if connection.closing and not connection.busy and not connection.outgoing:
            self.drop(connection)
        elif connection.blocked != bool(connection.outgoing):
            connection.blocked = not connection.blocked
            out = select.EPOLLOUT if connection.blocked else 0
            self.poll.modify(connection.socket.fileno(), select.EPOLLIN | out)


def body_length(head: bytes) -> int:
    """How many bytes of body follow; a GET is known to have none."""
    if head.startswith(b"GET "):
        return 0
    _, found, rest = head.lower().partition(b"\ncontent-length:")
    return int(rest.split(b"\r", 1)[0]) if found else 0


def obey(server: Server, line: str) -> str:
    """Carry one order out, and say how that went."""
    match line.split():
        case ["open", where] if "=" in where:
            server.open(*where.split("=", 1))
        case ["retire", address] if address in server.listeners:
            server.retire(address)
        case ["close", address] if address in server.listeners:
            server.close(address)
        case ["fail", address] if address in server.listeners:
            server.listeners[address].fail()
        case ["slow", address, ms] if address in server.listeners:
            server.listeners[address].delay_s = float(ms) / 1000
        case ["heal", address] if address in server.listeners:
            server.listeners[address].heal()
        case _:
            return f"not an order, or no such address: {line}"
    return "ok"


def take_orders(server: Server) -> None:
    """Read orders from standard input; its end is the order to stop."""
    pending = b""

    def read(_: int) -> None:
        nonlocal pending
        received = os.read(0, READ_BYTES)
        server.running = bool(received)
        *lines, pending = (pending + received).split(b"\n")
        for line in lines:
            try:
                answer = obey(server, line.decode())
            except OSError as error:
                answer = f"{line.decode()}: {error}"
            print(answer, flush=True)

    server.on_event[0] = read
    with suppress(PermissionError):  # a file or /dev/null cannot be waited for, and gives no orders
        server.poll.register(0, select.EPOLLIN)


def main(arguments: list[str]) -> None:
    server = Server(tcp="--tcp" in arguments)
    for where in arguments:
        if where != "--tcp":
            server.open(*where.split("=", 1))
    take_orders(server)
    print("ready", flush=True)
    server.run()


if __name__ == "__main__":
    main(sys.argv[1:])
