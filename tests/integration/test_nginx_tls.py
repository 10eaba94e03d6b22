"""Clients over TLS and HTTP/2 on nginx: neither flips nor comings and goings of backends lose their requests.

Over HTTP/2 a reload may refuse a request unseen, by GOAWAY, and clients then repeat it: that is counted, and
no loss.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bgd.proxy.certificates import STAND_IN
from tests.integration.shop import Churn, Shop, opened
from tests.integration.waiting import eventually

LINES = f'lines = ["ssl_certificate {STAND_IN};", "ssl_certificate_key {STAND_IN};"]'
LANES = {"tls": True, "h2": 8, "kept": 6, "new": 2, "steady": 6, "slow": 2, "streams": 2, "websockets": 2}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop whose front speaks TLS and HTTP/2 only."""
    with opened(tmp_path, kind="nginx", start=False) as shop:
        plain = shop.app("shop", shop.port, LINES)
        shop.apps = [plain.replace(f'"127.0.0.1:{shop.port}"', f'"127.0.0.1:{shop.port} ssl http2"')]
        shop.bgd = shop.daemon()
        shop.open()
        yield shop


def flip(shop: Shop, times: int) -> None:
    """By bgctl and by plain PUT in turns."""
    for turn in range(times):
        colour = ("green", "blue")[turn % 2]
        if turn % 4 < 2:
            shop.bgctl("set-live", colour, check=True)
        else:
            shop.put(colour)
        shop.until_serving(colour)


def churn(shop: Shop, leaving: int) -> None:
    """Until so many backends have left that had come."""
    with Churn(shop, per_s=1.5) as churn:
        eventually(
            lambda: churn.gone() >= leaving, f"{leaving} backends have left", within_s=30 + 3 * leaving
        )


def reloads(shop: Shop) -> int:
    return len(shop.bgd.said("reloaded"))


def test_flips_and_membership_lose_no_request_over_tls(shop: Shop) -> None:
    """Under load over TLS and HTTP/2 nothing is lost by flips, which need no reload, nor by reloads."""
    with shop.load(**LANES):
        before = reloads(shop)
        flip(shop, 4)

        assert reloads(shop) == before

        churn(shop, 1)

        assert reloads(shop) > before


@pytest.mark.soak
def test_many_flips_and_changes_lose_no_request_over_tls(shop: Shop) -> None:
    """100 flips, and 200 changes of members, lose nothing over TLS and HTTP/2."""
    with shop.load(**LANES):
        flip(shop, 100)
    with shop.load(**LANES, name="churn"):
        churn(shop, 100)
    print(f"reloads: {reloads(shop)}")
