"""`[status] listen` → a listening socket, or a problem that its operator can cure."""

import errno
import socket

BACKLOG = 64
PLACE = "status.listen"

_CURES = {
    errno.EADDRINUSE: "stop what listens there, or choose another port",
    errno.EADDRNOTAVAIL: "choose an address of this host",
    errno.EACCES: "choose a port from 1024 up",
}
_ANOTHER = "choose another address"


class CannotListen(Exception):
    """Nothing can listen there."""

    def __init__(self, what: str, cure: str) -> None:
        super().__init__(f"{PLACE}: {what}; {cure}")
        self.place, self.what, self.cure = PLACE, what, cure


def listening(listen: str) -> socket.socket:
    """Listen on "host:port", an IPv6 address in brackets."""
    host, _, port = listen.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise CannotListen(
            f'"{listen}" is no address of this host: {error}', _CURES[errno.EADDRNOTAVAIL]
        ) from None
    family, kind, protocol, _, address = found[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        what = f'cannot listen on "{listen}": {(error.strerror or str(error)).lower()}'
        raise CannotListen(what, _CURES.get(error.errno or 0, _ANOTHER)) from None
    return sock
