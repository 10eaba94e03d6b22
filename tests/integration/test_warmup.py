"""The warm-up against backends that listen in this process and answer as each test tells them to."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from bgd.config import AppSettings, FlipSettings, ProbeSettings
from bgd.core.model import Backend, Colour
from bgd.core.reasons import Because
from bgd.host import warmup
from bgd.host.warmup import Warmup
from bgd.ports import Failed
from tests.integration.waiting import eventually

GREEN = Colour.GREEN
BODY = b"x" * 300_000


class Origin:
    """A backend: what it was asked, and the statuses of its next answers (then 200)."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        host, port = server.server_address[:2]
        self.backend = Backend(str(host), int(port), "green-1", "2.0")
        self.asked: list[dict[str, Any]] = []
        self.statuses: list[int] = []
        self.answer: Callable[[BaseHTTPRequestHandler], None] = _whole
        self.busy = self.most_busy = 0
        self.lock = threading.Lock()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        origin: Origin = self.server.origin  # type: ignore[attr-defined]
        with origin.lock:
            origin.asked.append({"path": self.path, "host": self.headers["Host"]})
            origin.busy += 1
            origin.most_busy = max(origin.busy, origin.most_busy)
            status = origin.statuses.pop(0) if origin.statuses else 200
        try:
            self.send_response(status)
            origin.answer(self)
        except OSError:  # the client has gone
            self.close_connection = True
        finally:
            with origin.lock:
                origin.busy -= 1

    def log_message(self, *_: Any) -> None:
        pass


def _whole(request: BaseHTTPRequestHandler) -> None:
    request.send_header("Content-Length", str(len(BODY)))
    request.end_headers()
    request.wfile.write(BODY)


def _never(request: BaseHTTPRequestHandler) -> None:
    """Reads until its client goes."""
    request.rfile.read()


def _endless(request: BaseHTTPRequestHandler) -> None:
    """A stream of events has a head and no end."""
    request.end_headers()
    while True:
        request.wfile.write(b"data: x\n\n")
        time.sleep(0.01)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def handle_error(self, *_: Any) -> None:
        pass


class _Server6(_Server):
    address_family = socket.AF_INET6


@contextmanager
def origin(address: str = "127.0.0.1") -> Iterator[Origin]:
    with (_Server6 if ":" in address else _Server)((address, 0), _Handler) as server:
        made = server.origin = Origin(server)  # type: ignore[union-attr]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield made
        finally:
            server.shutdown()


@pytest.fixture
def green() -> Iterator[Origin]:
    with origin() as made:
        yield made


def warm(
    *backends: Backend, requests: int = 3, still: Callable[[], bool] = lambda: True, **probe: Any
) -> int | Failed:
    settings = AppSettings(
        name="shop", service="shop", flip=FlipSettings(warmup_requests=requests), probe=ProbeSettings(**probe)
    )
    warm_up = Warmup()
    warm_up.configure(settings)
    return warm_up("shop", GREEN, backends, still)


def test_each_backend_gets_its_requests(green: Origin) -> None:
    """As many as are wanted, as the probe asks, one after the other, and each answer is read to its end."""
    with origin() as other:
        assert warm(green.backend, other.backend, path="/warm", host="shop.test") == 3

        for each in (green, other):
            assert each.asked == [{"path": "/warm", "host": "shop.test"}] * 3
            assert each.most_busy == 1
            eventually(lambda each=each: each.busy == 0, "the whole body was taken")


def test_backends_are_warmed_at_once() -> None:
    """A slow backend's neighbours do not wait for it: each waits here until all are asked."""
    together = threading.Barrier(8)

    def meet(request: BaseHTTPRequestHandler) -> None:
        together.wait(10)
        _whole(request)

    with ExitStack() as stack:
        origins = [stack.enter_context(origin()) for _ in range(8)]
        for each in origins:
            each.answer = meet

        assert warm(*(each.backend for each in origins), requests=1) == 1


def test_ipv6_and_host_names() -> None:
    """Backends are reached by whatever address the catalog gives them; the Host is a client's."""
    with origin("::1") as six:
        assert warm(six.backend, requests=1) == 1
        assert six.asked[0]["host"] == f"[::1]:{six.backend.port}"
    with origin() as named:
        assert warm(Backend("localhost", named.backend.port, "n", "2.0"), requests=1) == 1


def test_the_probes_port_is_asked(green: Origin) -> None:
    """A probe that has a port of its own has its path there too."""
    elsewhere = Backend("127.0.0.1", 1, "green-1", "2.0")

    assert warm(elsewhere, requests=1, port=green.backend.port) == 1


@pytest.mark.parametrize(("requests", "path"), [(0, "/"), (5, "")])
def test_nothing_to_ask(green: Origin, requests: int, path: str) -> None:
    """Without requests, or where a connection is all that is probed, nothing is sent."""
    assert warm(green.backend, requests=requests, path=path) == 0
    assert green.asked == []


def test_a_cold_start_is_forgiven(green: Origin) -> None:
    """Errors at the beginning are what a warm-up is for; the newest answer counts."""
    green.statuses = [503, 500]

    assert warm(green.backend) == 3


def test_a_bad_end_is_not(green: Origin) -> None:
    """Who answers badly after all its practice is not ready, and is named."""
    green.statuses = [200, 200, 503]

    failed = warm(green.backend)

    assert isinstance(failed, Failed)
    assert failed.because is Because.TARGET_NOT_READY
    assert failed.detail == f"green is not warm: 503 from 127.0.0.1:{green.backend.port}"


def test_one_that_refuses_is_named(green: Origin) -> None:
    """One backend that takes no connection is enough; the others get their requests all the same."""
    gone = Backend("127.0.0.1", 1, "green-2", "2.0")

    failed = warm(green.backend, gone)

    assert isinstance(failed, Failed)
    assert failed.detail == "green is not warm: connection refused: 127.0.0.1:1"
    assert len(green.asked) == 3


def test_what_is_no_http(green: Origin) -> None:
    """A backend that answers in something else is told as such."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(4096)
                client.sendall(b"SSH-2.0-x\r\n")

        threading.Thread(target=talk, daemon=True).start()
        port = listener.getsockname()[1]
        failed = warm(Backend("127.0.0.1", port, "g", "2.0"), requests=1)

    assert isinstance(failed, Failed)
    assert f"127.0.0.1:{port} does not answer in HTTP/1" in failed.detail


def test_no_answer_has_an_end(green: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that is never answered ends by itself."""
    monkeypatch.setattr(warmup, "REQUEST_S", 0.2)
    green.answer = _never

    failed = warm(green.backend, requests=2)

    assert isinstance(failed, Failed)
    assert "no answer from" in failed.detail
    assert len(green.asked) == 2


def test_a_stream_without_an_end_is_an_answer(green: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a probe its status counts; no more of it is read than one request's time gives."""
    monkeypatch.setattr(warmup, "REQUEST_S", 0.2)
    green.answer = _endless

    assert warm(green.backend, requests=2) == 2


def test_all_requests_to_one_have_an_end(green: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left when its time is over is not sent, and how many were is told."""
    monkeypatch.setattr(warmup, "BACKEND_S", 0.5)

    made = warm(green.backend, requests=10_000_000)

    assert isinstance(made, int)
    assert 0 < made <= len(green.asked)


def test_the_request_that_is_cut_off_does_not_count(green: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who had answered well before its time was over is warm."""
    monkeypatch.setattr(warmup, "BACKEND_S", 0.5)
    answers = iter([_whole])
    green.answer = lambda request: next(answers, _never)(request)

    assert warm(green.backend, requests=5) == 1


def test_what_is_not_wanted_ends_in_the_middle(green: Origin) -> None:
    """Nobody waits for an answer that nobody needs any more, and no further request is made."""
    green.answer = _never
    wanted = threading.Event()
    wanted.set()
    ended: list[int | Failed] = []
    thread = threading.Thread(
        target=lambda: ended.append(warm(green.backend, requests=100, still=wanted.is_set)), daemon=True
    )
    thread.start()
    eventually(lambda: green.asked, "the first request is out")
    wanted.clear()
    thread.join(5)  # half of what a request may take

    assert isinstance(ended[0], Failed)
    eventually(lambda: green.busy == 0, "the connection is closed")
    assert len(green.asked) == 1


def test_many_backends_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than are warmed at once wait for their turn."""
    monkeypatch.setattr(warmup, "AT_ONCE", 2)
    with ExitStack() as stack:
        origins = [stack.enter_context(origin()) for _ in range(6)]

        assert warm(*(each.backend for each in origins), requests=2) == 2
        assert [len(each.asked) for each in origins] == [2] * 6
