"""The load client is the judge of all that follows, so it is judged first."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bgctl.demo.parts import Backends, fetch
from bgctl.demo.process import until
from tests.integration.load import Load

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-colour: blue\r\n\r\n"


@pytest.fixture
def backends(tmp_path: Path) -> Iterator[Backends]:
    with Backends(tmp_path, ["blue", "green"]) as started:
        yield started


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


class Closer:
    """A server that answers one request per connection, and then closes it as it was told."""

    def __init__(self, *, under_a_request: bool) -> None:
        self.under_a_request = under_a_request
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.answer, args=[connection], daemon=True).start()

    def answer(self, connection: socket.socket) -> None:
        with connection:
            if connection.recv(4096):
                connection.sendall(ANSWER)
            if self.under_a_request:
                connection.recv(4096)


def test_whole_answers_of_every_lane_are_counted_and_nothing_is_lost(
    tmp_path: Path, backends: Backends
) -> None:
    """Every kind of lane gets whole answers from a healthy backend."""
    port = port_of(backends.of("blue")[0])
    with Load(port, folder=tmp_path, slow=1, streams=1, websockets=1, kept=2, new=2) as load:
        wanted = {"kept", "new", "slow", "stream", "websocket"}
        until("all lanes have been busy", lambda: load.progress["requests"] > 200)

    assert load.lost() == []
    assert wanted == {record.lane for record in load.records}
    assert {"blue"} == {record.colour for record in load.records}


def test_tcp_lanes_learn_the_colour_from_the_greeting(tmp_path: Path) -> None:
    """A held TCP connection and short ones are told their colour, and echoed."""
    with (
        Backends(tmp_path, ["green"], tcp=True) as backends,
        Load(port_of(backends.of("green")[0]), folder=tmp_path, kept=0, new=0, tcp=2, tcp_new=2) as load,
    ):
        until("there was traffic", lambda: load.progress["requests"] > 50)

    assert load.lost() == []
    assert {("tcp", "green"), ("tcp-new", "green")} == {(r.lane, r.colour) for r in load.records}


def test_a_connection_closed_while_idle_is_no_loss(tmp_path: Path) -> None:
    """The server may close a kept-alive connection that has no request under way."""
    closer = Closer(under_a_request=False)
    with Load(closer.port, folder=tmp_path, kept=4, new=0, pause_ms=100) as load:
        until("connections were used", lambda: load.progress["requests"] > 40)

    assert load.summary["idle_closed"] > 0
    assert len(load.lost()) < load.summary["idle_closed"] / 5


def test_a_connection_closed_under_a_request_is_a_loss(tmp_path: Path) -> None:
    """The request whose kept-alive connection was closed instead of answered counts as lost."""
    closer = Closer(under_a_request=True)
    with Load(closer.port, folder=tmp_path, kept=4, new=0) as load:
        until("requests were lost", lambda: load.progress["lost"] > 10)

    assert {"eof", "reset"} >= {record.error for record in load.lost()}
    assert {1} == {record.reused for record in load.lost()}


def test_an_error_from_the_backend_is_a_loss(tmp_path: Path, backends: Backends) -> None:
    """An answer of 500 is lost, and says whose it was."""
    address = backends.of("blue")[0]
    with Load(port_of(address), folder=tmp_path, kept=2, new=2) as load:
        backends.order(f"fail {address}")
        until("answers failed", lambda: load.progress["lost"] > 10)

    assert {("status-500", address)} == {(record.error, record.server) for record in load.lost()}


def test_what_is_cut_is_told(tmp_path: Path, backends: Backends) -> None:
    """A stream and a websocket that end early are cut, and every new connection is refused."""
    address = backends.of("blue")[0]
    with Load(port_of(address), folder=tmp_path, kept=0, new=1, streams=1, websockets=1) as load:
        until("lanes were busy", lambda: load.progress["requests"] > 20)
        backends.order(f"close {address}")
        until("requests were refused", lambda: load.progress["lost"] > 10)

    errors = {(record.lane, record.error) for record in load.lost()}
    assert {("stream", "cut"), ("websocket", "cut"), ("new", "refused")} <= errors


def test_a_backend_can_be_healed_and_joined_by_others(backends: Backends) -> None:
    """Orders change a backend while it runs."""
    address = backends.of("green")[0]
    backends.order(f"fail {address}")

    assert fetch(port_of(address), "GET", "/") is None

    backends.order(f"heal {address}")

    assert fetch(port_of(address), "GET", "/") == "green\n"
