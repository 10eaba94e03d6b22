"""Live is away under HAProxy, and nothing is permitted: its first moment is waited for."""

import http.client
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bgd.config import ProbeSettings
from tests.integration.in_proxy_world import GREEN, SHIPPED, WAIT_S, Shop, greeting, opened
from tests.integration.waiting import eventually

BLINK_S = 0.3


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with opened(tmp_path) as shop:
        yield shop


@pytest.mark.parametrize("servers", [1, 3])
def test_live_may_blink(tmp_path: Path, servers: int) -> None:
    """Without permission no GET fails when all of live is away for a moment: each waits for it."""
    with opened(tmp_path, servers=servers, template=SHIPPED) as shop, shop.load(kept=5, new=5) as load:
        shop.shut()
        eventually(lambda: shop.down(GREEN), "HAProxy takes it for down")
        began_s = time.monotonic()
        eventually(lambda: time.monotonic() > began_s + BLINK_S, "it is away for a moment")
        shop.reopen()
        seen = load.progress["requests"]
        eventually(lambda: load.progress["requests"] > seen + 100, "live answers again")

    assert load.lost() == []
    assert {record.colour for record in load.records} == {"green"}


def test_a_post_waits_too(shop: Shop) -> None:
    """What must not be repeated waits before a server has seen it."""
    shop.shut()
    with ThreadPoolExecutor() as clients:
        under_way = [clients.submit(shop.post) for _ in range(3)]
        eventually(lambda: len(shop.down(GREEN)) == 2, "HAProxy takes it for down")
        shop.reopen()

        assert [each.result() for each in under_way] == ["green"] * 3


def test_a_permission_that_comes_meanwhile(shop: Shop) -> None:
    """Who waits for live goes over as soon as that is permitted."""
    shop.kill()
    with ThreadPoolExecutor() as clients:
        under_way = [clients.submit(ask) for ask in (shop.get, shop.post)]
        eventually(lambda: len(shop.down(GREEN)) == 2, "HAProxy takes it for down")
        shop.permit()

        assert [each.result() for each in under_way] == ["blue"] * 2


def test_nobody_waits_in_vain_again(shop: Shop) -> None:
    """Only the first moment of an outage is waited for; after it 503 comes at once, to a POST as well."""
    shop.kill()

    assert shop.get() == "503"

    began_s = time.monotonic()

    assert {ask() for ask in (shop.get, shop.post) for _ in range(10)} == {"503"}
    assert time.monotonic() - began_s < WAIT_S / 2


def test_a_clients_own_header_is_nothing(shop: Shop) -> None:
    """A client that writes bgd's own header is led nowhere by it."""
    front = http.client.HTTPConnection("127.0.0.1", shop.port, timeout=5)
    front.request("GET", "/", headers={"bgd-again": "shop_blue"})

    assert front.getresponse().read() == b"green\n"
    front.close()


def test_tcp_waits_too(tmp_path: Path) -> None:
    """A connection to a TCP app whose live colour is away for a moment waits for it."""
    with opened(tmp_path, mode="tcp", probe=ProbeSettings(path="")) as shop, ThreadPoolExecutor() as clients:
        shop.shut()
        under_way = [clients.submit(greeting, shop.port) for _ in range(3)]
        eventually(lambda: len(shop.down(GREEN)) == 2, "HAProxy takes it for down")
        shop.reopen()

        assert [each.result() for each in under_way] == ["green"] * 3
