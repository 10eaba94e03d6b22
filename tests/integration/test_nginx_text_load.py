"""The text of bgd's part, on a real nginx under load that never tries again: flips and reloads."""

from pathlib import Path

import pytest

from bgctl.demo.parts import Backends
from bgd.core.model import Colour, Server
from bgd.proxy.certificates import STAND_IN
from tests.integration.haproxy import free_port, port_of
from tests.integration.load import Load
from tests.integration.nginx_text import Servers, text_before_nginx
from tests.integration.waiting import eventually

BLUE, GREEN = Colour.BLUE, Colour.GREEN
TLS = (f"ssl_certificate {STAND_IN};", f"ssl_certificate_key {STAND_IN};")
LED_OFF_S = 1.1
"""Clients speak at least once a second, and a busy machine is late."""


def of(backends: Backends) -> Servers:
    return {
        colour: frozenset(Server("127.0.0.1", int(each.rpartition(":")[2])) for each in backends.of(colour))
        for colour in Colour
    }


def goes_on(load: Load, requests: int) -> None:
    """Return when so many requests more have been made."""
    since = load.progress["requests"]
    eventually(lambda: load.progress["requests"] > since + requests, "load goes on")


def test_tls_http2_websockets_and_streams(tmp_path: Path) -> None:
    """Over TLS and HTTP/2, websockets, streams and slow answers live through flips, and none is lost."""
    with text_before_nginx() as text, Backends(tmp_path, ["blue", "green"]) as backends:
        bind = (f"127.0.0.1:{free_port()} http2 ssl",)
        app = text.app(bind=bind, lines=TLS, hosts=("shop.example",))
        text.load(of(backends), app)
        held = Load(
            port_of(app), folder=tmp_path, tls=True, kept=2, new=2, h2=8, slow=1, streams=1, websockets=2
        )
        with held as load:
            for colour in (GREEN, BLUE) * 3:
                goes_on(load, 150)
                text.flip("shop", colour)
            goes_on(load, 150)

    assert load.lost() == []
    assert {"kept", "new", "h2", "slow", "stream", "websocket"} == {r.lane for r in load.records}
    assert {record.colour for record in load.records} == {"blue", "green"}


def reloads(folder: Path, times: int, *, closing: bool, tls: bool = False) -> Load:
    """Servers come and go, with a reload each time, under load that never tries again."""
    options, lines = (" http2 ssl", TLS) if tls else ("", ())
    colours = ["blue", "blue", "green"]
    with text_before_nginx() as text, Backends(folder, colours) as backends:
        app = text.app(bind=(f"127.0.0.1:{free_port()}{options}",), lines=lines)
        both = of(backends)
        text.load(both, app)
        pages = [text.page(both, app, down=frozenset({server.name})) for server in both[BLUE]]
        held = Load(
            port_of(app),
            folder=folder,
            tls=tls,
            h2=8 if tls else 0,
            kept=20,
            new=10,
            steady=20,
            slow=2,
            streams=2,
            websockets=4,
        )
        with held as load:
            goes_on(load, 300)
            for number in range(times):
                if closing:
                    text.without_loss(pages[number % 2], before_s=LED_OFF_S, after_s=0.05)
                else:
                    text.write(pages[number % 2].texts)
                    text.hup(pages[number % 2].structure)
                goes_on(load, 300)
    print(load.summary)
    return load


@pytest.mark.soak
def test_reloads_lose_nothing(tmp_path: Path) -> None:
    """With the closing flag a reload loses no request; websockets, streams and slow answers live on."""
    assert reloads(tmp_path, 3, closing=True).lost() == []


@pytest.mark.soak
@pytest.mark.parametrize("tls", [False, True])
def test_many_reloads_lose_nothing(tmp_path: Path, tls: bool) -> None:
    """So it is a hundred times, over HTTP/2 too, where what GOAWAY refuses is repeated."""
    assert reloads(tmp_path, 100, closing=True, tls=tls).lost() == []


@pytest.mark.soak
def test_without_the_closing_flag_reloads_lose_requests(tmp_path: Path) -> None:
    """The flag is needed: without it connections are closed under a request."""
    assert reloads(tmp_path, 30, closing=False).lost() != []
