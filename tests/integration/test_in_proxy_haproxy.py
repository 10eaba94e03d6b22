"""Live dies under HAProxy: with bgd's permission the other colour answers, from the first request on."""

import http.client
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bgd.config import AppSettings, ProbeSettings
from bgd.core.permission import Permission
from bgd.core.reasons import Because
from bgd.ports import Failed, Proved
from bgd.proxy.haproxy import haproxy
from tests.integration.haproxy import set_stage
from tests.integration.in_proxy_world import BLUE, GREEN, SHIPPED, WAIT_S, Shop, greeting, opened
from tests.integration.in_time import anew_when_too_slow, own_part
from tests.integration.load import Load
from tests.integration.waiting import eventually

KILLS = 10


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with opened(tmp_path) as shop:
        yield shop


def kill_under(shop: Shop, load: Load) -> None:
    """Green is killed under a load, and blue answers for a while."""
    seen = load.progress["requests"]
    eventually(lambda: load.progress["requests"] > seen + 500, "requests are on their way")
    shop.kill()
    eventually(lambda: load.progress["colour"] == "blue", "blue answers")
    seen = load.progress["requests"]
    eventually(lambda: load.progress["requests"] > seen + 1000, "blue serves on")


def test_not_one_request_fails(tmp_path: Path) -> None:
    """When live is killed under GET requests, each of them is answered, although bgd does nothing."""
    with opened(tmp_path, template=SHIPPED) as shop:
        shop.permit()
        with shop.load() as load:
            kill_under(shop, load)

    assert load.lost() == []


@pytest.mark.soak
def test_sockets_go_over_and_stay(shop: Shop) -> None:
    """A websocket that begins while live is dead goes over, and stays where it began when live is back."""
    shop.permit()
    shop.kill()
    with shop.load(kept=1, new=1, websockets=4) as load:
        shop.revive()
        seen = load.progress["requests"]
        eventually(lambda: load.progress["requests"] > seen + 50, "they go on")

    assert load.lost() == []
    assert {record.colour for record in load.records if record.lane == "websockets"} <= {"blue", ""}


def test_a_permission_ends_by_itself(shop: Shop) -> None:
    """With bgd dead the other colour is asked for as long as was permitted, and not a moment longer."""
    shop.permit(seconds=1.9)
    ends_s = time.monotonic() + 1.9
    shop.kill()

    asked_s = served_s = time.monotonic()
    while (said := shop.get()) == "blue":
        asked_s, served_s = time.monotonic(), asked_s

    assert said == "503"
    assert served_s < ends_s + 0.5, "the last that was served had been asked before"
    assert ends_s - 1.1 < time.monotonic()


def test_without_permission(shop: Shop) -> None:
    """What bgd does not permit, or not any more, does not happen: no request goes over."""
    shop.permit()
    shop.stage.change.permit({})
    shop.kill()

    assert {shop.get() for _ in range(20)} == {"503"}


def test_permission_is_for_one_colour(shop: Shop) -> None:
    """A permission to leave blue is none to leave green."""
    shop.permit(BLUE)
    shop.kill()

    assert shop.get() == "503"


@anew_when_too_slow
def test_both_are_dead(tmp_path: Path) -> None:
    """With nobody left the answer is 503, at once and once."""
    with opened(tmp_path) as shop:
        shop.permit()
        shop.kill()
        shop.kill(BLUE)
        shop.get()

        for _ in range(20):
            with own_part(WAIT_S / 2):
                assert shop.get() == "503"


@pytest.mark.soak
def test_live_is_asked_again(shop: Shop) -> None:
    """Requests go straight over for some seconds; then live is asked again, if its checks are well."""
    shop.permit()
    shop.kill()

    assert shop.get() == "blue"

    shop.revive()

    assert shop.get() == "blue"

    eventually(lambda: shop.get() == "green", "green serves again")


def test_a_flip_ends_what_was_found(tmp_path: Path) -> None:
    """After a flip, and a flip back, requests go where they are sent, whatever was found before."""
    with opened(tmp_path, probe=ProbeSettings(interval_s=0.1)) as shop:
        shop.permit()
        shop.kill()

        assert shop.get() == "blue"

        shop.revive()

        assert shop.get() == "blue"
        assert isinstance(shop.flip(BLUE), Proved)
        assert isinstance(shop.flip(GREEN), Proved)
        assert shop.get() == "green"


def test_proof_is_of_the_decision(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flip to a dead colour is not proved by the other one's answers."""
    monkeypatch.setattr(haproxy, "PROOF_DEADLINE_S", 0.2)
    shop.permit()
    shop.kill()

    assert shop.get() == "blue"

    adapter, fronts = shop.stage.change._adapter, shop.stage.change._structure.fronts("shop")
    with pytest.raises(Exception, match="not answered by shop_green"):
        adapter.rehearse(shop.app, GREEN, fronts)

    adapter.prove(shop.app, GREEN, fronts, node="lb-1", answered=False)


@pytest.mark.parametrize("by_hand", [False, True])
def test_permission_outlives_a_reload(shop: Shop, by_hand: bool) -> None:
    """A new worker is told at once what it may do, whoever ordered the reload."""
    shop.permit()
    if by_hand:
        shop.stage.proxy.reload_by_hand()
        shop.stage.look()
    else:
        changed = AppSettings(
            name="shop", service="shop", bind=shop.app.bind, lines=("http-response set-header x-y z",)
        )
        shop.stage.change.reconfigure([changed])
        assert shop.stage.change.sync({"shop": shop.wanted()}) == {}
    shop.kill()

    assert shop.get() == "blue"


def test_a_new_daemon_takes_nothing_back(shop: Shop) -> None:
    """What was permitted stands while a daemon that starts anew knows nothing yet."""
    shop.permit()
    shop.stage.open(shop.app)
    shop.stage.look()
    shop.kill()

    assert shop.get() == "blue"


HOST = """\
defaults
    mode http
    option forwardfor
    timeout connect 5s
    timeout client 30s
    timeout server 30s
"""


def test_the_address_is_told_once(tmp_path: Path) -> None:
    """However a request went over, the client's address stands in it once, and is known to the backend."""
    with opened(tmp_path, sections=HOST) as shop, socket.create_server(("127.0.0.1", 0)) as origin:
        heads: list[bytes] = []
        threading.Thread(
            target=_answer, args=(origin, heads, b"HTTP/1.1 204 No\r\n\r\n"), daemon=True
        ).start()
        shop.colours[BLUE].addresses = [("blue", f"127.0.0.1:{origin.getsockname()[1]}")]
        assert shop.stage.change.sync({"shop": shop.wanted()}) == {}
        shop.permit()
        shop.kill()

        assert [shop.get("/seen"), shop.get("/seen")] == ["204", "204"]
        seen = [head.lower() for head in heads if b"/seen" in head]
        assert [head.count(b"x-forwarded-for: 127.0.0.1\r\n") for head in seen] == [1, 1]


def test_a_post_is_never_repeated(shop: Shop) -> None:
    """A POST under way in a server that dies fails: it may have been carried out."""
    with socket.create_server(("127.0.0.1", 0)) as dying:
        heads: list[bytes] = []
        threading.Thread(target=_answer, args=(dying, heads, b""), daemon=True).start()
        shop.colours[GREEN].addresses = [("green", f"127.0.0.1:{dying.getsockname()[1]}")]
        assert shop.stage.change.sync({"shop": shop.wanted()}) == {}
        shop.permit()
        front = http.client.HTTPConnection("127.0.0.1", shop.port, timeout=15)
        front.request("POST", "/order", b"one")

        assert front.getresponse().status == 502
        assert sum(b"POST /order" in head for head in heads) == 1
        front.close()


def _answer(listener: socket.socket, heads: list[bytes], answer: bytes) -> None:
    """Take every connection, note the head that comes, give the answer, and close."""
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection:
                heads.append(connection.recv(4096))
                connection.sendall(
                    answer if b"User-Agent: bgd" not in heads[-1] else b"HTTP/1.1 200 OK\r\n\r\n"
                )


@pytest.mark.soak
def test_frozen_live(shop: Shop) -> None:
    """A live colour that hangs is left as soon as HAProxy's checks have found out."""
    shop.permit()
    shop.colours[GREEN].signal(signal.SIGSTOP)
    try:
        eventually(lambda: len(shop.down(GREEN)) == 2, "HAProxy's checks find out")

        assert shop.get() == "blue"
    finally:
        shop.colours[GREEN].signal(signal.SIGCONT)


def test_in_a_chroot(tmp_path: Path) -> None:
    """A worker that has given up root, and sees no file, leads requests over all the same."""
    (tmp_path / "jail").mkdir()
    jail = f"    chroot {tmp_path / 'jail'}\n    uid 65534\n    gid 65534"
    with opened(tmp_path, global_lines=jail) as shop:
        shop.permit()
        shop.kill()

        assert shop.get() == "blue"


@anew_when_too_slow
def test_tcp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection to a dead TCP app goes over while it is permitted; bgd's own is not deceived."""
    monkeypatch.setattr(haproxy, "PROOF_DEADLINE_S", 0.2)
    with opened(tmp_path, mode="tcp", probe=ProbeSettings(path="")) as shop:
        shop.permit()
        shop.kill()

        assert greeting(shop.port) == "blue"
        assert greeting(shop.port) == "blue"

        adapter, fronts = shop.stage.change._adapter, shop.stage.change._structure.fronts("shop")
        with pytest.raises(Exception, match="no connection through"):
            adapter.prove(shop.app, GREEN, fronts, node="lb-1", answered=True)

        shop.stage.change.permit({})

        assert greeting(shop.port) == ""
        with own_part(WAIT_S / 2):
            assert greeting(shop.port) == ""


@pytest.mark.soak
@pytest.mark.parametrize("servers", [1, 3, 20])
@pytest.mark.parametrize("path", ["/", "/slow?ms=30"])
def test_many_kills(tmp_path: Path, servers: int, path: str) -> None:
    """Kill after kill, with requests under way, GETs do not fail.

    HAProxy before 2.8 does not repeat one whose server dies with it unread: its client sees the
    connection closed, which lets it ask again.
    """
    lost = []
    with opened(tmp_path, servers=servers, template=SHIPPED) as shop:
        for turn in range(KILLS):
            shop.permit()
            with shop.load(f"load-{turn}", path=path) as load:
                kill_under(shop, load)
            lost += load.lost()
            shop.stage.change.permit({})
            shop.revive()
            assert shop.flip(GREEN)

    assert len(lost) <= 1
    assert {(record.status, record.error) for record in lost} <= {(0, "eof"), (502, "status-502")}


def test_refusal_is_told() -> None:
    """The reason that a flip to the dead colour gives is not hidden by a permission."""
    with set_stage() as stage:
        app = stage.app()
        stage.open(app)
        stage.flip(BLUE)
        stage.change.permit({"shop": Permission(GREEN, time.monotonic() + 60)})
        stage.origins[GREEN][0].close()
        outcome = stage.flip(GREEN)

    assert isinstance(outcome, Failed)
    assert outcome.because is Because.NOT_PROVED
