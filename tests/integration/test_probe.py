"""Probes against backends that listen in this process and behave as each test tells them to."""

import os
import queue
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from statistics import median

import attrs
import pytest
from structlog.testing import capture_logs

from bgd.config import ProbeSettings
from bgd.core.events import Probed
from bgd.core.model import Backend, Colour
from bgd.host import names
from bgd.host.probe import AsyncProber
from tests.integration.waiting import eventually

DEADLINE_S = 30.0
QUICK = ProbeSettings(interval_s=0.05, timeout_s=10.0)
BLUE, GREEN = Colour.BLUE, Colour.GREEN
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

Behaviour = Callable[[socket.socket], None]


def answers(*pieces: bytes, pause_s: float = 0.0) -> Behaviour:
    """Read a request, then answer with these bytes, each after a pause."""

    def behave(client: socket.socket) -> None:
        client.recv(8192)
        for piece in pieces:
            threading.Event().wait(pause_s)
            client.sendall(piece)

    return behave


def hangs(client: socket.socket) -> None:
    """Read, and never answer."""
    while client.recv(8192):
        pass


@contextmanager
def backend(behaviour: Behaviour, address: str = "127.0.0.1") -> Iterator[Backend]:
    """A backend that handles each connection by `behaviour`."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as listener:
        listener.bind((address, 0))
        listener.listen(512)
        threading.Thread(target=_accept, args=(listener, behaviour), daemon=True).start()
        try:
            yield at(address, listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, behaviour: Behaviour) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_handle, args=(client, behaviour), daemon=True).start()


def _handle(client: socket.socket, behaviour: Behaviour) -> None:
    with client, suppress(OSError):
        client.settimeout(DEADLINE_S)
        behaviour(client)


def at(address: str, port: int) -> Backend:
    return Backend(address=address, port=port, id=f"{address}-{port}", release="1")


def refusing_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Probing:
    """A prober with the mailbox that its results go to."""

    def __init__(self) -> None:
        self.results: queue.SimpleQueue[Probed] = queue.SimpleQueue()
        self.prober = AsyncProber(self.results.put)
        self.prober.start()

    def watch(self, *backends: Backend, settings: ProbeSettings = QUICK, app: str = "shop") -> None:
        self.prober.configure(app, settings)
        self.prober.watch(app, {BLUE: backends, GREEN: ()})

    def next(self, name: str = "") -> Probed:
        """The next result, of this backend if one is named."""
        end_s = time.monotonic() + DEADLINE_S
        while True:
            result = self.results.get(timeout=max(0.0, end_s - time.monotonic()))
            if name in ("", result.name):
                return result

    def until(self, wanted: Callable[[Probed], bool]) -> Probed:
        end_s = time.monotonic() + DEADLINE_S
        while time.monotonic() < end_s:
            if wanted(result := self.next()):
                return result
        raise AssertionError("it never came")

    def during(self, span_s: float) -> list[Probed]:
        """All results of a while."""
        found, end_s = [], time.monotonic() + span_s
        with suppress(queue.Empty):
            while True:
                found.append(self.results.get(timeout=max(0.0, end_s - time.monotonic())))
        return found


@pytest.fixture
def probing() -> Iterator[Probing]:
    probing = Probing()
    yield probing
    probing.prober.close()


# -- what one probe says ------------------------------------------------------------------------


def test_a_healthy_backend(probing: Probing) -> None:
    """A status that is expected passes, and says nothing more."""
    with backend(answers(OK)) as healthy:
        probing.watch(healthy)
        result = probing.next()

    assert (result.app, result.colour, result.name) == ("shop", BLUE, healthy.name)
    assert (result.ok, result.detail) == (True, "")
    assert 0 < result.took_s < QUICK.timeout_s


@pytest.mark.parametrize(
    ("status", "ok"), [(199, False), (200, True), (204, True), (205, False), (302, True), (503, False)]
)
def test_expected_statuses(probing: Probing, status: int, ok: bool) -> None:
    """Only a status within `expect` passes; another is named with who said it."""
    with backend(answers(b"HTTP/1.1 %d Word\r\n\r\n" % status)) as each:
        probing.watch(each, settings=attrs.evolve(QUICK, expect=((200, 204), (302, 302))))
        result = probing.next()

    assert (result.ok, result.detail) == (ok, "" if ok else f"{status} from {each.name}")


def test_refused(probing: Probing) -> None:
    """Where nobody listens, the refusal is the detail."""
    probing.watch(at("127.0.0.1", port := refusing_port()))
    result = probing.next()

    assert (result.ok, result.detail) == (False, f"connection refused by 127.0.0.1:{port}")


def test_no_answer_in_time(probing: Probing) -> None:
    """A backend that accepts and never answers fails when the timeout is over, not later."""
    with backend(hangs) as hung:
        probing.watch(hung, settings=ProbeSettings(interval_s=0.05, timeout_s=0.2))
        result = probing.next()

    assert (result.ok, result.detail) == (False, f"no answer from {hung.name} within 200ms")
    assert 0.2 <= result.took_s < 2.0


def test_no_connection_in_time(probing: Probing) -> None:
    """A backend that does not even accept is told apart from one that does not answer."""
    with socket.socket() as full, ExitStack() as held:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        for _ in range(3):
            client = held.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        probing.watch(at("127.0.0.1", port), settings=ProbeSettings(interval_s=0.05, timeout_s=0.2))
        result = probing.next()

    assert (result.ok, result.detail) == (False, f"no connection to 127.0.0.1:{port} within 200ms")


def test_slower_than_max_latency(probing: Probing) -> None:
    """An expected answer that came too late fails, in the same words each time."""
    with backend(answers(OK, pause_s=0.1)) as slow:
        probing.watch(slow, settings=ProbeSettings(interval_s=0.05, max_latency_s=0.05))
        details = {probing.next().detail, probing.next().detail}

    assert details == {f"{slow.name} is slower than max_latency, 50ms"}


def test_within_max_latency(probing: Probing) -> None:
    """An answer within max_latency passes."""
    with backend(answers(OK)) as fast:
        probing.watch(fast, settings=attrs.evolve(QUICK, max_latency_s=5.0))

        assert probing.next().ok


@pytest.mark.parametrize(
    ("behaviour", "detail"),
    [
        (answers(b"SSH-2.0-x\r\n"), "{} does not answer in HTTP/1"),
        (answers(b"HTTP/1.1 200 " + b"x" * 100_000), "{} does not answer in HTTP/1"),
        (answers(b"HTTP/1.1 20"), "{} closed without an answer"),
        (answers(), "{} closed without an answer"),
    ],
)
def test_no_http(probing: Probing, behaviour: Behaviour, detail: str) -> None:
    """What is not an HTTP/1 status line, or ends before it, fails."""
    with backend(behaviour) as strange:
        probing.watch(strange)
        result = probing.next()

    assert (result.ok, result.detail) == (False, detail.format(strange.name))


def test_an_answer_in_pieces(probing: Probing) -> None:
    """A status line may come byte by byte."""
    pieces = [bytes([byte]) for byte in b"HTTP/1.1 200 OK\r\n"]
    with backend(answers(*pieces, pause_s=0.005)) as slow:
        probing.watch(slow)

        assert probing.next().ok


def test_an_endless_body_is_not_read(probing: Probing) -> None:
    """Once the status is known the probe is over, however much would follow."""

    def endless(client: socket.socket) -> None:
        client.recv(8192)
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            client.sendall(b"x" * 65536)

    with backend(endless) as talker:
        probing.watch(talker)

        assert [probing.next().ok for _ in range(3)] == [True] * 3


def test_tcp(probing: Probing) -> None:
    """Without a path a connection is enough, and nothing is sent over it."""
    received: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    with backend(lambda client: received.put(client.recv(100))) as quiet:
        probing.watch(quiet, at("127.0.0.1", port := refusing_port()), settings=attrs.evolve(QUICK, path=""))

        assert probing.next(quiet.name).ok
        assert received.get(timeout=DEADLINE_S) == b""
        assert probing.next(f"127.0.0.1:{port}").detail == f"connection refused by 127.0.0.1:{port}"


def test_host_and_port_of_their_own(probing: Probing) -> None:
    """`probe.port` is asked in place of the backend's, with `probe.host` in the request."""
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def record(client: socket.socket) -> None:
        requests.put(client.recv(8192))
        client.sendall(OK)

    with backend(record) as health:
        settings = attrs.evolve(QUICK, path="/up", host="shop.example", port=health.port)
        probing.watch(at("127.0.0.1", 1), settings=settings)

        assert probing.next().name == "127.0.0.1:1"
        assert b"Host: shop.example\r\n" in requests.get(timeout=DEADLINE_S)


def test_ipv6(probing: Probing) -> None:
    """An IPv6 address is probed like any other, in brackets where it is named."""
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def record(client: socket.socket) -> None:
        requests.put(client.recv(8192))
        client.sendall(b"HTTP/1.1 500 No\r\n\r\n")

    with backend(record, "::1") as six:
        probing.watch(six)

        assert probing.next(six.name).detail == f"500 from [::1]:{six.port}"
        assert b"Host: [::1]:%d\r\n" % six.port in requests.get(timeout=DEADLINE_S)


# -- names --------------------------------------------------------------------------------------


def test_host_name(probing: Probing) -> None:
    """A host name is looked up and probed."""
    with backend(answers(OK)) as each:
        probing.watch(at("localhost", each.port))

        assert probing.until(lambda result: result.ok).name == f"localhost:{each.port}"


def test_a_slow_name_server_holds_up_nobody(probing: Probing, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one name is being looked up, all others are probed; nothing is said of the one."""
    answered = threading.Event()
    real = socket.getaddrinfo

    def slow(host: str, *rest: object, **more: object) -> object:
        if host == "slow.invalid":
            answered.wait(DEADLINE_S)
            host = "127.0.0.1"
        return real(host, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(names.socket, "getaddrinfo", slow)
    with backend(answers(OK)) as fast:
        probing.watch(at("slow.invalid", fast.port), fast)
        first = [probing.next().name for _ in range(10)]
        answered.set()

        assert set(first) == {fast.name}
        assert probing.next(f"slow.invalid:{fast.port}").ok


@pytest.mark.parametrize("number", [socket.EAI_NONAME, socket.EAI_NODATA])
def test_a_name_that_does_not_exist(probing: Probing, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A name that its name server does not know fails its backend."""

    def unknown(*_: object, **__: object) -> object:
        raise socket.gaierror(number, "No such name")

    monkeypatch.setattr(names.socket, "getaddrinfo", unknown)
    probing.watch(at("gone.invalid", 80))

    assert probing.next().detail == "no address for gone.invalid: No such name"


def test_a_name_server_that_is_gone(probing: Probing, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that cannot be asked is no backend's fault."""

    def down(*_: object, **__: object) -> object:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(names.socket, "getaddrinfo", down)
    probing.watch(at("some.invalid", 80))

    assert probing.during(0.5) == []


# -- when ---------------------------------------------------------------------------------------


def test_new_backends_are_probed_at_once(probing: Probing) -> None:
    """A backend that joins does not wait for the interval, nor do those that are there begin anew."""
    with backend(answers(OK)) as first, backend(answers(OK)) as second:
        probing.watch(first, settings=(slow := attrs.evolve(QUICK, interval_s=60)))
        assert probing.next().name == first.name
        probing.watch(first, second, settings=slow)

        assert probing.next().name == second.name
        assert probing.during(0.2) == []


def test_backends_that_left_are_let_go(probing: Probing) -> None:
    """Nothing is said any more of a backend that left, even if a probe of it was under way."""
    with backend(hangs) as gone, backend(answers(OK)) as stays:
        probing.watch(gone, stays, settings=(settings := ProbeSettings(interval_s=0.05, timeout_s=0.3)))
        probing.next(gone.name)
        probing.watch(stays, settings=settings)
        probing.next(stays.name)
        probing.during(0.05)

        assert {probing.next().name for _ in range(8)} == {stays.name}


def test_both_colours_and_all_apps(probing: Probing) -> None:
    """One address in two colours or two apps is probed for each."""
    with backend(answers(OK)) as each:
        for app in ("shop", "api"):
            probing.prober.configure(app, QUICK)
            probing.prober.watch(app, {BLUE: (each,), GREEN: (each, each)})
        four = {(app, colour) for app in ("shop", "api") for colour in Colour}
        seen: Counter[tuple[str, Colour]] = Counter()
        while min((seen[each] for each in four), default=0) < 10:
            result = probing.next()
            seen[result.app, result.colour] += 1

    assert set(seen) == four
    assert max(seen.values()) <= 15, "nobody is probed twice as often"


def test_new_settings_count_at_once(probing: Probing) -> None:
    """What is configured anew does not wait for the old interval to end."""
    with backend(answers(b"HTTP/1.1 404 No\r\n\r\n")) as each:
        probing.watch(each, settings=attrs.evolve(QUICK, interval_s=60))
        assert not probing.next().ok
        probing.prober.configure("shop", attrs.evolve(QUICK, interval_s=60, expect=((404, 404),)))

        assert probing.next().ok


def test_never_two_probes_of_one_backend(probing: Probing) -> None:
    """A timeout beyond the interval does not pile probes up."""
    open_now: list[int] = [0]
    most: list[int] = [0]
    lock = threading.Lock()

    def count(client: socket.socket) -> None:
        with lock:
            open_now[0] += 1
            most[0] = max(most[0], open_now[0])
        hangs(client)
        with lock:
            open_now[0] -= 1

    with backend(count) as hung:
        probing.watch(hung, settings=ProbeSettings(interval_s=0.05, timeout_s=0.3))
        for _ in range(4):
            probing.next()

    assert most[0] == 1


def test_the_interval_is_kept(probing: Probing) -> None:
    """However long its answers take, a backend is probed once in each interval."""
    arrivals: list[float] = []

    def arrive(client: socket.socket) -> None:
        arrivals.append(time.monotonic())
        answers(OK, pause_s=0.08)(client)

    def usual_gap_s() -> float:
        arrivals.clear()
        for _ in range(15):
            probing.next()
        return median(after - before for before, after in pairwise(arrivals))

    with backend(arrive) as each:
        probing.watch(each, settings=attrs.evolve(QUICK, interval_s=0.1))
        probing.next()
        gaps_s = [usual_gap_s()]
        while gaps_s[-1] > 0.16 and len(gaps_s) < 8:  # a busy machine makes each gap longer
            gaps_s.append(usual_gap_s())

    assert 0.09 < gaps_s[-1] <= 0.16, gaps_s


def test_phases_are_spread(probing: Probing) -> None:
    """Backends that came at the same moment are not probed at the same moment ever after."""
    arrivals: list[float] = []

    def arrive(client: socket.socket) -> None:
        arrivals.append(time.monotonic())
        answers(OK)(client)

    def most() -> int:
        """So many are probed in the fullest tenth of a second."""
        arrivals.clear()
        probing.during(1.0)
        return max(Counter(int(moment * 10) for moment in arrivals).values(), default=50)

    with ExitStack() as stack:
        many = [stack.enter_context(backend(arrive)) for _ in range(50)]
        probing.watch(*many, settings=attrs.evolve(QUICK, interval_s=1.0))
        probing.during(1.5)
        # Whoever is held up for a moment probes all that are due at once; the next round is spread again.
        seconds = [most()]
        while seconds[-1] > 15 and len(seconds) < 20:
            seconds.append(most())

    assert seconds[-1] <= 15, seconds


def test_results_stop_with_close() -> None:
    """After `close` nothing is posted, and more orders are taken in silence."""
    probing = Probing()
    with backend(answers(OK)) as each:
        probing.watch(each)
        probing.next()
        probing.prober.close()
        probing.during(0)
        probing.watch(each)
        probing.prober.close()

        assert probing.during(0.2) == []
        assert not probing.prober.alive


# -- the prober's own trouble -------------------------------------------------------------------


def test_out_of_file_descriptors(probing: Probing) -> None:
    """Without a descriptor left nothing is said of any backend; it is logged once, and passes."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with backend(answers(OK)) as each, capture_logs() as said:

        def complaints() -> int:
            return sum(line["event"] == "cannot probe" for line in said)

        probing.watch(each)
        assert probing.next().ok
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        try:
            eventually(complaints, "it is logged")
            probing.during(0)
            quiet = probing.during(0.4)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)

        assert quiet == []
        assert probing.next().ok
        assert complaints() == 1


SUSPENDED = """
import sys
from bgd.config import ProbeSettings
from bgd.core.model import Backend, Colour
from bgd.host.probe import AsyncProber

prober = AsyncProber(lambda result: print(result.ok, result.detail, flush=True))
prober.configure("shop", ProbeSettings(interval_s=0.05, timeout_s=float(sys.argv[2])))
backend = Backend(address="127.0.0.1", port=int(sys.argv[1]), id="a", release="1")
prober.watch("shop", {Colour.BLUE: (backend,)})
prober.start()
sys.stdin.read()
prober.close()
"""


def test_a_suspended_host_blames_no_backend() -> None:
    """A prober that was stopped in the middle of a probe gives the backend the rest of its time."""
    timeout_s = 1.5
    questions: queue.SimpleQueue[threading.Event] = queue.SimpleQueue()

    def answer_when_told(client: socket.socket) -> None:
        questions.put(told := threading.Event())
        told.wait(DEADLINE_S)
        answers(OK)(client)

    daemon = Path(sys.modules["bgd"].__file__ or "").parents[1]
    with backend(answer_when_told) as each:
        process = subprocess.Popen(
            [sys.executable, "-c", SUSPENDED, str(each.port), str(timeout_s)],
            env={**os.environ, "PYTHONPATH": str(daemon)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            for _ in range(2):
                told = questions.get(timeout=DEADLINE_S)
                process.send_signal(signal.SIGSTOP)
                told.set()
                threading.Event().wait(timeout_s + 0.3)  # this is the suspension itself
                process.send_signal(signal.SIGCONT)
            questions.get(timeout=DEADLINE_S)
            said, _ = process.communicate(timeout=DEADLINE_S)
        finally:
            process.kill()
            process.wait()

    assert said.splitlines() == ["True "] * 2
