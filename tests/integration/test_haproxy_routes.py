"""Which request a real HAProxy takes for whose: binds, hosts, paths, tcp, and the host's own frontend."""

import socket
import socketserver
import threading
from collections.abc import Iterator

import attrs
import pytest

from bgd.config import ProbeSettings
from bgd.core.model import Colour, Server, Wanted
from bgd.core.reasons import Because
from bgd.ports import Failed, Proved
from bgd.proxy import certificates
from tests.integration.haproxy import Origin, Stage, free_port, get, port_of, set_stage
from tests.integration.waiting import eventually

BLUE, GREEN = Colour.BLUE, Colour.GREEN


@pytest.fixture
def stage() -> Iterator[Stage]:
    with set_stage() as stage:
        yield stage


def test_apps_share_a_bind(stage: Stage) -> None:
    """Of apps on one bind an exact host wins over none, then the longest path, by whole segments."""
    bind = (f"127.0.0.1:{free_port()}",)
    apps = [
        stage.app("any", bind=bind),
        stage.app("cart", bind=bind, paths=("/shop/cart/",)),
        stage.app("host", bind=bind, hosts=("Shop.Example", "www.shop.example")),
        stage.app("host-cart", bind=bind, hosts=("shop.example",), paths=("/shop/cart",)),
        stage.app("shop", bind=bind, paths=("/shop",)),
    ]
    stage.open(*apps)
    origins = {app.name: Origin(app.name) for app in apps}
    for app in apps:
        own = origins[app.name].server
        want = Wanted(
            servers={GREEN: frozenset({own}), BLUE: frozenset()},
            healthy=frozenset({own.name}),
        )
        assert isinstance(stage.change.flip(app.name, GREEN, want), Proved)

    def owner(host: str, path: str) -> str:
        return get(int(bind[0].rpartition(":")[2]), path, host).split()[0]

    assert owner("other.example", "/") == "any"
    assert owner("other.example", "/shopping") == "any"
    assert owner("other.example", "/shop") == "shop"
    assert owner("other.example", "/shop?x=/shop/cart") == "shop"
    assert owner("other.example", "/shop/cartoon") == "shop"
    assert owner("other.example", "/shop/cart") == "cart"
    assert owner("other.example", "/shop/cart/1") == "cart"
    assert owner("SHOP.example:8080", "/") == "host"
    assert owner("www.shop.example", "/shop/cart") == "host"
    assert owner("shop.example", "/shop/cart/2") == "host-cart"
    for origin in origins.values():
        origin.close()


def test_binds_that_overlap(stage: Stage) -> None:
    """An app answers on its own binds only, also when it shares some of them."""
    both, one = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    wide = stage.app("wide", bind=(both, one))
    narrow = stage.app("narrow", bind=(both,), hosts=("narrow.example",))
    stage.open(wide, narrow)

    assert isinstance(stage.flip(BLUE, "wide"), Proved)
    assert isinstance(stage.flip(GREEN, "narrow"), Proved)

    ports = [int(bind.rpartition(":")[2]) for bind in (both, one)]

    assert [get(port, host="narrow.example") for port in ports] == ["green /", "blue /"]
    assert [get(port) for port in ports] == ["blue /", "blue /"]
    stage.in_step()


def test_lines_do_not_hide_the_proof(stage: Stage) -> None:
    """Lines that redirect, deny, rewrite or refuse by address are for customers, not for the proof."""
    lines = (
        "http-request redirect scheme https unless { ssl_fc }",
        "http-request deny",
        "http-request set-path /elsewhere",
        "tcp-request connection reject if !{ src 192.0.2.0/24 }",
        "tcp-request content reject",
    )
    stage.open(stage.app(lines=lines))

    assert isinstance(stage.flip(BLUE), Proved)
    assert isinstance(stage.flip(GREEN), Proved)


def test_bare_redirect(stage: Stage) -> None:
    """A bare redirect would answer the proof too, so it is refused with how to write it."""
    stage.open(stage.app(lines=("redirect scheme https if !{ ssl_fc }",)))

    outcome = stage.flip(BLUE)

    assert outcome.because == Because.CHECK_FAILED
    assert "http-request redirect scheme https" in outcome.detail
    assert any("http-request redirect" in problem for problem in stage.change.check())


def test_unbound_app(stage: Stage) -> None:
    """An app without a bind is decided by the same map, in the host's own frontend."""
    port = free_port()
    app = stage.app(bind=())
    stage.open(app)

    assert isinstance(stage.flip(BLUE), Proved)

    stage.proxy.write_main(
        sections=f"frontend own\n    bind 127.0.0.1:{port}\n"
        f"    use_backend %[str(shop),map({stage.proxy.folder / 'colours.map'})]\n"
    )
    stage.proxy.restart()

    assert get(port) == "blue /"
    assert isinstance(stage.flip(GREEN), Proved)
    assert get(port) == "green /"
    stage.in_step()


class Greeter:
    """A TCP backend that says its colour when it is asked, and nothing before."""

    def __init__(self, colour: Colour) -> None:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                while asked := self.request.recv(100):
                    self.request.sendall(f"{colour} ".encode() + asked)

        class Listener(socketserver.ThreadingTCPServer):
            daemon_threads = True

        self.listener = Listener(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.listener.serve_forever, args=(0.02,), daemon=True).start()
        self.server = Server("127.0.0.1", self.listener.server_address[1])

    def close(self) -> None:
        self.listener.shutdown()
        self.listener.server_close()


@pytest.fixture
def greeters() -> Iterator[dict[Colour, Greeter]]:
    greeters = {colour: Greeter(colour) for colour in Colour}
    yield greeters
    for greeter in greeters.values():
        greeter.close()


def tcp_wanted(greeters: dict[Colour, Greeter]) -> Wanted:
    servers = {each: frozenset({greeter.server}) for each, greeter in greeters.items()}
    return Wanted(servers=servers, healthy=frozenset(g.server.name for g in greeters.values()))


def ask(client: socket.socket) -> str:
    client.sendall(b"who")
    return client.recv(100).decode()


def test_tcp_app(stage: Stage, greeters: dict[Colour, Greeter]) -> None:
    """A tcp app flips by the map as well; what is open stays where it is."""
    app = stage.app("db", mode="tcp", probe=ProbeSettings(path=""))
    stage.open(app)

    def flip(colour: Colour) -> object:
        return stage.change.flip("db", colour, tcp_wanted(greeters))

    assert isinstance(flip(BLUE), Proved)
    with socket.create_connection(("127.0.0.1", port_of(app))) as early:
        assert ask(early) == "blue who"

        outcome = flip(GREEN)

        assert isinstance(outcome, Proved)
        assert outcome.via == "runtime"
        with socket.create_connection(("127.0.0.1", port_of(app))) as late:
            assert ask(late) == "green who"
        assert ask(early) == "blue who"

    assert stage.look().decided == {"db": GREEN}
    stage.in_step()


def test_dead_tcp_colour(stage: Stage, greeters: dict[Colour, Greeter]) -> None:
    """A tcp colour that takes no connection is never decided for."""
    app = stage.app("db", mode="tcp", probe=ProbeSettings(path=""), lines=("tcp-request connection reject",))
    stage.open(app)
    stage.change.flip("db", BLUE, tcp_wanted(greeters))
    greeters[GREEN].close()

    outcome = stage.change.flip("db", GREEN, tcp_wanted(greeters))

    assert isinstance(outcome, Failed)
    assert outcome.because == Because.NOT_PROVED
    assert stage.proxy.map() == {"db": "db_blue"}


def test_probes_of_the_proxy(stage: Stage) -> None:
    """HAProxy probes as bgd does, so that it acts on a sick server when bgd is not there."""
    probe = ProbeSettings(
        path="/health?q='%41", host="", interval_s=0.1, rise=1, fall=1, expect=((200, 204), (401, 401))
    )
    app = stage.app(probe=probe)
    stage.open(app)

    assert isinstance(stage.flip(BLUE), Proved)

    stage.origins[BLUE][0].healthy = False

    eventually(lambda: get(port_of(app)) == "503", "HAProxy has taken the sick server out")

    stage.origins[BLUE][0].healthy = True

    eventually(lambda: get(port_of(app)) == "blue /", "HAProxy has taken it back")


def test_socket_path_too_long(stage: Stage) -> None:
    """A folder too deep for a unix socket is said so, not found out by a failed reload."""
    settings = stage.proxy.settings()
    deep = stage.proxy.root / ("deep" * 20)
    stage.open(stage.app(), file=deep / settings.file.name)

    outcome = stage.flip(BLUE)

    assert outcome.because == Because.CHECK_FAILED
    assert "shorter folder" in outcome.detail


def test_words_from_outside_stay_words(stage: Stage) -> None:
    """Quotes, percent signs and blanks in settings cannot become configuration."""
    app = stage.app(hosts=("a'b%{x}.example",), paths=("/a b'c\"$HOME",))
    stage.open(attrs.evolve(app, probe=ProbeSettings(path="/x'y%z", host="h'%[pid]")))

    assert stage.change.check() == []


def test_certificates_that_bgd_may_not_read(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is root's only, in the host's own file or in a bind, does not fail the check."""
    secret = stage.proxy.root / "secret.pem"
    secret.write_text("no key that anybody could load")
    monkeypatch.setattr(certificates, "readable", lambda path: path != secret)
    own = f"frontend own\n    bind 127.0.0.1:{free_port()} ssl crt {secret}\n"
    stage.proxy.write_main(sections=own)
    stage.open(stage.app(bind=(f"127.0.0.1:{free_port()} ssl crt {secret}",)))

    assert stage.change.check() == []

    monkeypatch.undo()

    assert any(str(secret) in problem for problem in stage.change.check())
