"""/healthz, /status and /metrics as a client sees them, over real connections."""

import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from bgd.core.model import Colour
from bgd.status import server
from bgd.status.board import Board
from bgd.status.listener import CannotListen
from bgd.status.server import StatusServer
from tests.integration.consul import free_ports

DEADLINE_S = 30.0
BLUE, GREEN = Colour.BLUE, Colour.GREEN


def report(app: str = "shop", *, because: str = "converged", serves: str | None = "green") -> dict[str, Any]:
    """A node's report of an app whose green is live."""
    serving = {"colour": serves, "generation": 412, "via": "runtime", "took_ms": 3.1, "proved": True}
    colour = {"verdict": "up", "healthy": 3, "registered": 3, "release": "2.5.0", "why": None}
    return {
        "schema": 1,
        "node": "lb-1",
        "app": app,
        "desired": {"colour": "green", "generation": 413},
        "serving": serving if serves else None,
        "because": because,
        "detail": "Grün",
        "way_back": {"open": True, "because": None, "detail": "blue 2.4.0, 3/3", "until": None},
        "colours": {"blue": {**colour, "verdict": "weak"}, "green": colour},
    }


@pytest.fixture
def board() -> Board:
    return Board("lb-1")


class Served:
    """A status server, and whether it calls itself healthy."""

    def __init__(self, board: Board, listen: str) -> None:
        self.health = (True, "")
        self.server = StatusServer(listen, board, lambda: self.health)

    @property
    def address(self) -> tuple[str, int]:
        assert self.server.address is not None
        return self.server.address

    def ask(
        self, path: str, method: str = "GET", body: bytes | None = None
    ) -> tuple[int, str, dict[str, str]]:
        """Status, body and header fields of one answer."""
        connection = http.client.HTTPConnection(*self.address, timeout=DEADLINE_S)
        connection.request(method, path, body)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text, {name.lower(): value for name, value in answer.getheaders()}

    def say(self, request: bytes) -> bytes:
        """All that is answered to these bytes."""
        with socket.create_connection(self.address, timeout=DEADLINE_S) as sock:
            sock.sendall(request)
            return b"".join(iter(lambda: sock.recv(65536), b""))

    def metrics(self) -> dict[str, float]:
        """Every sample with its labels as they are written."""
        lines = [line for line in self.ask("/metrics")[1].splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


@pytest.fixture
def served(board: Board) -> Iterator[Served]:
    served = Served(board, "127.0.0.1:0")
    served.server.start()
    yield served
    served.server.close()


# -- health and reports -------------------------------------------------------------------------


def test_healthz(served: Served) -> None:
    """Health is 200, or 503 with the reason."""
    assert served.ask("/healthz")[:2] == (200, "ok\n")

    served.health = (False, "the loop has not turned for 20 s")

    assert served.ask("/healthz")[:2] == (503, "the loop has not turned for 20 s\n")


def test_status(served: Served, board: Board) -> None:
    """The status holds the node and every app's newest report, by name."""
    board.reported("shop", report(because="starting"))
    board.reported("api", report("api"))
    board.reported("shop", report())
    status, text, fields = served.ask("/status?pretty")

    assert (status, fields["content-type"]) == (200, "application/json")
    assert json.loads(text) == {"schema": 1, "node": "lb-1", "apps": [report("api"), report()]}


def test_status_of_nothing(served: Served) -> None:
    """Before the first report there are no apps to tell of."""
    assert json.loads(served.ask("/status")[1]) == {"schema": 1, "node": "lb-1", "apps": []}


def test_a_forgotten_app(served: Served, board: Board) -> None:
    """An app that was dropped is in no answer any more, under no label."""
    for app in ("shop", "api"):
        board.reported(app, report(app))
        board.counted(app, GREEN, {"healthy": 3})
        board.probed(app, GREEN, 0.01)
        board.flipped(app, "proved", "runtime", 0.01)
    board.forgotten("shop")
    board.forgotten("never-there")

    assert [each["app"] for each in json.loads(served.ask("/status")[1])["apps"]] == ["api"]
    metrics = served.ask("/metrics")[1]
    assert 'app="shop"' not in metrics
    assert 'app="api"' in metrics


# -- metrics ------------------------------------------------------------------------------------


def test_metrics_of_reports(served: Served, board: Board) -> None:
    """What a report says is a metric: colours, generation, verdicts and the reason."""
    board.reported("shop", report(serves="blue"))
    metrics = served.metrics()

    assert metrics['bgd_live{app="shop",colour="green"}'] == 1
    assert metrics['bgd_live{app="shop",colour="blue"}'] == 0
    assert metrics['bgd_serving{app="shop",colour="green"}'] == 0
    assert metrics['bgd_serving{app="shop",colour="blue"}'] == 1
    assert metrics['bgd_generation{app="shop"}'] == 412
    assert metrics['bgd_verdict{app="shop",colour="blue",verdict="weak"}'] == 1
    assert metrics['bgd_because{app="shop",because="converged"}'] == 1


def test_a_state_that_was_left(served: Served, board: Board) -> None:
    """Only the newest reason stands, and what is served nowhere has no sample."""
    board.reported("shop", report())
    board.reported("shop", report(because="starting", serves=None))
    metrics = served.metrics()

    assert [name for name in metrics if "bgd_because" in name] == [
        'bgd_because{app="shop",because="starting"}'
    ]
    assert not [name for name in metrics if "bgd_serving" in name or "bgd_generation" in name]


def test_metrics_of_what_happened(served: Served, board: Board) -> None:
    """Flips, probes, backends, reloads, turns and Consul are counted as they are told."""
    board.flipped("shop", "proved", "runtime", 0.003)
    board.flipped("shop", "not-proved", "", 9.0)
    board.probed("shop", BLUE, 0.002)
    board.counted("shop", BLUE, {"healthy": 2, "unhealthy": 1})
    board.counted("shop", BLUE, {"healthy": 3})
    board.store_up(True)
    board.store_failed()
    board.reloaded("done")
    board.old_workers(2)
    board.looped(0.0002)
    metrics = served.metrics()

    assert metrics['bgd_flips_total{app="shop",result="proved",via="runtime"}'] == 1
    assert metrics['bgd_flips_total{app="shop",result="not-proved",via=""}'] == 1
    assert metrics['bgd_flip_seconds_count{app="shop"}'] == 1
    assert metrics['bgd_flip_seconds_sum{app="shop"}'] == 0.003
    assert metrics['bgd_probe_seconds_count{app="shop",colour="blue"}'] == 1
    assert [name for name in metrics if "bgd_backends" in name] == [
        'bgd_backends{app="shop",colour="blue",state="healthy"}'
    ]
    assert metrics["bgd_consul_up"] == 1
    assert metrics["bgd_consul_errors_total"] == 1
    assert metrics['bgd_reloads_total{result="done"}'] == 1
    assert metrics["bgd_old_workers"] == 2
    assert metrics["bgd_loop_seconds_count"] == 1


def test_what_nobody_knows_has_no_sample(served: Served, board: Board) -> None:
    """Before Consul was asked, or when the old workers cannot be counted, there is no number."""
    assert not {"bgd_consul_up", "bgd_old_workers"} & served.metrics().keys()

    board.store_up(False)
    board.old_workers(3)
    board.old_workers(None)

    assert served.metrics()["bgd_consul_up"] == 0
    assert "bgd_old_workers" not in served.metrics()


def test_every_metric_says_what_it_is(served: Served, board: Board) -> None:
    """Each metric has a help text and a type, and nothing is shown beside the promised ones."""
    text = served.ask("/metrics")[1]
    promised = (
        "backends because consul_errors_total consul_up flip_seconds flips_total generation live"
        " loop_seconds old_workers probe_seconds reloads_total reverts_total serving sessions_cut_total"
        " verdict way_back"
    )

    assert sorted(re.findall(r"# TYPE bgd_(\S+)", text)) == promised.split()
    assert sorted(re.findall(r"# HELP bgd_(\S+) \S", text)) == promised.split()


def test_told_from_many_threads(served: Served, board: Board) -> None:
    """Apps may come and go while somebody reads."""
    end = threading.Event()

    def tell(app: str) -> None:
        while not end.is_set():
            board.reported(app, report(app))
            board.counted(app, BLUE, {"healthy": 1})
            board.flipped(app, "proved", "runtime", 0.1)
            board.forgotten(app)

    threads = [threading.Thread(target=tell, args=(app,), daemon=True) for app in ("shop", "api", "pay")]
    for thread in threads:
        thread.start()
    answers = {served.ask(path)[0] for _ in range(25) for path in ("/status", "/metrics")}
    end.set()
    for thread in threads:
        thread.join(DEADLINE_S)

    assert answers == {200}


# -- HTTP ---------------------------------------------------------------------------------------


def test_what_is_not_there(served: Served) -> None:
    """Another path is 404, with a sentence that names what there is."""
    status, text, _ = served.ask("/admin")

    assert (status, text) == (404, "There is nothing here; there are /healthz, /status, /metrics.\n")


@pytest.mark.parametrize("path", ["/healthz", "/status", "/metrics", "/nothing"])
def test_head(served: Served, path: str) -> None:
    """HEAD says what GET would, without the body."""
    get, head = served.ask(path), served.ask(path, "HEAD")

    assert (head[0], head[1]) == (get[0], "")
    assert head[2]["content-length"] == get[2]["content-length"] == str(len(get[1].encode()))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "get"])
def test_other_methods(served: Served, method: str) -> None:
    """Nothing can be changed here, also not by a request with a long body."""
    status, text, fields = served.ask("/status", method, b"x" * 50_000)

    assert (status, text, fields["allow"]) == (405, "This can only be read.\n", "GET, HEAD")


def test_it_does_not_say_what_it_runs_on(served: Served) -> None:
    """No field of an answer names the language or a library."""
    for path in ("/healthz", "/status", "/metrics", "/nothing"):
        assert "server" not in served.ask(path)[2]


@pytest.mark.parametrize(
    "request_",
    [b"hello\r\n\r\n", b"GET /status\r\n\r\n", b"GET  /status HTTP/1.1\r\n\r\n", b"\0\r\n\r\n", b"\r\n\r\n"],
)
def test_no_request(served: Served, request_: bytes) -> None:
    """What is not an HTTP/1 request is refused in HTTP."""
    assert served.say(request_).startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_a_request_without_end(served: Served) -> None:
    """A head of more than some kilobytes is refused."""
    endless = b"GET /status HTTP/1.1\r\n" + b"X-Filler: x\r\n" * 1000

    assert served.say(endless).startswith(b"HTTP/1.1 431 ")


def test_openmetrics(served: Served) -> None:
    """Who asks for OpenMetrics gets it."""
    asked = b"GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text;version=1.0.0\r\n\r\n"

    assert served.say(asked).endswith(b"# EOF\n")


def test_a_slow_client_is_let_go(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends byte by byte loses its connection at its deadline, with a word why."""
    monkeypatch.setattr(server, "CLIENT_S", 10.3)
    monkeypatch.setattr(server.http1, "ANSWER_S", 10.0)
    start_s = time.monotonic()
    with socket.create_connection(served.address, timeout=0.05) as slow:
        slow.sendall(b"GET /status HTTP/1.1\r\n")
        answer = b""
        while not answer and time.monotonic() < start_s + DEADLINE_S:
            slow.sendall(b"X")
            try:
                answer = slow.recv(65536)
            except TimeoutError:
                continue

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - start_s < 10.3


def test_slow_clients_keep_nobody_out(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many clients only hold a connection, the next one is answered at once."""
    monkeypatch.setattr(server, "CLIENT_S", 60.0)
    with ExitStack() as held:
        for _ in range(3 * server.CLIENTS_AT_ONCE):
            held.enter_context(socket.create_connection(served.address, timeout=DEADLINE_S))
        start_s = time.monotonic()

        assert served.ask("/healthz")[0] == 200
        assert time.monotonic() - start_s < 30


def test_a_client_that_does_not_read(served: Served, board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that asks and never reads the answer is let go at its deadline."""
    monkeypatch.setattr(server, "CLIENT_S", 0.5)
    monkeypatch.setattr(server.http1, "ANSWER_S", 0.2)
    board.reported("shop", {**report(), "detail": "x" * 20_000_000})
    with socket.create_connection(served.address, timeout=DEADLINE_S) as deaf:
        deaf.sendall(b"GET /status HTTP/1.1\r\n\r\n")
        end_s = time.monotonic() + DEADLINE_S
        while not served.server.clients and time.monotonic() < end_s:
            threading.Event().wait(0.005)
        while served.server.clients and time.monotonic() < end_s:
            threading.Event().wait(0.005)

        assert served.server.clients == 0
        assert served.ask("/healthz")[0] == 200


# -- where it listens ---------------------------------------------------------------------------


def test_off(board: Board) -> None:
    """With an empty address nothing listens."""
    off = StatusServer("", board, lambda: (True, ""))
    off.start()

    assert off.address is None
    off.close()


def test_ipv6(board: Board) -> None:
    """An IPv6 address stands in brackets."""
    six = Served(board, "[::1]:0")
    six.server.start()
    try:
        assert six.ask("/healthz")[0] == 200
    finally:
        six.server.close()


def test_a_port_in_use(served: Served, board: Board) -> None:
    """A port that somebody holds is said with its place and the cure."""
    listen = f"127.0.0.1:{served.address[1]}"
    with pytest.raises(CannotListen) as raised:
        StatusServer(listen, board, lambda: (True, "")).start()

    assert str(raised.value) == (
        f'status.listen: cannot listen on "{listen}": address already in use;'
        " stop what listens there, or choose another port"
    )


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_of_another_host(board: Board, host: str) -> None:
    """An address that this host does not have is said with its place and the cure."""
    with pytest.raises(CannotListen) as raised:
        StatusServer(f"{host}:9180", board, lambda: (True, "")).start()

    assert (raised.value.place, raised.value.cure) == ("status.listen", "choose an address of this host")


def test_the_port_is_free_again_after_close(board: Board) -> None:
    """Closing lets go of the port and of every client, and a restart can listen at once."""
    listen = f"127.0.0.1:{free_ports(1)[0]}"
    for _ in range(2):
        each = Served(board, listen)
        each.server.start()
        with socket.create_connection(each.address, timeout=DEADLINE_S) as idle:
            assert each.ask("/healthz")[0] == 200
            each.server.close()
            assert idle.recv(1) == b""
