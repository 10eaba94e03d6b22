"""What things are called in bgd's part of a configuration."""

import ipaddress

from bgd.core.model import Colour, Server


def backend(app: str, colour: Colour) -> str:
    """The name of a colour's group of servers."""
    return f"{app}_{colour}"


def by_name(server: Server) -> bool:
    """Whether the server is a host name, which a proxy can only resolve at its start."""
    try:
        ipaddress.ip_address(server.address)
    except ValueError:
        return True
    return False
