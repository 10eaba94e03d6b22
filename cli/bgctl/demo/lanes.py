"""The lanes of the load client: each is one user who asks, waits for the answer, and pauses.

A lane never repeats a request: what fails is recorded as failed. A kept-alive connection that the
server closes while it is idle is no loss, one that is closed under a request is. A held connection
(websocket, TCP) may never be closed by the other side at all.
"""

from collections.abc import Callable
from random import Random
from typing import Any, ClassVar

from bgctl.demo.wire import Wire

LONGEST_PAUSE_S = 0.9
"""Everybody speaks at least once a second: the promise that is judged here is made to such users."""

Note = tuple[str, int, int, int, int, str, str, str]


class Lane(Wire):
    """One connection at a time, opened when it is needed."""

    kind: ClassVar[str] = ""
    keep: ClassVar[bool] = True
    held: ClassVar[bool] = False

    def __init__(self, client: Any, number: int, request: bytes, pause_s: float) -> None:
        super().__init__(client, number)
        self.request, self.pause_s = request, pause_s
        self.busy = False
        self.reused = self.started_ns = 0
        self.colour = self.server = ""

    def pause(self, draw: Random) -> float:
        """How long this user thinks now, as independent users do."""
        return min(draw.expovariate(1.0) * self.pause_s, LONGEST_PAUSE_S)

    def start(self, now_ns: int) -> None:
        """Send the next request, over a new connection if there is none."""
        self.started_ns, self.busy, self.received = now_ns, True, b""
        self.reused = int(self.socket is not None)
        if self.reused:
            self.send()
        else:
            self.open()

    def begin(self) -> None:
        self.send()

    def send(self) -> None:
        self.write(self.next_request())

    def next_request(self) -> bytes:
        return self.request

    def closed(self, how: str) -> None:
        if self.busy:
            self.fail("cut" if self.received or self.held else how)
        elif self.held:
            self.fail("cut")
        else:
            self.client.idle_closed += 1
            self.drop()

    def fail(self, error: str, status: int = 0) -> None:
        self.drop()
        self.end(status, error)

    def end(self, status: int, error: str) -> None:
        now_ns = self.client.now_ns()
        start_ns = self.started_ns if self.busy else now_ns
        was_due = self.busy
        self.client.records.append(
            (self.kind, self.reused, start_ns, now_ns, status, self.colour, error, self.server)
        )
        self.busy = False
        if was_due:  # a lane that was pausing is in the queue already
            self.client.later(self, now_ns)


class Kept(Lane):
    """HTTP over one connection, kept alive."""

    kind = "kept"

    def take(self) -> None:
        received = self.received
        split = received.find(b"\r\n\r\n")
        if split < 0:
            return
        head = received[:split].lower()
        if not whole(head, received, split + 4):
            return
        status = int(head[9:12])
        self.colour, self.server = field(head, b"\nx-colour: "), field(head, b"\nx-server: ")
        if not self.keep or b"\nconnection: close" in head:
            self.drop()
        self.end(status, "" if status == 200 else f"status-{status}")


class New(Kept):
    """HTTP over a new connection for each request."""

    kind, keep = "new", False


class Steady(Kept):
    """HTTP over one connection, by someone who asks hardly more than once a second."""

    kind = "steady"

    def pause(self, draw: Random) -> float:
        return draw.uniform(0.5, LONGEST_PAUSE_S)


class Slow(Kept):
    """An answer that takes its time."""

    kind = "slow"


class Stream(Kept):
    """An answer that comes in pieces, over seconds."""

    kind = "stream"


class Websocket(Lane):
    """A websocket that is held open, and echoes."""

    kind, held = "websocket", True
    frame = b"\x81\x84\x00\x00\x00\x00ping"
    echo = b"\x81\x04ping"

    def __init__(self, client: Any, number: int, request: bytes, pause_s: float) -> None:
        super().__init__(client, number, request, pause_s)
        self.upgraded = False

    def begin(self) -> None:
        self.upgraded = False
        self.send()

    def next_request(self) -> bytes:
        return self.frame if self.upgraded else self.request

    def take(self) -> None:
        if self.upgraded:
            if self.received.startswith(self.echo):
                self.end(101, "")
            return
        head, found, _ = self.received.partition(b"\r\n\r\n")
        if not found:
            return
        head = head.lower()
        self.upgraded = head[9:12] == b"101"
        self.colour, self.server = field(head, b"\nx-colour: "), field(head, b"\nx-server: ")
        if self.upgraded:
            self.end(101, "")
        else:
            self.fail("status", int(head[9:12]))


class Tcp(Lane):
    """A TCP connection that is held open: greeted with colour and server, then echoed."""

    kind, held = "tcp", True

    def begin(self) -> None:
        pass  # the backend greets first

    def take(self) -> None:
        if not self.received.endswith(b"\n"):
            return
        if not self.reused:
            self.colour, self.server = self.received.decode().split()
        if not self.keep:
            self.drop()
        self.end(200, "")


class TcpNew(Tcp):
    """A TCP connection for each greeting."""

    kind, keep, held = "tcp-new", False, False


def whole(head: bytes, received: bytes, body: int) -> bool:
    """Whether the body has come to its end, told by its length or by its last chunk."""
    at = head.find(b"\ncontent-length: ")
    if at >= 0:
        line_end = head.find(b"\r", at)
        return len(received) - body >= int(head[at + 17 : line_end if line_end > 0 else None])
    return received.endswith(b"\n0\r\n\r\n", body - 1)


def field(head: bytes, name: bytes) -> str:
    at = head.find(name)
    if at < 0:
        return ""
    at += len(name)
    end = head.find(b"\r", at)
    return head[at : end if end > 0 else None].decode("latin-1")


Maker = Callable[[Any, int, bytes, float], Lane]
