"""/healthz, /status and /metrics on the address that `[status] listen` names.

A client gets one answer within `CLIENT_S`, on a thread of its own. When too many are there at once, the
one that has been there longest has to go: nobody who only holds a connection keeps others out.
"""

import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus

from prometheus_client.exposition import choose_encoder

from bgd.status import http1
from bgd.status.board import Board
from bgd.status.http1 import Answer, Request, sentence
from bgd.status.listener import listening

CLIENT_S = 5.0
CLIENTS_AT_ONCE = 16
PAUSE_S = 0.1
"""So long nobody is accepted after the host had no descriptor or thread left for a client."""

Healthy = Callable[[], tuple[bool, str]]


class StatusServer:
    """Answers from `start` to `close`; with an empty `listen` it does nothing."""

    def __init__(self, listen: str, board: Board, healthy: Healthy) -> None:
        self._listen, self._board, self._healthy = listen, board, healthy
        self._listener: socket.socket | None = None
        self._thread = threading.Thread(target=self._accept, name="status", daemon=True)
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._clients: dict[socket.socket, None] = {}  # in the order in which they came

    @property
    def address(self) -> tuple[str, int] | None:
        """Where it listens, once it does."""
        if self._listener is None:
            return None
        host, port = self._listener.getsockname()[:2]
        return host, port

    @property
    def clients(self) -> int:
        """So many are being served now."""
        return len(self._clients)

    def start(self) -> None:
        """Listen. Raises CannotListen, an operator's problem with its place and cure."""
        if self._listen:
            self._listener = listening(self._listen)
            self._thread.start()

    def close(self) -> None:
        """Stop listening and let go of every client."""
        self._closing.set()
        if self._listener is None:
            return
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in accept
        self._thread.join(CLIENT_S)
        self._listener.close()
        with self._lock:
            for client in self._clients:
                _cut(client)

    # -- clients --------------------------------------------------------------------------------

    def _accept(self) -> None:
        assert self._listener is not None
        while not self._closing.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                self._closing.wait(PAUSE_S)
                continue
            self._welcome(client)

    def _welcome(self, client: socket.socket) -> None:
        with self._lock:
            if len(self._clients) >= CLIENTS_AT_ONCE:
                _cut(next(iter(self._clients)))
            self._clients[client] = None
        try:
            threading.Thread(target=self._serve, args=(client,), name="status-client", daemon=True).start()
        except RuntimeError:  # the host has no thread left
            self._part(client)
            self._closing.wait(PAUSE_S)

    def _serve(self, client: socket.socket) -> None:
        try:
            http1.converse(client, self.answer, time.monotonic() + CLIENT_S)
        except OSError:
            pass  # a client that is gone or too slow is nobody's trouble but its own
        finally:
            self._part(client)

    def _part(self, client: socket.socket) -> None:
        with self._lock:
            self._clients.pop(client, None)
            client.close()

    # -- answers --------------------------------------------------------------------------------

    def answer(self, request: Request) -> Answer:
        """What is said to a request."""
        pages = {"/healthz": self._health, "/status": self._status, "/metrics": self._metrics}
        page = pages.get(request.path)
        if page is None:
            return sentence(HTTPStatus.NOT_FOUND, f"There is nothing here; there are {', '.join(pages)}.")
        if request.method not in ("GET", "HEAD"):
            return sentence(HTTPStatus.METHOD_NOT_ALLOWED, "This can only be read.", allow="GET, HEAD")
        return page(request)

    def _health(self, _: Request) -> Answer:
        well, why = self._healthy()
        return sentence(HTTPStatus.OK, "ok") if well else sentence(HTTPStatus.SERVICE_UNAVAILABLE, why)

    def _status(self, _: Request) -> Answer:
        told = {"schema": 1, "node": self._board.node, "apps": self._board.reports()}
        body = json.dumps(told, ensure_ascii=False).encode()
        return Answer(HTTPStatus.OK, body + b"\n", "application/json")

    def _metrics(self, request: Request) -> Answer:
        encode, kind = choose_encoder(request.accept)
        return Answer(HTTPStatus.OK, encode(self._board.registry), kind)


def _cut(client: socket.socket) -> None:
    with suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)
