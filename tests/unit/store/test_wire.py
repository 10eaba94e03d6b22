"""HTTP as Consul speaks it, and as it does not."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable

import pytest

from bgd.store import wire
from bgd.store.wire import Answer, Connection, WireFault


def served(*pieces: bytes, limit_s: float = 2.0) -> tuple[Connection, Callable[[], Answer]]:
    """A connection whose other side answers with these pieces and then closes."""
    near, far = socket.socketpair()

    def serve() -> None:
        with far, contextlib.suppress(BrokenPipeError):
            far.recv(1000)
            for piece in pieces:
                far.sendall(piece)
                time.sleep(0.005)  # so that pieces arrive as such

    threading.Thread(target=serve, daemon=True).start()
    connection = Connection(near)
    return connection, lambda: connection.exchange(b"GET / HTTP/1.1\r\n\r\n", limit_s)


@pytest.mark.parametrize(
    "pieces",
    [
        [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Consul-Index: 7\r\n\r\nhello"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r", b"\nX-CONSUL-INDEX:7\r\n\r", b"\nhe", b"llo"],
        [
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nx-consul-index: 7\r\ncontent-length: 5\r\n\r\nhello",
        ],
        [
            b"HTTP/1.1 200 OK\r\nX-Consul-Index: 7\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
        ],
        [
            b"HTTP/1.1 200 OK\r\nX-Consul-Index: 7\r\nTransfer-Encoding: chunked\r\n\r\n5\r",
            b"\nhello",
            b"\r\n0\r\n",
            b"\r\n",
        ],
        [b"HTTP/1.0 200 OK\r\nX-Consul-Index: 7\r\n\r\nhel", b"lo"],
    ],
)
def test_an_answer_is_put_together(pieces: list[bytes]) -> None:
    """However an answer is cut into pieces, and whichever way it tells its length, it is the same."""
    _, exchange = served(*pieces)
    answer = exchange()
    assert (answer.status, answer.headers["x-consul-index"], answer.body) == (200, "7", b"hello")


@pytest.mark.parametrize(
    ("answer", "reusable"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\n\r\n", False),
    ],
)
def test_a_connection_is_kept_only_when_it_is_clean(answer: bytes, reusable: bool) -> None:
    """A connection serves again only if its answer told where it ends, and that more may follow."""
    connection, exchange = served(answer)
    exchange()
    assert connection.reusable is reusable


@pytest.mark.parametrize(("more", "still_open"), [(b"", True), (b"unasked", False)])
def test_nothing_unasked_is_taken_for_an_answer(more: bytes, still_open: bool) -> None:
    """A connection on which more is said than was asked for does not serve again, whenever that comes."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    for now, later in ((more, b""), (b"", more)):
        near, far = socket.socketpair()
        with near, far:
            connection = Connection(near)
            for again in (b"", now):
                far.sendall(answer + again)
                connection.exchange(b"GET / HTTP/1.1\r\n\r\n", 2.0)
            far.sendall(later)
            assert connection.still_open() is still_open
            far.close()
            assert not connection.still_open()


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X" * 100_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-9\r\n",
    ],
)
def test_what_is_no_http_is_a_fault(answer: bytes) -> None:
    """An answer that is not HTTP, or without end, is a fault that says so."""
    _, exchange = served(answer)
    with pytest.raises(WireFault, match="not HTTP"):
        exchange()


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel"]
)
def test_an_answer_that_is_cut_is_a_fault(answer: bytes) -> None:
    """A connection that ends within an answer is a fault, and the request may have been seen."""
    _, exchange = served(answer)
    with pytest.raises(WireFault, match="cut") as raised:
        exchange()
    assert (raised.value.sent, raised.value.stale) == (True, False)


@pytest.mark.parametrize("kind", [b"1.0 200 OK\r\n\r\n", b"1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n"])
def test_an_answer_without_end_is_a_fault(kind: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more is read of an answer than could be Consul's, whatever length it tells."""
    monkeypatch.setattr(wire, "_LONGEST", 1 << 20)
    _, exchange = served(b"HTTP/" + kind + bytes(1 << 21))
    with pytest.raises(WireFault, match="not HTTP"):
        exchange()


def test_an_answer_that_trickles_ends_in_time() -> None:
    """The limit is for the whole answer: one that comes byte by byte does not outlast it."""
    _, exchange = served(b"HTTP/1.1 200 OK\r\n", *[b"x"] * 4000, limit_s=0.1)
    began_s = time.monotonic()
    with pytest.raises(WireFault, match="no answer within"):
        exchange()
    assert time.monotonic() - began_s < 10
