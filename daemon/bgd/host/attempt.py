"""One probe on one socket that never blocks: connect, ask, read the status line.

Whose fault an error is gets decided here. What the kernel refuses because *this* host has run out of
something, or forbids it, is the prober's own trouble and says nothing about the backend.
"""

import errno
import os
import select
import socket
from dataclasses import dataclass

from bgd.host import http1

SockAddress = tuple[str, int] | tuple[str, int, int, int]

_OWN = frozenset(
    {
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.ENOSPC,
        errno.EAGAIN,  # no local port is left, as connect says it
        errno.EADDRNOTAVAIL,
        errno.EACCES,  # this host's own firewall
        errno.EPERM,
        errno.EAFNOSUPPORT,
        errno.EINVAL,
    }
)
_READABLE = select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR


@dataclass(frozen=True, slots=True)
class Place:
    """Where a probe connects to."""

    family: int
    address: SockAddress


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a backend. `request` empty: a connection is answer enough."""

    place: str
    request: bytes
    expect: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """The backend's word."""

    ok: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Trouble:
    """The prober's own: nothing is known about the backend."""

    detail: str


Outcome = Ended | Trouble
PASSED = Ended(True)


class Attempt:
    """A probe under way."""

    __slots__ = ("_question", "_received", "_socket", "asked")

    def __init__(self, question: Question, sock: socket.socket) -> None:
        self._question, self._socket = question, sock
        self._received = b""
        self.asked = False
        """The connection stands and the request is out."""

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def step(self, ready: int) -> Outcome | None:
        """Go on as far as the socket lets; `ready` is what epoll says of it."""
        try:
            if not self.asked and not self._question.request:
                return self._connected()
            if not self.asked:
                self._socket.send(self._question.request)
                self.asked = True
            return self._read() if ready & _READABLE else None
        except BlockingIOError:
            return None
        except OSError as error:
            return _fault(self._question, error.errno or 0)

    def _connected(self) -> Outcome:
        number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return _fault(self._question, number) if number else PASSED

    def _read(self) -> Outcome:
        """Read until the line ends, or until the socket has no more for now (which is raised)."""
        while True:
            piece = self._socket.recv(http1.LINE_BYTES)
            if not piece:
                return Ended(False, f"{self._question.place} closed without an answer")
            self._received += piece
            try:
                status = http1.status(self._received)
            except http1.NotHttp:
                return Ended(False, f"{self._question.place} does not answer in HTTP/1")
            if status is not None:
                return self._judge(status)

    def _judge(self, status: int) -> Ended:
        if any(low <= status <= high for low, high in self._question.expect):
            return PASSED
        return Ended(False, f"{status} from {self._question.place}")


def begin(question: Question, place: Place) -> Attempt | Outcome:
    """Start to connect; an outcome when it is over already."""
    try:
        kind = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        sock = socket.socket(place.family, kind)
    except OSError as error:
        return Trouble(f"no socket: {error.strerror}")
    number = sock.connect_ex(place.address)
    if number in (0, errno.EINPROGRESS):
        return Attempt(question, sock)
    sock.close()
    return _fault(question, number)


def _fault(question: Question, number: int) -> Outcome:
    if number in _OWN:
        return Trouble(f"cannot connect from here: {os.strerror(number)}")
    if number == errno.ECONNREFUSED:
        return Ended(False, f"connection refused by {question.place}")
    return Ended(False, f"{os.strerror(number).lower()}: {question.place}")
