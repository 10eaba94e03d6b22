"""Host names of servers → addresses, for nginx: it would not start while one name cannot be resolved.

Rules that live here: a name that cannot be looked up keeps the address that it had; one without any is a
server that is down; a slow name server holds up nobody for long.
"""

import socket
import threading
import time
from collections.abc import Iterable

from bgd.core.model import Server
from bgd.proxy.names import by_name

FRESH_S = 20.0
LOOKUP_S = 2.0
NOWHERE = "127.0.0.1:1"


class Places:
    """Where servers are, by the newest answers."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, str]] = {}

    def of(self, servers: Iterable[Server]) -> dict[str, str]:
        """Each named server's place, or nowhere."""
        named = {server.address for server in servers if by_name(server)}
        self._look_up({host for host in named if not self._fresh(host)})
        return {
            server.name: f"{address}:{server.port}" if (address := self._address(server)) else NOWHERE
            for server in servers
            if by_name(server)
        }

    def _fresh(self, host: str) -> bool:
        return host in self._known and time.monotonic() - self._known[host][0] < FRESH_S

    def _address(self, server: Server) -> str:
        return self._known.get(server.address, (0.0, ""))[1]

    def _look_up(self, hosts: set[str]) -> None:
        """All at once, and none for longer than its time."""
        asked = [threading.Thread(target=self._ask, args=(host,), daemon=True) for host in hosts]
        until_s = time.monotonic() + LOOKUP_S
        for thread in asked:
            thread.start()
        for thread in asked:
            thread.join(max(0.0, until_s - time.monotonic()))

    def _ask(self, host: str) -> None:
        try:
            family, _, _, _, found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
        except OSError:
            address = self._known.get(host, (0.0, ""))[1]
        else:
            address = f"[{found[0]}]" if family == socket.AF_INET6 else str(found[0])
        self._known[host] = time.monotonic(), address
