"""The load client is the judge of all that follows, so it is judged first."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bgctl.demo.lanes import whole
from bgctl.demo.parts import Backends, fetch
from bgctl.demo.process import until
from bgd.proxy.certificates import STAND_IN
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

    def __init__(self, *, under_a_request: bool, tls: bool) -> None:
        self.under_a_request, self.tls = under_a_request, tls
        self.secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.secure.load_cert_chain(STAND_IN)
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

    def answer(self, accepted: socket.socket) -> None:
        wrap = self.secure.wrap_socket
        with suppress(OSError), wrap(accepted, server_side=True) if self.tls else accepted as connection:
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


def test_a_head_that_ends_like_a_body_is_no_whole_answer() -> None:
    """A body in chunks ends with its last chunk, not with a head whose last character is a 0."""
    head = b"HTTP/1.1 200 OK\r\nx-server: 127.0.0.1:9000\r\n\r\n"

    assert not whole(head.lower(), head, len(head))
    assert not whole(head.lower(), head + b"6\r\nchunk\n\r\n", len(head))
    assert whole(head.lower(), head + b"6\r\nchunk\n\r\n0\r\n\r\n", len(head))
    assert whole(head.lower(), head + b"0\r\n\r\n", len(head))


@pytest.mark.parametrize("tls", [False, True])
def test_a_connection_closed_while_idle_is_no_loss(tmp_path: Path, tls: bool) -> None:
    """The server may close a kept-alive connection that has no request under way."""
    closer = Closer(under_a_request=False, tls=tls)
    with Load(closer.port, folder=tmp_path, kept=4, new=0, pause_ms=100, tls=tls) as load:
        until("connections were used", lambda: load.progress["requests"] > 40)

    assert load.summary["idle_closed"] > 0
    assert len(load.lost()) < load.summary["idle_closed"] / 5


@pytest.mark.parametrize("tls", [False, True])
def test_a_connection_closed_under_a_request_is_a_loss(tmp_path: Path, tls: bool) -> None:
    """The request whose kept-alive connection was closed instead of answered counts as lost."""
    closer = Closer(under_a_request=True, tls=tls)
    with Load(closer.port, folder=tmp_path, kept=4, new=0, tls=tls) as load:
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
