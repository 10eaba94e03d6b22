"""What is still open on the colour that was left, through a real nginx: by address, in all workers."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from bgctl.demo.parts import Backends
from bgd.config import AppSettings
from bgd.core.draining import Drain
from bgd.core.events import SessionsSeen
from bgd.core.model import Colour, Server, Wanted
from bgd.core.permission import Permission
from bgd.ports import Proved
from bgd.proxy.change import Change
from bgd.proxy.kinds import adapter
from tests.integration.haproxy import Ear, free_port, port_of
from tests.integration.nginx import NginxServer, running_nginx
from tests.integration.waiting import eventually

BLUE, GREEN = Colour.BLUE, Colour.GREEN
SLOW = "GET /stream?n=1000000&ms=20 HTTP/1.1\r\nHost: a\r\n\r\n"
WEBSOCKET = (
    "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
UPLOAD = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nbegin"


class Shop:
    """An app on nginx that serves green, with backends of both colours."""

    def __init__(self, nginx: NginxServer, backends: Backends, **app: Any) -> None:
        self.nginx, self.backends = nginx, backends
        self.app = AppSettings(name="shop", service="shop", bind=(f"127.0.0.1:{free_port()}",), **app)
        self.colours = {colour: backends.of(colour.value) for colour in Colour}
        self.open()
        assert isinstance(self.flip(GREEN), Proved)

    def open(self) -> None:
        """Start (or start anew) bgd's proxy room."""
        settings = self.nginx.settings()
        self.change = Change(settings, adapter(settings, "lb-1"), [self.app], "lb-1", Ear(), Ear())

    def wanted(self) -> Wanted:
        servers = {colour: frozenset(map(_server, each)) for colour, each in self.colours.items()}
        return Wanted(
            servers=servers, healthy=frozenset(each.name for both in servers.values() for each in both)
        )

    def flip(self, colour: Colour) -> object:
        return self.change.flip("shop", colour, self.wanted())

    def begin(self, head: str, *, answered: bool = True) -> socket.socket:
        """A request, or a TCP session, on a connection of its own."""
        client = socket.create_connection(("127.0.0.1", port_of(self.app)), timeout=5)
        client.sendall(head.encode())
        if answered:
            assert client.recv(1 << 12)
        return client

    def look(self) -> list[SessionsSeen]:
        events: list[object] = []
        self.change.look(events.append)
        return [each for each in events if isinstance(each, SessionsSeen)]

    def open_on(self, colour: Colour = GREEN) -> int | None:
        self.change.count({"shop": Drain(colour)})
        return self.look()[0].sessions[colour]


def _server(place: str) -> Server:
    host, _, port = place.rpartition(":")
    return Server(host, int(port))


@contextmanager
def opened(folder: Path, *, tcp: bool = False, green: int = 2) -> Iterator[Shop]:
    backends = Backends(folder, ["blue", "blue", *["green"] * green], tcp=tcp)
    with running_nginx(stream=tcp) as nginx:
        backends.start()
        try:
            yield Shop(nginx, backends, **({"mode": "tcp"} if tcp else {}))
        finally:
            backends.stop()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with opened(tmp_path) as shop:
        yield shop


def test_each_is_counted_until_it_ends(shop: Shop) -> None:
    """A download, a websocket and an upload that has hardly begun, over a flip and a reload."""
    with closing(shop.begin(SLOW)), closing(shop.begin(WEBSOCKET)) as chat:
        with closing(shop.begin(UPLOAD, answered=False)):
            eventually(lambda: shop.open_on() == 3, "all are there")
            assert isinstance(shop.flip(BLUE), Proved)
            eventually(lambda: shop.open_on() == 3, "what is kept alive has gone")
            shop.nginx.reload_by_hand()
            assert [shop.open_on() for _ in range(5)] == [3] * 5
        eventually(lambda: shop.open_on() == 2, "the upload has ended")
        chat.sendall(b"\x81\x82\x00\x00\x00\x00hi")
        assert chat.recv(100)
        assert [shop.open_on() for _ in range(5)] == [2] * 5
    eventually(lambda: shop.open_on() == 0, "nothing is open")


def test_a_tcp_session_is_counted(tmp_path: Path) -> None:
    """A flip of a TCP app is a reload: it stays in the old worker."""
    with opened(tmp_path, tcp=True) as shop:
        with closing(shop.begin("")):
            assert isinstance(shop.flip(BLUE), Proved)
            eventually(lambda: shop.open_on() == 1, "it is there")
            assert [shop.open_on() for _ in range(5)] == [1] * 5
        eventually(lambda: shop.open_on() == 0, "nothing is open")


def test_an_address_that_left_the_text_long_ago_counts(shop: Shop) -> None:
    """An old worker still has a connection to it, over two reloads and a restart of bgd."""
    with closing(shop.begin(WEBSOCKET)), closing(shop.begin(WEBSOCKET)):
        left = shop.colours[GREEN]
        for _ in range(2):
            shop.colours[GREEN] = [f"127.0.0.1:{free_port()}"]
            assert shop.change.sync({"shop": shop.wanted()}) == {}
        assert not any(place in shop.nginx.part.read_text() for place in left)
        assert isinstance(shop.flip(BLUE), Proved)
        shop.open()
        assert [shop.open_on() for _ in range(3)] == [2] * 3
    eventually(lambda: shop.open_on() == 0, "nothing is open")


def test_without_a_note_old_workers_may_have_any(shop: Shop) -> None:
    """Who has lost the note knows nothing until they are gone."""
    with closing(shop.begin(WEBSOCKET)):
        shop.nginx.reload_by_hand()
        assert isinstance(shop.flip(BLUE), Proved)
        (shop.nginx.folder / "addresses.json").unlink()
        shop.open()
        assert shop.open_on() is None
    eventually(lambda: shop.open_on() == 0, "the old worker has gone")


def test_one_address_of_both_colours_is_both(shop: Shop) -> None:
    """Nobody can tell whose it is."""
    shop.colours[BLUE] = shop.colours[GREEN]
    assert isinstance(shop.flip(BLUE), Proved)
    with closing(shop.begin(WEBSOCKET)):
        eventually(lambda: (shop.open_on(GREEN), shop.open_on(BLUE)) == (1, 1), "it is on both")


def test_who_goes_over_is_counted_although_all_was_drained(shop: Shop) -> None:
    """nginx goes over by itself, while it is permitted: then all is counted from time to time."""
    shop.change.permit({"shop": Permission(GREEN, time.monotonic() + 60)})
    eventually(lambda: any(shop.nginx.folder.glob("permits/*/*")), "it is permitted")
    for place in shop.colours[GREEN]:
        shop.backends.order(f"close {place}")
    with closing(shop.begin(WEBSOCKET)):
        found: list[SessionsSeen] = []
        eventually(lambda: found.extend(shop.look()) or found, "it is looked")
        assert found[-1].sessions[BLUE] == 1
