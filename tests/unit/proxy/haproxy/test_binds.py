"""Addresses are tried before a reload is ordered that needs them."""

import socket
from collections.abc import Iterator

import pytest

from bgd.proxy import binds
from bgd.proxy.haproxy.text import claims


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of loopback that somebody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def refused(text: str, standing: str) -> str | None:
    return binds.refused(claims(text), claims(standing))


def text(*lines: str) -> str:
    return "\n".join(["frontend bgd_shop", *(f"    bind {bind}" for bind in lines)])


@pytest.mark.parametrize(
    "bind", ["127.0.0.1:{}", "*:{}", ":{}", "127.0.0.1:{} ssl crt x.pem", "127.0.0.1:{0}-{0}"]
)
def test_taken(taken: int, bind: str) -> None:
    """An address that another program listens on is named, however it is written."""
    why = refused(text(bind.format(taken)), "")

    assert why is not None
    assert f":{taken}: Address already in use" in why


def test_not_of_this_host() -> None:
    """An address that the host does not have is named."""
    assert "Cannot assign" in (refused(text("192.0.2.1:8080"), "") or "")


def test_what_stands(taken: int) -> None:
    """HAProxy's own ports are taken by HAProxy itself."""
    assert refused(text(f"*:{taken}"), text(f"127.0.0.1:{taken}")) is None


@pytest.mark.parametrize(
    "bind", ["unix@/run/x.sock", "abns@x", "fd@3", "192.0.2.1:80 transparent", "shop.invalid:80", "${{PORT}}"]
)
def test_what_cannot_be_tried(bind: str) -> None:
    """What only HAProxy can judge is left to it."""
    assert refused(text(bind), "") is None
