"""One connection of the load client, opened when it is needed, over TCP or TLS.

It hides how sockets that never wait are read and how a handshake goes on; what comes of the connection is
told to `begin`, `take`, `closed` and `fail`.
"""

import select
import socket
import ssl
from typing import Any

READ_BYTES = 65536
# Told once, edge by edge: a request then costs no change of the poll set.
EVENTS = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
IP_BIND_ADDRESS_NO_PORT = 24


def unverified(*protocols: str) -> ssl.SSLContext:
    """TLS that takes any certificate: the servers of tests make their own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


class Wire:
    """A connection that tells what happens to it, from a source address of its own."""

    def __init__(self, client: Any, number: int) -> None:
        self.client, self.tls = client, client.tls
        # One address has 28 000 ports, each kept for a minute by the last connection.
        self.source = (f"127.1.{number // 250}.{number % 250 + 1}", 0)
        self.socket: socket.socket | None = None
        self.connected = self.stands = False
        self.received = b""

    def open(self) -> None:
        self.connected = self.stands = False
        self.socket = new = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        new.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        new.bind(self.source)
        new.connect_ex(self.client.target)
        self.client.watch(new.fileno(), self)

    def on_event(self, events: int) -> None:
        if self.socket is None:
            return
        if not self.connected and events & select.EPOLLOUT:
            if events & select.EPOLLERR:
                self.fail("refused")
                return
            self.connect(self.socket)
        if self.connected and not self.stands:
            self.shake_hands()
        if self.stands and events & ~select.EPOLLOUT and self.socket is not None:
            self.read(self.socket, to_the_end=bool(events & select.EPOLLRDHUP))

    def connect(self, plain: socket.socket) -> None:
        self.connected = True
        if self.tls:
            self.socket = self.tls.wrap_socket(
                plain, server_hostname=self.client.host, do_handshake_on_connect=False
            )

    def shake_hands(self) -> None:
        """Go on with the handshake, if there is one, as far as what came allows."""
        if isinstance(self.socket, ssl.SSLSocket):
            try:
                self.socket.do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except OSError:
                self.fail("handshake")
                return
        self.stands = True
        self.begin()

    def write(self, words: bytes) -> None:
        assert self.socket is not None
        try:
            self.socket.send(words)
        except OSError:
            self.fail("reset")

    def read(self, sock: socket.socket, *, to_the_end: bool) -> None:
        """Take what came; no further edge will tell of what is left."""
        more = True
        while more and self.socket is sock:
            try:
                received = sock.recv(READ_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError):
                return
            except OSError:
                self.closed("reset")
                return
            if not received:
                self.closed("eof")
                return
            self.received = self.received + received if self.received else received
            self.take()
            # TLS gives one record at a time, however much has come.
            more = to_the_end or len(received) == READ_BYTES or isinstance(sock, ssl.SSLSocket)

    def drop(self) -> None:
        if self.socket is not None:
            self.client.forget(self.socket.fileno())
            self.socket.close()
        self.socket, self.connected, self.stands = None, False, False

    # What is told

    def begin(self) -> None:
        """The connection stands."""

    def take(self) -> None:
        """More has been received."""

    def closed(self, how: str) -> None:
        """The other side has closed it."""

    def fail(self, error: str) -> None:
        """It could not be opened, or not be written to."""
