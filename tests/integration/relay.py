"""A port of loopback that passes on to Consul what comes, in ways that a test may spoil."""

import contextlib
import socket
import threading
from abc import ABC, abstractmethod

from tests.integration.consul import ConsulServer


class Relay(ABC):
    """Listens; each connection is served in a thread of its own, between its two ends."""

    def __init__(self, server: ConsulServer) -> None:
        self._target = ("127.0.0.1", server.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    @abstractmethod
    def passes(self, near: socket.socket, far: socket.socket) -> None:
        """Pass on what comes, until either end has ended."""

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near, contextlib.suppress(OSError), socket.create_connection(self._target) as far:
            self.passes(near, far)
