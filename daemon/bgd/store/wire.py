"""One connection to Consul: made as `access` says, read by the standard library, each wait with an end.

Rules that live here: the time limit is for a whole answer, and so is the bound on its length; what a
connection leaves unclear is a fault, and whether Consul may have seen the request is told with it.
Only the reading is `http.client`'s: its connection would send a request's head and body apart, open
itself anew unasked, and let go of a socket that `close` must still be able to cut.
"""

import io
import socket
import ssl
import time
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import cast

from bgd.store.access import Access

_PIECE = 1 << 14
_LONGEST = 1 << 26


class WireFault(Exception):
    """The exchange did not come to its end. `sent`: Consul may have seen the request."""

    def __init__(self, what: str, *, sent: bool, stale: bool = False) -> None:
        super().__init__(what)
        self.sent = sent
        self.stale = stale
        """A kept connection that ended before it answered: the other side had closed it long ago."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What Consul said; a header is found however its name is written."""

    status: int
    headers: HTTPMessage
    body: bytes


def connect(access: Access, limit_s: float) -> socket.socket:
    """A connection that has shown its certificate, where one is asked for."""
    place = access.place
    try:
        if place.socket_path:
            return _connect_unix(place.socket_path, limit_s)
        sock = socket.create_connection((place.host.strip("[]"), place.port), limit_s)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if access.tls is None:
            return sock
        return access.tls.wrap_socket(sock, server_hostname=access.tls_name or place.host.strip("[]"))
    except TimeoutError as error:
        raise WireFault(f"no connection within {limit_s:g} s", sent=False) from error
    except (OSError, ValueError) as error:
        raise WireFault(_words(error), sent=False) from error


def _connect_unix(path: str, limit_s: float) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(limit_s)
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock


class Connection:
    """One kept connection, for one exchange at a time."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._line = _Line(sock)
        self._reader = _Reader(self._line, _PIECE)
        self._used = False
        self.reusable = False

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Where `http.client` reads: the same place for every answer, so that nothing is lost between."""
        return self._reader

    def still_open(self) -> bool:
        """Whether the last answer ended cleanly and the other side has neither closed nor said more."""
        self._line.until_s = None
        try:
            self._reader.peek(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return self.reusable
        except (OSError, EOFError):
            pass
        return False

    def exchange(self, request: bytes, limit_s: float) -> Answer:
        """One request and its whole answer, within the limit."""
        self._line.begin(limit_s)
        self.reusable = False
        try:
            self.sock.settimeout(limit_s)
            self.sock.sendall(request)
            answer = self._answer()
        except TimeoutError as error:
            raise WireFault(f"no answer within {limit_s:g} s", sent=True) from error
        except (OSError, EOFError) as error:
            stale = self._used and self._line.untouched
            raise WireFault(f"the connection was cut: {_words(error)}", sent=True, stale=stale) from error
        except (HTTPException, ValueError, OverflowError, MemoryError) as error:
            raise WireFault("the answer is not HTTP", sent=True) from error
        self._used = True
        return answer

    def _answer(self) -> Answer:
        response = HTTPResponse(cast(socket.socket, self))
        response.begin()
        if response.length is None and not response.chunked:
            if "content-length" in response.headers:
                raise ValueError("no length")
            self._line.may_end = True
        if (response.length or 0) > _LONGEST:  # Pythons differ in what they make of a length beyond all sizes
            raise ValueError("too long")
        body = response.read()
        self.reusable = not response.will_close
        return Answer(response.status, response.headers, body)


class _Line(io.RawIOBase):
    """The socket as it is read: in the time that is left, to a bound, to an end only where one may be."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.until_s: float | None = None
        """Until when to wait; None: not at all."""
        self.begin(0)

    def begin(self, limit_s: float) -> None:
        """What comes from now on is a new answer."""
        self.until_s, self._left, self.may_end = time.monotonic() + limit_s, _LONGEST, False

    @property
    def untouched(self) -> bool:
        """Whether nothing of the answer has come."""
        return self._left == _LONGEST

    def readable(self) -> bool:
        return True

    def readinto(self, piece: memoryview) -> int:  # type: ignore[override]  # of all buffers, the one that is given
        self._sock.settimeout(self._left_s())
        size = self._sock.recv_into(piece)
        if not size and not self.may_end:
            raise EOFError("no more comes")
        self._left -= size
        if self._left < 0:
            raise ValueError("too long")
        return size

    def _left_s(self) -> float:
        if self.until_s is None:
            return 0
        left_s = self.until_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s


class _Reader(io.BufferedReader):
    """`http.client` closes what it has read an answer from; a kept connection reads on."""

    def close(self) -> None:
        pass


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS: {getattr(error, 'verify_message', '') or error.reason or error}"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
