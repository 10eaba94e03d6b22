"""The load client with lanes over HTTP/2: `python -m tests.integration.load_h2`, with `--h2 LANES`.

Lanes share connections, as the tabs of a browser do; with `--tls` that is agreed on by ALPN, without it is
known before. A request that the server refused unseen (above the last stream that its GOAWAY names, or
REFUSED_STREAM) may be repeated, says RFC 9113: it is counted as `refused`, and repeated at once. Whatever
else gets no whole answer is lost.

GOAWAY is read here: to the h2 library it is the end of the connection, though answers are still to come.
"""

import argparse
import sys
from collections.abc import Iterator
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, Event, ResponseReceived, StreamEnded, StreamReset

from bgctl.demo import lanes, load
from bgctl.demo.wire import Wire, unverified

SHARED = 4
FRAME_HEAD, GOAWAY = 9, 7

Headers = list[tuple[str, str]]


class User(lanes.Lane):
    """Someone who asks over a connection that others use, too."""

    kind = "h2"

    def __init__(self, browser: "Browser", number: int, headers: Headers, pause_s: float) -> None:
        super().__init__(browser.client, number, b"", pause_s)
        self.browser, self.headers = browser, headers
        self.connection: Connection | None = None
        self.status = 0

    def start(self, now_ns: int) -> None:
        self.started_ns, self.busy = now_ns, True
        self.colour = self.server = ""
        self.browser.ask(self)

    def repeat(self) -> None:
        self.client.refused += 1
        self.browser.ask(self)

    def drop(self) -> None:
        if self.connection:
            self.connection.leave(self)


class Connection(Wire):
    """One connection: who waits on which of its streams."""

    def __init__(self, browser: "Browser") -> None:
        super().__init__(browser.client, browser.number)
        self.browser = browser
        self.tls = browser.client.tls and unverified("h2")
        self.users: dict[int, User] = {}
        self.early: list[User] = []
        self.going = False
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.open()

    def begin(self) -> None:
        self.h2.initiate_connection()
        early, self.early = self.early, []
        for user in early:
            self.send(user)

    def ask(self, user: User) -> None:
        user.connection, user.reused = self, int(self.stands)
        if self.stands:
            self.send(user)
        else:
            self.early.append(user)

    def send(self, user: User) -> None:
        stream = self.h2.get_next_available_stream_id()
        self.users[stream] = user
        self.h2.send_headers(stream, user.headers, end_stream=True)
        self.flush()

    def flush(self) -> None:
        if self.socket and (words := self.h2.data_to_send()):
            self.write(words)

    def leave(self, user: User) -> None:
        """Nobody waits for this answer any more."""
        self.users = {stream: each for stream, each in self.users.items() if each is not user}
        self.early = [each for each in self.early if each is not user]

    def take(self) -> None:
        for frame in self.frames():
            if frame[3] == GOAWAY:
                self.go_away(int.from_bytes(frame[FRAME_HEAD : FRAME_HEAD + 4]) & 0x7FFFFFFF)
                continue
            for event in self.h2.receive_data(frame):
                self.heard(event)
        self.flush()
        if self.going and not self.users:
            self.drop()

    def frames(self) -> Iterator[bytes]:
        """The frames that have wholly come."""
        while len(self.received) >= FRAME_HEAD:
            length = FRAME_HEAD + int.from_bytes(self.received[:3])
            if len(self.received) < length:
                return
            frame, self.received = self.received[:length], self.received[length:]
            yield frame

    def heard(self, event: Event) -> None:
        match event:
            case DataReceived():
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case ResponseReceived() if user := self.users.get(event.stream_id):
                said: dict[Any, Any] = dict(event.headers)
                user.status = int(said[":status"])
                user.colour, user.server = said.get("x-colour", ""), said.get("x-server", "")
            case StreamEnded() if user := self.users.pop(event.stream_id, None):
                user.end(user.status, "" if user.status == 200 else f"status-{user.status}")
            case StreamReset() if user := self.users.pop(event.stream_id, None):
                if event.error_code == ErrorCodes.REFUSED_STREAM:
                    user.repeat()
                else:
                    user.fail("cut" if user.colour else "stream-reset")

    def go_away(self, last: int) -> None:
        """No stream above the last one was looked at; those below will be answered."""
        self.going = True
        refused = [self.users.pop(stream) for stream in sorted(self.users) if stream > last]
        for user in refused:
            user.repeat()

    def closed(self, how: str) -> None:
        self.drop()
        left = [*self.users.values(), *self.early]
        self.client.idle_closed += not left
        for user in left:
            user.fail("cut" if user.colour else how)

    def fail(self, error: str) -> None:
        if self.stands and self.socket:  # what was said before the end counts, a GOAWAY too
            self.read(self.socket, to_the_end=True)
        if self.socket:
            self.closed(error)


class Browser:
    """Has one connection for all its users, and another one as soon as that is going."""

    def __init__(self, client: load.Client, number: int) -> None:
        self.client, self.number = client, number
        self.connection: Connection | None = None

    def ask(self, user: User) -> None:
        if not self.connection or self.connection.going or not self.connection.socket:
            self.connection = Connection(self)
        self.connection.ask(user)


def client(given: argparse.Namespace) -> load.Client:
    """The client with the lanes that were asked for."""
    made = load.client(given)
    scheme = "https" if given.tls else "http"
    names = (":method", ":scheme", ":authority", ":path", "user-agent")
    headers = list(zip(names, ("GET", scheme, given.host, given.path, "bgctl-load"), strict=True))
    browsers: list[Browser] = []

    def user(_: load.Client, number: int, __: bytes, pause_s: float) -> User:
        if number % SHARED == 0 or not browsers:
            browsers.append(Browser(made, number))
        return User(browsers[-1], number, headers, pause_s)

    made.add(user, given.h2, b"", given.pause_ms / 1000)
    return made


def arguments() -> argparse.ArgumentParser:
    parser = load.arguments()
    parser.add_argument("--h2", type=int, default=0, help=f"lanes over HTTP/2, {SHARED} on a connection")
    return parser


if __name__ == "__main__":
    sys.exit(load.main(arguments(), client))
