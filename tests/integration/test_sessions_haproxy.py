"""What is still open on the colour that was left, through a real HAProxy: counted in all workers, and cut."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bgd.core.draining import Drain
from bgd.core.events import SessionsSeen
from bgd.core.model import Colour
from bgd.ports import Proved
from tests.integration.haproxy import port_of
from tests.integration.in_proxy_world import BLUE, GREEN, SHIPPED, Shop, opened
from tests.integration.waiting import eventually

QUEUE = """\
{% extends "shipped/haproxy.cfg.j2" %}
{% block backend_head %}
    default-server maxconn 1
{% endblock %}
"""
SLOW = "/stream?n=1000000&ms=20"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with opened(tmp_path, template=SHIPPED) as shop:
        yield shop


def begin(shop: Shop, path: str, head: str = "", *, answered: bool = True) -> socket.socket:
    """A request on a connection of its own, of which the answer has begun."""
    client = socket.create_connection(("127.0.0.1", port_of(shop.app)), timeout=5)
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n{head}\r\n".encode())
    if answered:
        assert client.recv(1 << 12)
    return client


def websocket(shop: Shop) -> socket.socket:
    head = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    return begin(shop, "/ws", head + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")


def seen(shop: Shop, cut_s: float | None = None, colour: Colour = GREEN) -> SessionsSeen:
    """What one look counts."""
    events: list[object] = []
    shop.stage.change.count({shop.app.name: Drain(colour, cut_s)})
    shop.stage.change.look(events.append)
    return next(each for each in events if isinstance(each, SessionsSeen))


def open_on(shop: Shop, colour: Colour = GREEN) -> int | None:
    return seen(shop, colour=colour).sessions[colour]


def ended(client: socket.socket) -> bool:
    """Whether somebody has ended the connection."""
    client.settimeout(5)
    try:
        while client.recv(1 << 16):
            pass
    except ConnectionResetError:
        pass
    except TimeoutError:
        return False
    return True


def test_a_download_and_a_websocket_are_counted_until_they_end(shop: Shop) -> None:
    """From the flip until its end each is one."""
    download, chat = begin(shop, SLOW), websocket(shop)
    assert isinstance(shop.flip(BLUE), Proved)
    assert [open_on(shop) for _ in range(5)] == [2] * 5

    download.close()
    eventually(lambda: open_on(shop) == 1, "the download has ended")
    assert [open_on(shop) for _ in range(5)] == [1] * 5

    chat.close()
    eventually(lambda: open_on(shop) == 0, "nothing is open")


def test_old_workers_count_too(shop: Shop) -> None:
    """What a worker from before a reload still has is on the colour as well."""
    with closing(websocket(shop)) as chat:
        shop.stage.proxy.reload_by_hand()
        with closing(begin(shop, SLOW)):
            assert isinstance(shop.flip(BLUE), Proved)
            assert open_on(shop) in (None, 2)
            assert [open_on(shop) for _ in range(5)] == [2] * 5
            shop.stage.proxy.reload_by_hand()
            assert [open_on(shop) for _ in range(5)] == [2] * 5
        eventually(lambda: open_on(shop) == 1, "the websocket alone is open")
        chat.close()
    eventually(lambda: open_on(shop) == 0, "nothing is open")


def test_who_keeps_a_connection_to_an_old_worker_is_sent_to_the_new_colour(shop: Shop) -> None:
    """Its map is the one from before the flip: until it is told, nobody knows what comes."""
    with closing(begin(shop, "/")) as client, closing(websocket(shop)):
        shop.stage.proxy.reload_by_hand()
        assert isinstance(shop.flip(BLUE), Proved)
        assert open_on(shop) is None
        assert open_on(shop) == 1

        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"blue" in client.recv(1 << 12)


def test_a_queued_request_is_counted(tmp_path: Path) -> None:
    """One that waits for a server, while another one is served."""
    with opened(tmp_path, template=QUEUE, servers=1) as shop:
        with closing(begin(shop, SLOW)), closing(begin(shop, "/", answered=False)) as queued:
            eventually(lambda: open_on(shop) == 2, "both are there")
            assert isinstance(shop.flip(BLUE), Proved)
            assert [open_on(shop) for _ in range(5)] == [2] * 5
        assert queued.fileno() == -1
        eventually(lambda: open_on(shop) == 0, "nothing is open")


def test_a_tcp_session_is_counted(tmp_path: Path) -> None:
    """In the worker that serves, and in one that finishes."""
    with opened(tmp_path, template=SHIPPED, mode="tcp") as shop:
        with socket.create_connection(("127.0.0.1", port_of(shop.app)), timeout=5) as session:
            assert session.recv(100)
            assert isinstance(shop.flip(BLUE), Proved)
            assert [open_on(shop) for _ in range(3)] == [1] * 3
            shop.stage.proxy.reload_by_hand()
            assert [open_on(shop) for _ in range(3)] == [1] * 3
        eventually(lambda: open_on(shop) == 0, "nothing is open")


def test_an_old_worker_that_does_not_answer_may_have_any(shop: Shop) -> None:
    """Stopped, it cannot be asked, and that is not none."""
    with closing(websocket(shop)):
        old = shop.stage.proxy.pid()
        shop.stage.proxy.reload_by_hand()
        assert isinstance(shop.flip(BLUE), Proved)
        eventually(lambda: open_on(shop) == 1, "it is counted")
        os.kill(old, signal.SIGSTOP)
        try:
            assert open_on(shop) is None
        finally:
            os.kill(old, signal.SIGCONT)
        eventually(lambda: open_on(shop) == 1, "it is counted again")


def test_who_went_over_is_on_the_other_colour(shop: Shop) -> None:
    """By the hop a request passes through the colour that has died: there it is not."""
    shop.permit(GREEN)
    shop.kill()
    with closing(begin(shop, SLOW)) as first:
        eventually(lambda: open_on(shop, GREEN) == 0, "none is on green")
        assert open_on(shop, BLUE) == 1
        assert first.recv(100)


def test_who_goes_over_is_counted_although_all_was_drained(shop: Shop) -> None:
    """Nobody counts at rest; the proxy's own fallback is noticed."""
    events: list[object] = []
    shop.stage.change.look(events.append)
    shop.permit(GREEN)
    shop.stage.change.look(events.append)
    shop.kill()
    events.clear()
    with closing(begin(shop, SLOW)):
        shop.stage.change.look(events.append)
        found = [each for each in events if isinstance(each, SessionsSeen)]
        assert [each.sessions[BLUE] for each in found] == [1]


def test_what_is_left_is_cut_in_time(shop: Shop) -> None:
    """In all workers, and nobody's but the old colour's; counted, logged, told."""
    chat = websocket(shop)
    shop.stage.proxy.reload_by_hand()
    download = begin(shop, SLOW)
    assert isinstance(shop.flip(BLUE), Proved)
    other = websocket(shop)
    due_s = time.monotonic() + 0.5
    assert seen(shop, due_s).cut == 0
    eventually(lambda: time.monotonic() >= due_s, "its time is over")

    assert seen(shop, due_s).cut == 2
    assert ended(chat)
    assert ended(download)
    eventually(lambda: seen(shop, due_s).sessions == {GREEN: 0, BLUE: 1}, "nothing but the other one is open")
    assert seen(shop, due_s).cut == 2
    assert shop.stage.ear.cuts == [("shop", 2)]
    assert [said for said in shop.stage.ear.said if said.startswith("sessions cut")]
    other.sendall(b"\x81\x82\x00\x00\x00\x00hi")
    assert other.recv(100)
    other.close()


def test_a_flip_back_cancels_the_cut(shop: Shop) -> None:
    """Also while the old wish to cut still stands."""
    with closing(websocket(shop)) as chat:
        assert isinstance(shop.flip(BLUE), Proved)
        assert isinstance(shop.flip(GREEN), Proved)
        assert seen(shop, 0.0).cut == 0
        chat.sendall(b"\x81\x82\x00\x00\x00\x00hi")
        assert chat.recv(100)
