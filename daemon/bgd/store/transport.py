"""Calls to Consul from any number of threads, over kept connections, that can be cut from outside.

Rules that live here: no proxy, no redirect; a read is repeated once when a kept connection turns out to
have been closed, a write never; what an answer's status means for the caller; that a write without a
clear answer is of unknown outcome; a refused token is read anew from its file once.
"""

import contextlib
import json
import socket
import threading

from bgd.store.access import Access
from bgd.store.faults import BadSetting, Fault, StoreFault
from bgd.store.wire import Answer, Connection, WireFault, connect

CONNECT_S = 3.0
READ_S = 10.0
"""A server without a leader says so after 7.4 s; a shorter time would hide that."""
KEPT_IDLE = 8
"""Connections to keep that nobody uses. Those of waiting watches are in use, however many they are."""


class Transport:
    """One Consul."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._token = access.read_token()
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._closed = False

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
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for each in idle:
            self._drop(each)
        for each in list(self._open):
            _cut(each.sock)

    def _once(self, method: str, url: str, body: bytes | None, read_s: float) -> Answer:
        request = self._request(method, url, body)
        try:
            try:
                return self._exchange(self._connection(), request, read_s)
            except WireFault as fault:
                if method != "GET" or not fault.stale:
                    raise
            return self._exchange(self._new_connection(), request, read_s)
        except WireFault as fault:
            kind = Fault.UNKNOWN if fault.sent and method != "GET" else Fault.LOST
            raise StoreFault(kind, f"{self._tried(method, url)}: {fault}") from fault

    def _request(self, method: str, url: str, body: bytes | None) -> bytes:
        place, lines = self._access.place, [f"{method} {url} HTTP/1.1"]
        lines.append(f"Host: {f'{place.host}:{place.port}' if place.host else 'localhost'}")
        if self._token:
            lines.append(f"X-Consul-Token: {self._token}")
        if self._access.login:
            lines.append(f"Authorization: {self._access.login}")
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode() + (body or b"")

    def _tried(self, method: str, url: str) -> str:
        return f"{method} {url.partition('?')[0]} on {self._access.place}"

    def _token_was_replaced(self) -> bool:
        try:
            fresh = self._access.read_token()
        except BadSetting:
            return False  # being replaced just now; the next refusal asks again
        replaced, self._token = fresh != self._token, fresh
        return replaced

    # -- connections ----------------------------------------------------------------------------

    def _exchange(self, connection: Connection, request: bytes, read_s: float) -> Answer:
        try:
            answer = connection.exchange(request, read_s)
        except WireFault:
            self._drop(connection)
            raise
        with self._lock:
            if connection.reusable and not self._closed and len(self._idle) < KEPT_IDLE:
                self._idle.append(connection)
                return answer
        self._drop(connection)
        return answer

    def _connection(self) -> Connection:
        while True:
            with self._lock:
                kept = self._idle.pop() if self._idle else None
            if kept is None:
                return self._new_connection()
            if kept.still_open():
                return kept
            self._drop(kept)

    def _new_connection(self) -> Connection:
        if self._closed:
            raise WireFault("we are closing", sent=False)
        made = Connection(connect(self._access, CONNECT_S))
        with self._lock:
            self._open.add(made)
            closed = self._closed
        if closed:  # it was being opened while the others were cut
            _cut(made.sock)
        return made

    def _drop(self, connection: Connection) -> None:
        with self._lock:
            self._open.discard(connection)
        connection.sock.close()


def _cut(sock: socket.socket) -> None:
    """End a socket's call, whichever thread waits in it."""
    with contextlib.suppress(OSError):  # closed already
        # Not sock.shutdown: that of a TLS socket takes the session from under its reader.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


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
    words = (
        b"index is stale",
        b"exists",
        b"doesn't exist",
        b"current modify index",
        b"already held",
        b"session check",
    )
    return Fault.CONFLICT if any(word in body for word in words) else Fault.LOST


def _said(answer: Answer) -> str:
    """An answer's words in one short line."""
    if 300 <= answer.status < 400:
        return f"sends us to {answer.headers.get('location', '')[:200]!r}: is this address Consul's?"
    try:
        words = "; ".join(error["What"] for error in json.loads(answer.body)["Errors"])
    except (ValueError, TypeError, KeyError):
        words = answer.body[:400].decode(errors="replace")
    return " ".join(words.split())[:200]
