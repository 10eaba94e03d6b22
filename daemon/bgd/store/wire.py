"""HTTP/1.1 over one connection to Consul: as little of it as Consul speaks, with an end to every wait.

Our own, because what stands between a written key and a flipped proxy is mostly this: a general HTTP
library needs longer to read an answer's headers than Consul needs to notice the change.
"""

import contextlib
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass

from bgd.store.access import Access

_PIECE = 1 << 14
_LONGEST_HEAD = 1 << 16
_LONGEST_BODY = 1 << 26


class WireFault(Exception):  # noqa: N818 (the world's, not ours)
    """The exchange did not come to its end. `sent`: Consul may have seen the request."""

    def __init__(self, what: str, *, sent: bool, stale: bool = False) -> None:
        super().__init__(what)
        self.sent = sent
        self.stale = stale
        """A kept connection that ended before it answered: the other side had closed it long ago."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What Consul said; header names in small letters."""

    status: int
    headers: Mapping[str, str]
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
        self._read = bytearray()
        self._piece = memoryview(bytearray(_PIECE))
        self._deadline_s = 0.0
        self._used = False
        self.reusable = True

    def still_open(self) -> bool:
        """Whether the other side has neither closed it nor said anything unasked."""
        self.sock.settimeout(0)
        try:
            self.sock.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return self.reusable
        except OSError:
            pass
        return False

    def exchange(self, request: bytes, limit_s: float) -> Answer:
        """One request and its whole answer, within the limit."""
        self._deadline_s = time.monotonic() + limit_s
        self.reusable = False
        try:
            self.sock.settimeout(limit_s)
            self.sock.sendall(request)
            answer = self._answer()
        except TimeoutError as error:
            raise WireFault(f"no answer within {limit_s:g} s", sent=True) from error
        except (OSError, EOFError) as error:
            stale = self._used and not self._read
            raise WireFault(f"the connection was cut: {_words(error)}", sent=True, stale=stale) from error
        except (ValueError, IndexError, OverflowError) as error:
            raise WireFault("the answer is not HTTP", sent=True) from error
        self._used = True
        return answer

    def _answer(self) -> Answer:
        status = 100
        while status < 200:
            end = self._find(b"\r\n\r\n", _LONGEST_HEAD)
            status, version, headers = _head(bytes(self._read[:end]))
            del self._read[: end + 4]
        body, ended = self._body(status, headers)
        lasting = version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
        self.reusable = lasting and not ended and not self._read
        return Answer(status, headers, body)

    def _body(self, status: int, headers: Mapping[str, str]) -> tuple[bytes, bool]:
        """The body, and whether the connection has ended with it."""
        if status in (204, 304):
            return b"", False
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return self._chunks(), False
        if "content-length" in headers:
            return self._take(int(headers["content-length"])), False
        return self._rest(), True

    def _chunks(self) -> bytes:
        whole = bytearray()
        while True:
            end = self._find(b"\r\n", _LONGEST_HEAD)
            size = int(bytes(self._read[:end]).partition(b";")[0], 16)
            del self._read[: end + 2]
            if not size:
                self._find(b"\r\n", _LONGEST_HEAD)  # Consul sends no trailers
                del self._read[:2]
                return bytes(whole)
            whole += self._take(size + 2)[:-2]
            if len(whole) > _LONGEST_BODY:
                raise ValueError("too long")

    def _find(self, mark: bytes, limit: int) -> int:
        """Where the mark stands, read on until it does."""
        start = 0
        while (found := self._read.find(mark, start)) < 0:
            if len(self._read) > limit:
                raise ValueError("too long")
            start = max(0, len(self._read) - len(mark))
            self._receive()
        return found

    def _take(self, size: int) -> bytes:
        if not 0 <= size <= _LONGEST_BODY:
            raise ValueError("too long")
        while len(self._read) < size:
            self._receive()
        taken = bytes(self._read[:size])
        del self._read[:size]
        return taken

    def _rest(self) -> bytes:
        """All until the other side closes."""
        with contextlib.suppress(EOFError):
            while len(self._read) <= _LONGEST_BODY:
                self._receive()
            raise ValueError("too long")
        return self._take(len(self._read))

    def _receive(self) -> None:
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        self.sock.settimeout(left_s)
        size = self.sock.recv_into(self._piece)
        if not size:
            raise EOFError
        self._read += self._piece[:size]


def _head(head: bytes) -> tuple[int, str, dict[str, str]]:
    status_line, *lines = head.decode("latin-1").split("\r\n")
    version, status = status_line.split(" ", 2)[:2]
    if not version.startswith("HTTP/1."):
        raise ValueError(version)
    pairs = (line.partition(":") for line in lines)
    return int(status), version, {name.lower(): value.strip() for name, _, value in pairs}


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS: {getattr(error, 'verify_message', '') or error.reason or error}"
    if isinstance(error, EOFError):
        return "no more comes"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
