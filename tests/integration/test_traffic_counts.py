"""What bgd counts of a real proxy's answers is what the clients saw; what it cannot know it does not say."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bgctl.demo.parts import Backends
from bgd.config.settings import RevertSettings
from bgd.core.events import Event, TrafficSeen
from bgd.core.health import Traffic
from bgd.core.model import Colour, Policy, Server
from bgd.proxy import traffic
from tests.integration.haproxy import Stage, free_port, get, port_of
from tests.integration.shop import running, soak_on_nginx
from tests.integration.waiting import eventually

BLUE, GREEN = Colour.BLUE, Colour.GREEN
JUDGED = RevertSettings(error_rate=0.05, latency_s=0.05)
UPGRADE = b"""\
GET /ws HTTP/1.1\r
host: a\r
upgrade: websocket\r
connection: upgrade\r
sec-websocket-version: 13\r
sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r
\r
"""
BLUR_S = 0.005
"""HAProxy tells its mean in whole milliseconds."""
POLICY = Policy(error_rate=0.05, latency_s=0.05, min_requests=50)


class Counting(Stage):
    """A stage whose app is judged by its traffic, with green live; and what bgd has said of that."""

    port: int
    seen: TrafficSeen | None = None
    waited_s = 0.0
    """So long clients waited for a whole answer, in the mean, when the test asked last."""

    def open_shop(self, **servers: Any) -> None:
        app = self.app(revert=JUDGED)
        self.port = port_of(app)
        self.open(app)
        self.flip(GREEN, **servers)
        self.listen()

    def listen(self) -> TrafficSeen | None:
        """What was last said of green, after another look."""
        said: list[Event] = []
        self.change.look(said.append)
        of_green = [each for each in said if isinstance(each, TrafficSeen) and each.colour is GREEN]
        self.seen = of_green[-1] if of_green else self.seen
        return self.seen

    def ask(self, times: int, path: str = "/") -> list[str]:
        """So many clients ask once each, some at a time; what they got."""
        with ThreadPoolExecutor(20) as clients:
            answers = list(clients.map(lambda _: _timed(self.port, path), range(times)))
        self.waited_s = sum(took_s for _, took_s in answers) / times
        return [answer for answer, _ in answers]

    def until_counted(self, requests: int) -> TrafficSeen:
        """Look until so many answers are counted."""
        eventually(lambda: self.listen() and self.so_far() >= requests, f"{requests} answers are counted")
        assert self.seen is not None
        return self.seen

    def so_far(self) -> int:
        return (self.seen and self.seen.requests) or 0

    def until_unknown(self) -> None:
        eventually(lambda: (seen := self.listen()) and seen.requests is None, "nothing is known")


def _timed(port: int, path: str) -> tuple[str, float]:
    began_s = time.monotonic()
    return get(port, path), time.monotonic() - began_s


def fault(seen: TrafficSeen, policy: Policy = POLICY) -> str:
    """The verdict against what was seen, if it is one."""
    if seen.requests is None:
        return ""
    return Traffic(seen.requests, seen.errors, seen.mean_s, 0.0).fault(policy, 0.0)


@pytest.fixture
def stage(kind: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counting]:
    """Counting begins with the flip itself: nothing but the test's own requests is under way."""
    monkeypatch.setattr(traffic, "SETTLE_S", 0.0)
    with running(kind) as proxy:
        stage = Counting(proxy)
        try:
            yield stage
        finally:
            stage.close()


@soak_on_nginx
def test_errors_are_those_that_clients_saw(stage: Counting) -> None:
    """Each 5xx that went to a client counts as failed, and nothing else; too few requests are no verdict."""
    stage.open_shop()
    stage.origins[GREEN][0].healthy = False

    assert stage.ask(30) == ["500"] * 30

    seen = stage.until_counted(30)

    assert (seen.requests, seen.errors, fault(seen)) == (30, 30, "")

    stage.origins[GREEN][0].healthy = True
    stage.ask(30)
    seen = stage.until_counted(60)

    assert (seen.requests, seen.errors) == (60, 30)
    assert fault(seen) == "30 of 60 answers failed"


@soak_on_nginx
def test_slow_answers_are_seen(stage: Counting) -> None:
    """The mean answer time is what clients waited, or a little less."""
    stage.open_shop()
    stage.origins[GREEN][0].delay_s = 0.1
    stage.ask(60)
    seen = stage.until_counted(60)

    assert 0.08 < seen.mean_s < stage.waited_s + BLUR_S
    assert "in the mean" in fault(seen)


def test_streams_and_websockets_are_not_slow(stage: Counting, tmp_path: Path) -> None:
    """How long an answer goes on does not count, only how long it took to begin."""
    with Backends(tmp_path, ["green"]) as backends, ExitStack() as held:
        host, _, port = backends.of("green")[0].rpartition(":")
        server = Server(host, int(port))
        servers = {BLUE: frozenset[Server](), GREEN: frozenset({server})}
        stage.open_shop(servers=servers, healthy=frozenset({server.name}))
        for _ in range(5):
            held.enter_context(websocket(stage.port))
        began_s = time.monotonic()
        stage.ask(60, "/stream?n=4&ms=100")

        assert time.monotonic() - began_s > 3 * 0.4

        held.close()
        seen = stage.until_counted(60)

        assert seen.mean_s < 0.4 / 2
        assert not fault(seen, replace(POLICY, latency_s=0.4 / 2))


@contextmanager
def websocket(port: int) -> Iterator[None]:
    """One that is held open."""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as front:
        front.sendall(UPGRADE)

        assert b" 101 " in front.recv(4096)
        yield


@soak_on_nginx
def test_dead_server_beside_a_living_one(stage: Counting) -> None:
    """What was refused by one server and answered by the next has not failed."""
    nobody = Server("127.0.0.1", free_port())
    living = stage.origins[GREEN][0].server
    servers = {BLUE: frozenset[Server](), GREEN: frozenset({nobody, living})}
    stage.open_shop(servers=servers, healthy=frozenset({nobody.name, living.name}))

    assert stage.ask(60) == ["green /"] * 60

    seen = stage.until_counted(60)

    assert (seen.requests, seen.errors) == (60, 0)


@soak_on_nginx
def test_nobody_answers(stage: Counting) -> None:
    """What the proxy itself says in the place of a dead colour has failed."""
    stage.open_shop()
    stage.origins[GREEN][0].close()

    failed = [answer for answer in stage.ask(60) if answer in ("502", "503")]
    seen = stage.until_counted(60)

    assert len(failed) > 30, "not only what was kept open is left"
    assert (seen.requests, seen.errors) == (60, len(failed))


def failing(stage: Counting) -> None:
    """Green fails, and that is a verdict."""
    stage.open_shop()
    stage.origins[GREEN][0].healthy = False
    stage.ask(60)
    assert fault(stage.until_counted(60))


def test_restarted_proxy_is_unknown(stage: Counting) -> None:
    """A proxy that began anew while bgd counted tells nothing of what was before, and gives no verdict."""
    failing(stage)

    stage.proxy.restart()
    stage.until_unknown()
    began_s = time.monotonic()
    stage.ask(20)
    seen = stage.until_counted(20)

    assert (seen.requests, seen.errors, fault(seen)) == (20, 20, "")
    assert seen.since_s <= began_s


@pytest.mark.parametrize("kind", ["haproxy"])
def test_reloaded_proxy_is_unknown(stage: Counting) -> None:
    """A reload that somebody makes begins the sums anew: what the old workers say last is not known."""
    failing(stage)

    stage.proxy.reload_by_hand()
    stage.until_unknown()


@soak_on_nginx
def test_flip_begins_anew(stage: Counting) -> None:
    """What a colour answered before a flip is not held against it after the next."""
    failing(stage)

    stage.origins[GREEN][0].healthy = True
    stage.flip(BLUE)
    stage.flip(GREEN)
    flipped_s, stage.seen = time.monotonic(), None
    stage.listen()
    stage.ask(10)
    seen = stage.until_counted(10)

    assert (seen.requests, seen.errors) == (10, 0)
    assert seen.since_s >= flipped_s


@soak_on_nginx
def test_apps_that_are_not_judged(kind: str) -> None:
    """An app whose traffic is not judged costs no question."""
    with running(kind) as proxy:
        stage = Counting(proxy)
        stage.open(stage.app())
        stage.flip(GREEN)
        said: list[Event] = []
        stage.change.look(said.append)

        assert len(said) == 1
        stage.close()
