"""Where nginx answers bgd: one port of loopback, and an address of its own for each structure and frontend.

Rule that lives here: another structure listens on other addresses, so that one generation of workers cannot
be taken for another, and an address that refuses shows that no worker of its generation accepts any more.
Unix sockets would not do: after a kill -9 nginx does not start while its old socket lies there.
"""

import hashlib
import re
from dataclasses import dataclass

from bgd.proxy import asking

DEADLINE_S = 2.0
NOBODY = "bgd.invalid"
_SPAN = 254 * 256 * 254
_ANSWER = re.compile(r"bgd (\S+) (\w+) (\d+) (\S+)")


@dataclass(frozen=True, slots=True)
class Generation:
    """What a worker says of itself."""

    node: str
    structure: str
    pid: str
    version: str


def address(structure: str, number: int) -> str:
    """The address of a frontend by its number, or with 0 that on which a generation tells its structure."""
    drawn = int.from_bytes(hashlib.sha256(structure.encode()).digest()[:8])
    place, last = divmod((drawn + number) % _SPAN, 254)
    return f"127.{place // 256 + 1}.{place % 256}.{last + 1}"


def generation(structure: str, port: int, deadline_s: float = DEADLINE_S) -> Generation | None:
    """What answers where this structure would; None when nobody is there. Raises OSError."""
    try:
        answer = asking.ask((address(structure, 0), port), NOBODY, "/", deadline_s=deadline_s)
    except ConnectionError:
        return None
    found = _ANSWER.match(answer.body)
    return Generation(*found.groups()) if found else None


def listens(structure: str, port: int) -> bool:
    """Whether anybody still accepts where this structure would. Raises OSError."""
    try:
        asking.knock((address(structure, 0), port), DEADLINE_S).close()
    except ConnectionRefusedError:
        return False
    return True
