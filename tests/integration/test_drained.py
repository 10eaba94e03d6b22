"""What bgd tells of what is open on the colour that was left, until `wait --drained` ends, or it is cut."""

import socket
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.integration.bgctl_world import Ran, World
from tests.integration.revert_world import QUICK, shop_of, to_green, until_good
from tests.integration.shop import Shop, soak_on_nginx
from tests.integration.waiting import eventually


def websocket(shop: Shop) -> socket.socket:
    """One that has begun."""
    client = socket.create_connection(("127.0.0.1", shop.port), timeout=60)
    client.sendall(
        b"GET /ws HTTP/1.1\r\nHost: shop\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert b" 101 " in client.recv(1 << 12)
    return client


def talks(client: socket.socket) -> bool:
    """Whether it echoes: so it does not end for being silent either."""
    client.sendall(b"\x81\x82\x00\x00\x00\x00hi")
    return bool(client.recv(1 << 12))


def ended(client: socket.socket) -> bool:
    """Whether the proxy has ended it."""
    try:
        return not talks(client)
    except (ConnectionResetError, BrokenPipeError):
        return True


def told(shop: Shop) -> Any:
    return shop.report().get("colours", {}).get("blue", {}).get("sessions")


@soak_on_nginx
def test_drained_is_told_when_the_last_session_ends(tmp_path: Path, kind: str) -> None:
    """Not while a websocket is open on blue, in an old worker at last; and soon after it has ended."""
    with shop_of(tmp_path, kind) as shop:
        world = World(shop.consul, "bluegreen")
        with closing(websocket(shop)) as chat:
            to_green(shop)
            eventually(lambda: talks(chat) and told(shop) == 1, "it is told")
            until_good(shop, "green")
            assert talks(chat)
            ran = wait(world, "--timeout", "2s")
            assert ran.exit == 3, ran
            assert "lb-1: 1 open on blue" in ran.err
            shop.turned(1)
            eventually(lambda: shop.because() == "converged" and told(shop) == 1, "it is open still")
            assert talks(chat)
            assert wait(world, "--timeout", "2s", "--now").exit == 3
        assert wait(world, "--timeout", "30s").exit == 0
        assert told(shop) == 0


def wait(world: World, *words: str) -> Ran:
    return world.bgctl("wait", "--drained", "blue", *words)


@pytest.mark.soak
def test_what_is_left_is_cut_when_its_time_is_over(tmp_path: Path) -> None:
    """Although bgd was started anew meanwhile; counted in report and metrics, and then drained."""
    with shop_of(tmp_path, "haproxy", probe=f'drain = "10s"\n{QUICK}') as shop:
        world = World(shop.consul, "bluegreen")
        with closing(websocket(shop)) as chat:
            to_green(shop)
            shop.crash_bgd()
            eventually(lambda: ended(chat), "its time is over", within_s=60)
        eventually(lambda: (told(shop), shop.report().get("cut")) == (0, 1), "it is told")
        assert wait(world, "--timeout", "30s").exit == 0
        assert 'bgd_sessions_cut_total{app="shop"} 1.0' in metrics(shop)


@pytest.mark.soak
def test_a_flip_back_cuts_nothing(tmp_path: Path) -> None:
    """The websocket that began on blue goes on there; who began on green meanwhile is cut in its time."""
    with (
        shop_of(tmp_path, "haproxy", probe=f'drain = "15s"\n{QUICK}') as shop,
        closing(websocket(shop)) as chat,
    ):
        to_green(shop)
        with closing(websocket(shop)) as other:
            shop.bgctl("set-live", "blue", "--app", "shop", check=True)
            eventually(lambda: talks(chat) and ended(other), "its time is over", within_s=60)
        assert talks(chat)


def metrics(shop: Shop) -> str:
    with urlopen(f"http://127.0.0.1:{shop.status}/metrics", timeout=5) as answer:
        said: str = answer.read().decode()
    return said
