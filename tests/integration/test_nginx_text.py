"""The text of bgd's part, on a real nginx: what it says is what nginx does."""

import re
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, StreamEnded

from bgd.config import AppSettings
from bgd.core.model import Colour, Server
from bgd.core.permission import Permission
from bgd.proxy.certificates import STAND_IN
from tests.integration.haproxy import free_port, port_of
from tests.integration.nginx_text import Mirror, Servers, Text, ask, servers, text_before_nginx
from tests.integration.waiting import eventually

BLUE, GREEN = Colour.BLUE, Colour.GREEN
TLS = (f"ssl_certificate {STAND_IN};", f"ssl_certificate_key {STAND_IN};")


@pytest.fixture(scope="module")
def text() -> Iterator[Text]:
    """One nginx for all tests that only load texts into it."""
    with text_before_nginx(stream=True) as text:
        yield text


@pytest.fixture(scope="module")
def mirrors() -> Iterator[dict[Colour, Mirror]]:
    mirrors = {colour: Mirror(colour.value) for colour in Colour}
    yield mirrors
    for mirror in mirrors.values():
        mirror.close()


@pytest.fixture
def both(mirrors: dict[Colour, Mirror], text: Text) -> Servers:
    for flag in text.flags.iterdir():
        flag.unlink()
    return servers(mirrors[BLUE], mirrors[GREEN])


def whose(text: Text, app: AppSettings, host: str, path: str) -> str:
    """Which app's group would serve: asked at bgd's door, where the text says it."""
    status, _, headers = ask(text.door(front=text.front(app)), path, host)
    return headers.get("bgd-served", str(status)).split(" ")[0]


def test_whose_request_it_is(text: Text, both: Servers) -> None:
    """An exact host wins over none, then the longest path by whole segments; what is nobody's gets 503."""
    bind = (f"127.0.0.1:{free_port()}",)
    apps = [
        text.app("any", bind=bind, paths=("/shop/deep", "/files")),
        text.app("shop", bind=bind, hosts=("a.example", "b.example"), paths=("/shop",)),
        text.app("cart", bind=bind, hosts=("a.example",), paths=("/shop/cart",)),
        text.app("all", bind=bind, hosts=("all.example",)),
    ]
    text.load(both, *apps)
    asked = {
        ("a.example", "/shop"): "shop_blue",
        ("A.example", "/shop/"): "shop_blue",
        ("a.example:80", "/shop/x?q=/shop/cart"): "shop_blue",
        ("a.example", "/shopping"): "503",
        ("a.example", "/shop/cart"): "cart_blue",
        ("a.example", "/shop/cart/1"): "cart_blue",
        ("b.example", "/shop/cart/1"): "shop_blue",
        ("a.example", "/shop/deep/1"): "shop_blue",
        ("a.example", "/files/1"): "any_blue",
        ("all.example", "/files/1"): "all_blue",
        ("c.example", "/shop/deep/1"): "any_blue",
        ("c.example", "/shop"): "503",
    }

    def found(place: int | tuple[str, int]) -> list[str]:
        return [ask(place, path, host)[1].split("\n")[0] for host, path in asked]

    door = text.door(front=text.front(*apps))
    by_door = {
        (host, path): answer[2].get("bgd-served", str(answer[0])).split(" ")[0]
        for host, path in asked
        for answer in [ask(door, path, host)]
    }

    assert by_door == asked
    assert found(port_of(apps[0])) == found(door)


def test_other_hosts(text: Text, both: Servers) -> None:
    """On a bind whose apps all have hosts, other hosts get 503, unless the host's own file serves them."""
    app = text.app(hosts=("a.example",))
    text.load(both, app)

    assert ask(port_of(app), host="b.example")[0] == 503

    own = f"server {{ listen 127.0.0.1:{port_of(app)} default_server; return 299; }}"
    text.nginx.write_main(http=own, stream=True)
    text.hup(text.structure)
    eventually(lambda: ask(port_of(app), host="b.example")[0] == 299, "the host's own answers")

    assert ask(port_of(app), host="a.example")[1].startswith("blue")

    text.nginx.write_main(stream=True)
    text.hup(text.structure)


def test_lines(text: Text, both: Servers) -> None:
    """An app's lines stand in its server and replace what the text would say; not where bgd asks."""
    lines = (
        "location /own { return 204; }",
        r"location ~ \.php$ { return 205; }",
        "proxy_set_header Host mine;",
        'proxy_set_header X-More "a b";',
        "proxy_buffering on;",
        "if ($arg_away) { return 301 /; }",
    )
    app = text.app(lines=lines, bind=(f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"))
    text.load(both, app)

    assert [ask(port_of(app), path)[0] for path in ("/own", "/x.php", "/?away=1")] == [204, 205, 301]
    head = ask(port_of(app))[1]
    assert "Host: mine\r\n" in head
    assert "X-More: a b\r\n" in head
    assert "X-Forwarded-Proto: http\r\n" in head
    assert [whose(text, app, "any.example", path) for path in ("/own", "/?away=1")] == ["shop_blue"] * 2


def test_what_a_backend_is_told(text: Text, both: Servers, mirrors: dict[Colour, Mirror]) -> None:
    """Host as it came, from where, and by which scheme, on connections that are kept open."""
    app = text.app()
    text.load(both, app)
    before = mirrors[BLUE].connections
    blue = [ask(port_of(app), "/a%20b//c", "me.example:81")[1] for _ in range(12)][-1]
    text.flip("shop", GREEN)
    green = ask(port_of(app), "/a%20b//c", "me.example:81")[1]

    assert "GET /a%20b//c HTTP/1.1\r\nHost: me.example:81\r\n" in blue
    assert "X-Forwarded-For: 127.0.0.1\r\n" in blue
    assert "X-Forwarded-Proto: http\r\n" in blue
    assert "Connection:" not in blue
    assert blue.replace("blue", "green") == green
    assert mirrors[BLUE].connections - before <= 2, "one for each worker"


def test_while_clients_are_led_off(text: Text, both: Servers) -> None:
    """While connections are closed before a reload, requests are served as ever, each the last on its own."""
    apps = [text.app(), text.app("cart", paths=("/cart",), lines=("proxy_intercept_errors on;",))]
    text.load(both, *apps)
    text.flip("cart", GREEN)

    def asked() -> list[tuple[int, str]]:
        answers = [ask(port_of(app), "/cart/a%20b?c", method="POST", body="whole" * 99) for app in apps]
        assert [answer[2]["Connection"] for answer in answers] == [
            "close" if text.closing.exists() else "keep-alive"
        ] * 2
        return [answer[:2] for answer in answers]

    before = asked()
    text.closing.touch()
    meanwhile = asked()
    text.closing.unlink()

    assert before == meanwhile
    assert [body.split("\n")[0] for _, body in before] == ["blue", "green"]
    assert all("whole" * 99 in body for _, body in before)


def test_the_proof(text: Text, both: Servers, mirrors: dict[Colour, Mirror]) -> None:
    """At bgd's door an answer says which group and server gave it, also a dead colour's."""
    app = text.app()
    text.load({BLUE: both[BLUE], GREEN: frozenset()}, app)
    door = text.door(front=text.front(app))

    said = ask(door)[2]["bgd-served"]
    assert re.fullmatch(rf"shop_blue {mirrors[BLUE].server.name} \d\.\d{{3}}", said)
    assert "bgd-served" not in ask(port_of(app))[2]

    text.flip("shop", GREEN)
    status, _, headers = ask(door)

    assert (status, headers["bgd-served"]) == (502, "shop_green shop_green -")
    assert ask(port_of(app))[0] == 502

    worker = re.fullmatch(rf"bgd lb-1 {text.structure} (\d+) [\d.]+", ask(text.door())[1])
    assert worker
    assert int(worker[1]) in text.nginx.workers()


def test_a_flip_is_seen_by_every_worker_at_once(text: Text, both: Servers) -> None:
    """The request after a flip goes to the other colour, on whichever connection and worker."""
    app = text.app()
    text.load(both, app)
    for colour in [GREEN, BLUE] * 10:
        text.flip("shop", colour)

        assert {ask(port_of(app))[1].split("\n")[0] for _ in range(10)} == {colour.value}


def test_an_unbound_app(text: Text, both: Servers) -> None:
    """An app without a bind has its groups and bgd's door; the host's own server decides by the flag."""
    app = text.app(bind=())
    port = free_port()
    own = f"""server {{
        listen 127.0.0.1:{port};
        location / {{
            set $bgd_backend shop_blue;
            if (-e {text.flags}/shop.green) {{ set $bgd_backend shop_green; }}
            proxy_pass http://$bgd_backend;
        }}
    }}"""
    text.load(both, app)
    text.nginx.write_main(http=own, stream=True)
    text.hup(text.structure)
    eventually(lambda: ask(port)[1].startswith("blue"), "the host's own server serves")
    text.flip("shop", GREEN)

    assert ask(port)[1].startswith("green")
    assert whose(text, app, "any.example", "/") == "shop_green"

    text.nginx.write_main(stream=True)
    text.hup(text.structure)


def test_a_dead_backend_is_passed_over(text: Text, both: Servers) -> None:
    """One that refuses costs no request of any kind; who is down is not asked at all."""
    app, dead = text.app(), Server("127.0.0.1", free_port())
    text.load({BLUE: both[BLUE] | {dead}, GREEN: frozenset()}, app)

    assert {ask(port_of(app), method=method)[0] for method in ("GET", "POST") * 10} == {200}

    text.load({BLUE: both[BLUE] | {dead}, GREEN: frozenset()}, app, down=frozenset({dead.name}))
    before = text.nginx.said()

    assert {ask(port_of(app), method=method)[0] for method in ("GET", "POST") * 10} == {200}
    assert dead.name not in text.nginx.said().removeprefix(before)


def test_what_may_have_been_done_is_not_done_again(text: Text, both: Servers) -> None:
    """A GET whose backend dies is asked of another; a POST that may have been carried out is not."""
    dying = Mirror("dying")
    dying.mute = True
    app = text.app()
    text.load({BLUE: both[BLUE] | {dying.server}, GREEN: frozenset()}, app)

    assert {ask(port_of(app))[0] for _ in range(6)} == {200}

    text.load({BLUE: frozenset({dying.server}), GREEN: both[BLUE]}, app)
    before = dying.requests

    assert ask(port_of(app), method="POST")[0] == 502
    assert dying.requests == before + 1
    dying.close()


def test_grpc(text: Text, both: Servers, mirrors: dict[Colour, Mirror]) -> None:
    """Where a bind speaks HTTP/2, gRPC goes to the same colour over HTTP/2, and all else over HTTP/1.1."""
    app = text.app(bind=(f"127.0.0.1:{free_port()} http2",))
    text.load(both, app)
    port = int(app.bind[0].split()[0].rpartition(":")[2])
    for colour in (BLUE, GREEN, BLUE):
        text.flip("shop", colour)

        assert call(port, "application/grpc+proto") == f"{colour} over HTTP/2"
        assert call(port, "text/plain").startswith(f"{colour}\nGET / HTTP/1.1\r\n")


def test_grpc_goes_over_too(text: Text, both: Servers) -> None:
    """Blue refuses, and it is permitted: gRPC and all else are answered by green, and else by nobody."""
    app = text.app(bind=(f"127.0.0.1:{free_port()} http2",))
    text.load({**both, BLUE: frozenset({Server("127.0.0.1", free_port())})}, app)
    port = int(app.bind[0].split()[0].rpartition(":")[2])
    text.adapter.permit({"shop": Permission(BLUE, time.monotonic() + 60)})
    assert call(port, "application/grpc+proto") == "green over HTTP/2"
    assert call(port, "text/plain").startswith("green\n")
    text.adapter.permit({})

    assert "green" not in call(port, "application/grpc+proto") + call(port, "text/plain")


def call(port: int, kind: str) -> str:
    """The body of one answer over HTTP/2."""
    spoken, body = H2Connection(H2Configuration()), b""
    spoken.initiate_connection()
    head = {
        ":method": "GET",
        ":path": "/",
        ":scheme": "http",
        ":authority": "a.example",
        "content-type": kind,
    }
    spoken.send_headers(1, list(head.items()), end_stream=True)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as front:
        while True:
            front.sendall(spoken.data_to_send())
            for event in spoken.receive_data(front.recv(65536)):
                if isinstance(event, DataReceived):
                    body += event.data
                if isinstance(event, StreamEnded):
                    return body.decode()


def test_a_tcp_app(text: Text, mirrors: dict[Colour, Mirror]) -> None:
    """A tcp app's text names its live colour; with none left there is no second file."""
    both, app = servers(mirrors[BLUE], mirrors[GREEN]), text.app("db", mode="tcp")
    page = text.load(both, app, live=GREEN)

    assert page.texts.keys() == {"bgd.conf", "bgd.stream"}
    assert ask(port_of(app))[1].startswith("green\n")
    assert ask(text.door(front=text.front(app)))[1].startswith("green\n")

    (text.nginx.folder / "bgd.stream").unlink()
    assert text.load(both, text.app()).texts.keys() == {"bgd.conf"}


def test_a_restart_after_a_kill(mirrors: dict[Colour, Mirror]) -> None:
    """Killed with kill -9 and started again, nginx serves what it served, by the same flag."""
    with text_before_nginx() as text:
        app = text.app()
        text.load(servers(mirrors[BLUE], mirrors[GREEN]), app)
        text.flip("shop", GREEN)
        text.nginx.restart()

        assert ask(port_of(app))[1].startswith("green\n")
        assert whose(text, app, "any.example", "/") == "shop_green"


def test_the_old_door_is_shut_while_old_workers_finish(text: Text, both: Servers) -> None:
    """Nobody accepts on a structure's door once its workers only finish what they have."""
    slow = socket.create_server(("127.0.0.1", 0))
    app = text.app()
    text.load({BLUE: frozenset({Server(*slow.getsockname())}), GREEN: frozenset()}, app)
    old, asking = text.structure, threading.Thread(target=ask, args=(port_of(app),))
    asking.start()
    held, _ = slow.accept()
    assert text.listens(old)
    text.load(both, app)

    assert text.nginx.workers(finishing=True)
    assert not text.listens(old)
    assert not text.listens(old, text.front(app))
    assert text.listens(text.structure, text.front(app))

    held.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    asking.join(5)
    held.close()
    slow.close()
    eventually(lambda: not text.nginx.workers(finishing=True), "the old worker has finished")
