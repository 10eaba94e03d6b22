"""Whether servers take a connection at all, asked by bgd itself just before a colour is decided for.

Rule that lives here: silence is no refusal; a few of many servers are enough to ask.
"""

import socket
from collections.abc import Sequence

from bgd.core.model import Server
from bgd.proxy.names import by_name

A_FEW = 4
CONNECT_S = 0.05


def all_refuse(servers: Sequence[Server]) -> bool:
    """Whether none of a few servers takes a connection: mostly the first one does, which is enough."""
    asked = [server for server in servers if not by_name(server)][:A_FEW]
    if not asked or len(asked) < min(len(servers), A_FEW):
        return False
    return all(_refuses(server) for server in asked)


def _refuses(server: Server) -> bool:
    family = socket.AF_INET6 if ":" in server.address else socket.AF_INET
    with socket.socket(family) as door:
        door.settimeout(CONNECT_S)
        try:
            door.connect((server.address, server.port))
        except TimeoutError:
            return False  # silence is no refusal
        except OSError:
            return True
    return False
