"""Addresses that a text would bind anew and that the host does not give: somebody else has them.

Rule that lives here: a reload that must fail is not ordered. An HAProxy that cannot bind an address has
its old worker let go of all of its own, and tries again for a second, in which every new connection is
refused; nginx tries for some seconds too.
"""

import socket
from collections.abc import Iterable
from contextlib import suppress


def refused(claims: Iterable[str], standing: Iterable[str]) -> str | None:
    """The first claim ("host:port") that cannot be bound, with why. What stands has its own already."""
    ports = {claim.rpartition(":")[2] for claim in standing}
    for claim in claims:
        host, _, port = claim.rpartition(":")
        if host and port not in ports and (why := _why_not(host, int(port))):
            return f"cannot bind {claim}: {why}"
    return None


def _why_not(host: str, port: int) -> str | None:
    """As a proxy binds it. Without the right to, nothing is known: that is for the proxy to find out."""
    address = host.strip("[]") if host != "*" else "0.0.0.0"  # noqa: S104  it is tried and let go
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                tried.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            tried.bind((address, port))
    except (PermissionError, socket.gaierror):
        return None
    except OSError as error:
        return error.strerror or str(error)
    return None
