"""As much of HTTP/1.1 as a read-only status needs: one request with a bounded head, one answer, the end.

Every connection has one deadline for all it does, so that a slow client costs its own time only.
"""

import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus

HEAD_BYTES = 8192
LINGER_BYTES = 65536
ANSWER_S = 1.0
"""The end of its time that is kept for the answer."""
PLAIN = "text/plain; charset=utf-8"

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP/1\.[0-9]")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked. `path` is without its query."""

    method: str
    path: str
    accept: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered; `text` is one sentence where something is wrong."""

    status: HTTPStatus
    body: bytes
    kind: str = PLAIN
    allow: str = ""


def sentence(status: HTTPStatus, text: str, allow: str = "") -> Answer:
    """An answer for a person."""
    return Answer(status, f"{text}\n".encode(), PLAIN, allow)


def converse(sock: socket.socket, answer: Callable[[Request], Answer], deadline_s: float) -> None:
    """Read one request, answer it, and wait a little for the client to have read that."""
    given = _read(sock, deadline_s - ANSWER_S)
    if given is None:
        return
    said = answer(given) if isinstance(given, Request) else given
    body_wanted = not (isinstance(given, Request) and given.method == "HEAD")
    _in_time(sock, deadline_s)
    sock.sendall(_head(said) + (said.body if body_wanted else b""))
    sock.shutdown(socket.SHUT_WR)
    _linger(sock, deadline_s)


def _read(sock: socket.socket, deadline_s: float) -> Request | Answer | None:
    """The request, or what is wrong with it; None when none came."""
    received = b""
    while not (end := _END_OF_HEAD.search(received)):
        if len(received) >= HEAD_BYTES:
            return sentence(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"Send at most {HEAD_BYTES} bytes.")
        try:
            _in_time(sock, deadline_s)
            piece = sock.recv(HEAD_BYTES - len(received))
        except TimeoutError:
            return sentence(HTTPStatus.REQUEST_TIMEOUT, "The request did not come in time.")
        if not piece:
            return None
        received += piece
    return _parse(received[: end.start()])


def _parse(head: bytes) -> Request | Answer:
    line, *fields = re.split(rb"\r?\n", head)
    found = _REQUEST_LINE.fullmatch(line)
    if not found:
        return sentence(HTTPStatus.BAD_REQUEST, "This is not an HTTP/1 request.")
    accept = next((value for name, colon, value in map(_field, fields) if name == "accept"), "")
    return Request(found[1].decode(), found[2].decode().partition("?")[0], accept)


def _field(line: bytes) -> tuple[str, str, str]:
    name, colon, value = line.decode("latin-1").partition(":")
    return name.strip().lower(), colon, value.strip()


def _head(said: Answer) -> bytes:
    fields = {
        "Date": formatdate(usegmt=True),
        "Content-Type": said.kind,
        "Content-Length": str(len(said.body)),
        "Cache-Control": "no-store",
        "Connection": "close",
    }
    if said.allow:
        fields["Allow"] = said.allow
    lines = [f"HTTP/1.1 {said.status.value} {said.status.phrase}"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")


def _linger(sock: socket.socket, deadline_s: float) -> None:
    """Take in what the client still sends: closing over unread bytes would tear up the answer."""
    left = LINGER_BYTES
    while left > 0:
        _in_time(sock, deadline_s)
        piece = sock.recv(4096)
        if not piece:
            return
        left -= len(piece)


def _in_time(sock: socket.socket, deadline_s: float) -> None:
    """Let the next wait end with the deadline."""
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    sock.settimeout(left_s)
