"""Live is away under HAProxy, and nothing is permitted: its first moment is waited for."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from bgd.config import ProbeSettings
from tests.integration.in_proxy_world import GREEN, SHIPPED, WAIT_S, Shop, greeting, opened
from tests.integration.in_time import anew_when_too_slow, own_part
from tests.integration.waiting import eventually

BLINK_S = 0.1
IN_TIME_S = WAIT_S * 0.9
"""From before live is away until HAProxy has some of it back: whoever asks meanwhile then finds it."""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with opened(tmp_path) as shop:
        yield shop


@anew_when_too_slow
@pytest.mark.parametrize("servers", [1, 3])
def test_live_may_blink(tmp_path: Path, servers: int) -> None:
    """Without permission no GET fails when all of live is away for a moment: each waits for it."""
    with opened(tmp_path, servers=servers, template=SHIPPED) as shop, shop.load(kept=5, new=5) as load:
        with own_part(IN_TIME_S):
            shop.shut()
            eventually(lambda: shop.down(GREEN), "HAProxy takes it for down")
            _blink()
            _come_back(shop)
        seen = load.progress["requests"]
        eventually(lambda: load.progress["requests"] > seen + 100, "live answers again")

    assert load.lost() == []
    assert {record.colour for record in load.records} == {"green"}


@anew_when_too_slow
def test_a_post_waits_too(tmp_path: Path) -> None:
    """What must not be repeated waits before a server has seen it."""
    with opened(tmp_path) as shop, ThreadPoolExecutor() as clients:
        with own_part(IN_TIME_S):
            shop.shut()
            under_way = [clients.submit(shop.post) for _ in range(3)]
            eventually(lambda: len(shop.down(GREEN)) == 2, "HAProxy takes it for down")
            _come_back(shop)

        assert [each.result() for each in under_way] == ["green"] * 3


@anew_when_too_slow
def test_a_post_whose_body_comes_later(tmp_path: Path) -> None:
    """It waits just the same, though only what has come as a whole can be sent again."""
    with opened(tmp_path) as shop, closing(HTTPConnection("127.0.0.1", shop.port, timeout=15)) as front:
        with own_part(IN_TIME_S):
            shop.shut()
            front.putrequest("POST", "/order")
            front.putheader("Content-Length", "3")
            front.endheaders()
            eventually(lambda: len(shop.down(GREEN)) == 2, "HAProxy takes it for down")
            _blink()
            front.send(b"one")
            _come_back(shop)

        assert front.getresponse().read() == b"green\n"


def test_a_body_that_does_not_come_at_all(tmp_path: Path) -> None:
    """Who is slower than live may be away is told that live is away."""
    with opened(tmp_path) as shop, closing(HTTPConnection("127.0.0.1", shop.port, timeout=15)) as front:
        shop.shut()
        front.putrequest("POST", "/order")
        front.putheader("Content-Length", "3")
        front.endheaders()

        assert front.getresponse().status == 503


@anew_when_too_slow
def test_a_permission_that_comes_meanwhile(tmp_path: Path) -> None:
    """Who waits for live goes over as soon as that is permitted."""
    with opened(tmp_path) as shop, ThreadPoolExecutor() as clients:
        with own_part(IN_TIME_S):
            shop.kill()
            under_way = [clients.submit(ask) for ask in (shop.get, shop.post)]
            eventually(lambda: len(shop.down(GREEN)) == 2, "HAProxy takes it for down")
            shop.permit()

        assert [each.result() for each in under_way] == ["blue"] * 2


@anew_when_too_slow
def test_nobody_waits_in_vain_again(tmp_path: Path) -> None:
    """Only the first moment of an outage is waited for; after it 503 comes at once, to a POST as well."""
    with opened(tmp_path) as shop:
        shop.kill()

        assert shop.get() == "503"

        for ask in (shop.get, shop.post) * 10:
            with own_part(WAIT_S / 2):
                assert ask() == "503"


def test_a_clients_own_header_is_nothing(shop: Shop) -> None:
    """A client that writes bgd's own header is led nowhere by it."""
    front = HTTPConnection("127.0.0.1", shop.port, timeout=15)
    front.request("GET", "/", headers={"bgd-again": "shop_blue"})

    assert front.getresponse().read() == b"green\n"
    front.close()


@anew_when_too_slow
def test_tcp_waits_too(tmp_path: Path) -> None:
    """A connection to a TCP app whose live colour is away for a moment waits for it."""
    with opened(tmp_path, mode="tcp", probe=ProbeSettings(path="")) as shop, ThreadPoolExecutor() as clients:
        with own_part(IN_TIME_S):
            shop.shut()
            under_way = [clients.submit(greeting, shop.port) for _ in range(3)]
            eventually(lambda: len(shop.down(GREEN)) == 2, "HAProxy takes it for down")
            _come_back(shop)

        assert [each.result() for each in under_way] == ["green"] * 3


def _blink() -> None:
    began_s = time.monotonic()
    eventually(lambda: time.monotonic() > began_s + BLINK_S, "it is away for a moment")


def _come_back(shop: Shop) -> None:
    shop.reopen()
    eventually(lambda: len(shop.down(GREEN)) < len(shop.colours[GREEN].of(GREEN)), "HAProxy takes it for up")
