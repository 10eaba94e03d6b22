"""What a probe asks, and which bytes it takes for an answer."""

import pytest

from bgd.host.http1 import LINE_BYTES, NotHttp, request, status


def test_request() -> None:
    """A probe is a GET that names the host, and asks for the connection to be closed."""
    lines = request("/health?deep=1", "shop.example").split(b"\r\n")

    assert lines[0] == b"GET /health?deep=1 HTTP/1.1"
    assert b"Host: shop.example" in lines
    assert b"Connection: close" in lines
    assert any(line.startswith(b"User-Agent: bgd/") for line in lines)
    assert lines[-2:] == [b"", b""]


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\n", 200),
        (b"HTTP/1.0 503 Service Unavailable\r\nServer: x\r\n\r\nbody", 503),
        (b"HTTP/1.1 204\r\n", 204),
        (b"HTTP/1.1 404 \r\n", 404),
        (b"HTTP/1.1 200 Sch\xc3\xb6n\n", 200),
    ],
)
def test_status(received: bytes, expected: int) -> None:
    """The status is known as soon as its line has ended, with or without a reason."""
    assert status(received) == expected


def test_a_status_line_in_pieces() -> None:
    """As long as the line has not ended nothing is known."""
    line = b"HTTP/1.1 200 OK\r\n"

    assert [status(line[:end]) for end in range(len(line))] == [None] * len(line)


@pytest.mark.parametrize(
    "received",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"S",
        b"HTTP/2 200\r\n",
        b"HTTP/1.2 200 OK\r\n",
        b"HTTP/1.1  200 OK\r\n",
        b"HTTP/1.1 20 OK\r\n",
        b"HTTP/1.1 2000 OK\r\n",
        b"HTTP/1.1 600 What\r\n",
        b"HTTP/1.1 200OK\r\n",
        b"http/1.1 200 OK\r\n",
        b"HTTP/1.1 200 O\0K\r\n",
        b"\r\nHTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 " + b"x" * LINE_BYTES,
    ],
)
def test_no_status(received: bytes) -> None:
    """Anything but an HTTP/1 status line of bounded length is no answer."""
    with pytest.raises(NotHttp):
        status(received)
