"""HTTP to Consul: one pool of kept connections, with an end to every wait, that can be cut from outside.

Rules that live here: no proxy, no redirect, no retry, no compression; what an answer's status means for
the caller; that a write without a clear answer is of unknown outcome; a refused token is read anew from
its file once.
"""

import contextlib
import json
import re
import socket
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

from bgd.store.access import Access
from bgd.store.faults import BadSetting, Fault, StoreFault

CONNECT_S = 3.0
READ_S = 10.0
"""A server without a leader says so after 7.4 s; a shorter time would hide that."""
POOL_SIZE = 256
"""Above the number of watches, so that none of them has to connect anew after each answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What Consul said to a call that it has carried out, or (404) found nothing for."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """Calls to one Consul, from any number of threads."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._token = access.read_token()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._closed = threading.Event()
        self._pool = self._make_pool()

    def call(self, method: str, url: str, body: bytes | None = None, *, read_s: float = READ_S) -> Answer:
        """One call; raises StoreFault unless it was carried out or found nothing."""
        answer = self._once(method, url, body, read_s)
        if _denied(answer) and self._token_was_replaced():
            answer = self._once(method, url, body, read_s)
        fault = _fault(answer, writes=method != "GET")
        if fault is not None:
            raise StoreFault(fault, f"{self._tried(method, url)}: {answer.status} {_said(answer)}")
        return answer

    def close(self) -> None:
        """End every call that is under way, in whichever thread, and refuse all further ones."""
        self._closed.set()
        for each in list(self._sockets):
            with contextlib.suppress(OSError):  # closed already
                # Not each.shutdown: that of a TLS socket takes the session from under its reader.
                socket.socket.shutdown(each, socket.SHUT_RDWR)
        self._pool.close()

    def _once(self, method: str, url: str, body: bytes | None, read_s: float) -> Answer:
        if self._closed.is_set():
            raise StoreFault(Fault.LOST, f"{self._tried(method, url)}: we are closing")
        try:
            answer = self._pool.urlopen(
                method,
                url,
                body=body,
                headers=self._headers(),
                retries=False,
                redirect=False,
                assert_same_host=False,
                timeout=urllib3.Timeout(connect=CONNECT_S, read=read_s),
            )
        except (HTTPError, OSError) as error:
            raise self._failed(method, url, error) from error
        return Answer(answer.status, answer.headers, answer.data)

    def _failed(self, method: str, url: str, error: Exception) -> StoreFault:
        never_sent = isinstance(error, NewConnectionError | ConnectTimeoutError | SSLError)
        kind = Fault.LOST if method == "GET" or never_sent else Fault.UNKNOWN
        return StoreFault(kind, f"{self._tried(method, url)}: {_cause(error)}")

    def _tried(self, method: str, url: str) -> str:
        return f"{method} {url.partition('?')[0]} on {self._access.place}"

    def _headers(self) -> dict[str, str]:
        headers = {}
        if self._token:
            headers["X-Consul-Token"] = self._token
        if self._access.login:
            headers["Authorization"] = self._access.login
        return headers

    def _token_was_replaced(self) -> bool:
        try:
            fresh = self._access.read_token()
        except BadSetting:
            return False  # being replaced just now; the next refusal asks again
        replaced, self._token = fresh != self._token, fresh
        return replaced

    # -- connections ----------------------------------------------------------------------------

    def _make_pool(self) -> urllib3.HTTPConnectionPool:
        place, tls = self._access.place, self._access.tls
        host, port = place.host or "localhost", place.port or None
        if tls is None:
            pool = urllib3.HTTPConnectionPool(host, port, maxsize=POOL_SIZE)
        else:
            named: dict[str, Any] = {"ssl_context": tls, "cert_reqs": tls.verify_mode}
            if not tls.check_hostname:
                named["assert_hostname"] = False
            if self._access.tls_name:
                named["server_hostname"] = self._access.tls_name
            pool = urllib3.HTTPSConnectionPool(host, port, maxsize=POOL_SIZE, **named)
        pool.ConnectionCls = _connection(place.socket_path, tls=place.tls, opened=self._opened)
        return pool

    def _opened(self, sock: socket.socket) -> None:
        self._sockets.add(sock)
        if self._closed.is_set():  # it was being opened while the others were cut
            socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _connection(socket_path: str, *, tls: bool, opened: Callable[[socket.socket], None]) -> Any:
    """The pool's class of connections: one that says which socket it opened."""
    base: Any = HTTPSConnection if tls else HTTPConnection

    class Connection(base):  # type: ignore[misc]
        def connect(self) -> None:
            super().connect()
            opened(self.sock)

        def _new_conn(self) -> socket.socket:
            if not socket_path:
                made: socket.socket = super()._new_conn()
                return made
            return _connect_unix(self, socket_path)

    return Connection


def _connect_unix(connection: HTTPConnection, path: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.settimeout(CONNECT_S)
    try:
        made.connect(path)
    except OSError as error:
        made.close()
        raise NewConnectionError(connection, f"{path}: {error.strerror or error}") from error
    return made


def _denied(answer: Answer) -> bool:
    return answer.status == 403 or (answer.status == 409 and b"ermission denied" in answer.body)


def _fault(answer: Answer, *, writes: bool) -> Fault | None:
    """What a status means; None: all is well, or there is nothing."""
    status = answer.status
    if status == 200 or status == 404:
        return None
    if _denied(answer):
        return Fault.DENIED
    if status == 409:
        return _of_a_lost_transaction(answer.body)
    if status == 400:
        return Fault.REFUSED
    # Through a follower, a write that was carried out can end with 500 when the leader dies.
    return Fault.UNKNOWN if writes and status >= 500 else Fault.LOST


def _of_a_lost_transaction(body: bytes) -> Fault:
    """Whether somebody was faster; 409 is how Consul says all else about a transaction, too."""
    words = (b"index is stale", b"exists", b"doesn't exist", b"current modify index", b"already held")
    return Fault.CONFLICT if any(word in body for word in words) else Fault.LOST


def _said(answer: Answer) -> str:
    """An answer's words in one short line."""
    if 300 <= answer.status < 400:
        return f"sends us to {answer.headers.get('Location', '')[:200]!r}: is this address Consul's?"
    try:
        words = "; ".join(error["What"] for error in json.loads(answer.body)["Errors"])
    except (ValueError, TypeError, KeyError):
        words = answer.body[:400].decode(errors="replace")
    return " ".join(words.split())[:200]


def _cause(error: Exception) -> str:
    match error:
        case ReadTimeoutError():
            return "no answer in time"
        case NewConnectionError():
            return re.sub(r"^\[Errno \d+\] ", "", str(error).rpartition(": ")[2])
        case ConnectTimeoutError():
            return f"no connection within {CONNECT_S:g} s"
        case ProtocolError():
            return "the connection was cut"
    return str(error)[:200]
