"""Host names → addresses, looked up aside, so that a slow name server holds up nobody.

A name that does not exist is its backend's fault. A name server that cannot be asked is not: what was
found last then goes on to count, and without it nothing is known.
"""

import socket
import threading
from dataclasses import dataclass

from bgd.host.attempt import Ended, Outcome, Place, Trouble

FRESH_S = 10.0
"""So long an answer is taken as it is before the name is looked up again."""
UNUSED_S = 600.0
LOOKUPS_AT_ONCE = 16

_NO_SUCH_NAME = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))


@dataclass(slots=True)
class _Name:
    answer: tuple[int, str] | Outcome | None = None
    looked_up_s: float | None = None
    wanted_s: float = 0.0
    running: bool = False


class Names:
    """The names that probes go to. One thread asks; a thread of its own looks up each name."""

    def __init__(self) -> None:
        self._names: dict[str, _Name] = {}

    def place(self, host: str, port: int, now_s: float) -> Place | Outcome | None:
        """Where a host is by the newest answer; None while there is none yet."""
        name = self._names.get(host) or self._add(host, now_s)
        name.wanted_s = now_s
        stale = name.looked_up_s is None or now_s - name.looked_up_s > FRESH_S
        if stale and not name.running and self._running() < LOOKUPS_AT_ONCE:
            name.running, name.looked_up_s = True, now_s
            threading.Thread(target=_look_up, args=(host, name), name="name", daemon=True).start()
        if not isinstance(name.answer, tuple):
            return name.answer
        family, address = name.answer
        return Place(family, (address, port))

    def _add(self, host: str, now_s: float) -> _Name:
        for unused in [each for each, name in self._names.items() if now_s - name.wanted_s > UNUSED_S]:
            del self._names[unused]
        return self._names.setdefault(host, _Name())

    def _running(self) -> int:
        return sum(name.running for name in self._names.values())


def literal(address: str, port: int) -> Place | None:
    """The place of an IP address; None for a host name."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, address)
        except (OSError, ValueError):
            continue
        return Place(family, (address, port))
    return None


def _look_up(host: str, name: _Name) -> None:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
        name.answer = family, str(address[0])
    except UnicodeError:
        name.answer = Ended(False, f"{host} is no host name")
    except socket.gaierror as error:
        if error.errno in _NO_SUCH_NAME:
            name.answer = Ended(False, f"no address for {host}: {error.strerror}")
        elif not isinstance(name.answer, tuple):
            name.answer = Trouble(f"cannot look up {host}: {error.strerror}")
    except OSError as error:
        if not isinstance(name.answer, tuple):
            name.answer = Trouble(f"cannot look up {host}: {error.strerror}")
    finally:
        name.running = False
