"""A whole shop for the tests: real Consul and proxy, backends in two colours, bgd beside them, and load.

Everything is started on free ports of loopback and ends with the test. The shop's own words are few:
`bgctl`, `put`, `report`, `until`, `load`.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from bgctl.demo.parts import Backends, fetch
from bgctl.demo.process import Process, environment, free_ports
from tests.integration import consul as consul_world
from tests.integration.consul import ConsulServer
from tests.integration.haproxy import running_haproxy
from tests.integration.load import Load
from tests.integration.waiting import eventually

RELEASES = {"blue": "2.4.0", "green": "2.5.0"}
# Quick to notice, and patient: a machine that is busy for a while must not look like dead backends.
FAST_PROBE = 'probe = { interval = "100ms", timeout = "800ms", rise = 2, fall = 3 }'
HEAD = """\
node = "{node}"
consul.address = "{consul}"
consul.token_file = "{token_file}"
status.listen = "127.0.0.1:{status}"
state.directory = "{state}"

[proxy]
"""


class Bgd(Process):
    """One daemon with a configuration file of its own, which may be written anew while it runs."""

    def __init__(self, folder: Path, text: str, status: int, program: Sequence[str] = ("-m", "bgd")) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file, self.status_port = folder / "bgd.toml", status
        self.file.write_text(text)
        command = [sys.executable, *program, "run", "--config", str(self.file)]
        super().__init__(command, folder / "bgd.log")
        self.earlier = self.log.stat().st_size if self.log.exists() else 0

    def wait_ready(self) -> None:
        self.until_ready("bgd runs", lambda: fetch(self.status_port, "GET", "/healthz") is not None)

    def said(self, event: str) -> list[dict[str, Any]]:
        """The log's lines of one event, as this process wrote them."""
        text = self.log.read_bytes()[self.earlier :].decode()
        whole = text[: text.rfind("\n") + 1].splitlines()
        lines = (json.loads(line) for line in whole if line.startswith("{"))
        return [line for line in lines if line.get("event") == event]


class Shop:
    """One node with one app named shop (and more, where a test says so)."""

    def __init__(
        self,
        folder: Path,
        consul: ConsulServer,
        proxy: Any,
        backends: Backends,
        *,
        node: str = "lb-1",
    ) -> None:
        self.folder, self.consul, self.proxy, self.backends = folder, consul, proxy, backends
        self.node = node
        self.port, self.status = free_ports(2)
        self.apps = [self.app("shop", self.port)]
        self.reach, self.token_file = consul.address, ""
        self.token = consul.token
        """The operator's, if Consul asks for one."""
        self.head = self.head_of_proxy = ""
        self.program: Sequence[str] = ("-m", "bgd")
        """What Python is to run as the daemon."""
        self.bgd = self.daemon()

    def app(self, name: str, port: int, *lines: str, probe: str = FAST_PROBE) -> str:
        """An app's table of bgd.toml; port 0 is no bind."""
        bind = f'bind = ["127.0.0.1:{port}"]' if port else "bind = []"
        return "\n".join(["[[app]]", f'name = "{name}"', bind, probe, *lines, ""])

    def turned(self, number: int, *lines: str) -> None:
        """Have the app give another header with its answers: a change that needs a reload."""
        line = f"lines = {json.dumps([self.proxy.line('x-turn', number)])}"
        self.apps[0] = self.app("shop", self.port, line, *lines)
        self.hup()

    def text(self, state: str = "state") -> str:
        """bgd.toml as it stands now."""
        head = HEAD.format(
            node=self.node,
            consul=self.reach,
            token_file=self.token_file,
            status=self.status,
            state=self.folder / state,
        )
        return self.head + head + self.head_of_proxy + self.proxy_text() + "\n" + "\n".join(self.apps)

    def proxy_text(self) -> str:
        """The proxy's table, as the server that runs is to be known."""
        known = attrs.asdict(self.proxy.settings(), filter=lambda field, value: value != field.default)
        rows = (f"{key} = {json.dumps(str(value))}" for key, value in known.items() if key != "proof_port")
        port = f"proof_port = {self.proxy.settings().proof_port}\n"
        return "\n".join([*rows, port])

    def daemon(self) -> Bgd:
        return Bgd(self.folder / "bgd", self.text(), self.status, self.program)

    # -- what an operator does ------------------------------------------------------------------

    def open(self, live: str = "blue") -> None:
        """Start bgd, name the first colour, and wait until customers are served."""
        self.register()
        self.bgd.start()
        self.bgctl("init", "shop", "--live", live, check=True)
        self.until_serving(live)

    def register(self, service: str = "shop", releases: dict[str, str] | None = None) -> None:
        for colour, address in self.backends.addresses:
            self.join(colour, address, service, (releases or RELEASES)[colour])

    def join(self, colour: str, address: str, service: str = "shop", release: str = "") -> None:
        """Register one backend."""
        host, _, port = address.rpartition(":")
        meta = {"version": release or RELEASES[colour]}
        self.consul.register(service, f"{service}-{address}", host, int(port), tags=[colour], meta=meta)

    def leave(self, address: str, service: str = "shop") -> None:
        self.consul.deregister(f"{service}-{address}")

    def bgctl(self, *arguments: str, check: bool = False) -> subprocess.CompletedProcess[str]:
        """Call bgctl as a script would."""
        command = [sys.executable, "-m", "bgctl", "--consul-addr", self.consul.address, *arguments]
        token = {"CONSUL_HTTP_TOKEN": self.token} if self.token else {}
        ended = subprocess.run(
            command, capture_output=True, text=True, env=environment() | token, timeout=90, check=False
        )
        assert not check or ended.returncode == 0, (ended.returncode, ended.stdout, ended.stderr)
        return ended

    def put(self, value: str, app: str = "shop") -> None:
        """Write the live key as Consul's web UI does."""
        self.consul.put(f"bluegreen/apps/{app}/live", value)

    # -- what can be seen -----------------------------------------------------------------------

    def report(self, app: str = "shop") -> dict[str, Any]:
        """The node's newest report, from its status page; empty while there is none."""
        told = fetch(self.status, "GET", "/status") or {"apps": []}
        return next((each for each in told["apps"] if each["app"] == app), {})

    def serving(self, app: str = "shop") -> str:
        return (self.report(app).get("serving") or {}).get("colour", "")

    def because(self, app: str = "shop") -> str:
        return str(self.report(app).get("because", ""))

    def until_serving(self, colour: str, app: str = "shop", *, within_s: float = 30.0) -> None:
        """Wait until a colour is served, proved, and nothing is left to do."""

        def serves() -> bool:
            report = self.report(app)
            serving, wish = report.get("serving") or {}, report.get("desired") or {}
            same = serving.get("generation") == wish.get("generation")
            return bool(serving.get("proved")) and serving["colour"] == colour and same

        try:
            eventually(serves, f"{app} serves {colour}", within_s=within_s)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.report(app)}\n{self.bgd.last_words()}") from None

    def until_because(self, because: str, app: str = "shop", *, within_s: float = 30.0) -> None:
        """Wait until bgd says a reason."""
        try:
            eventually(lambda: self.because(app) == because, f"{app} says {because}", within_s=within_s)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.report(app)}\n{self.bgd.last_words()}") from None

    def until_well(self, *, within_s: float = 30.0) -> None:
        """Wait until the wish is served and nothing is in its way."""
        well = ("converged", "probation")
        try:
            eventually(lambda: self.because() in well, "all is well", within_s=within_s)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.report()}\n{self.bgd.last_words()}") from None

    def answer(self, port: int = 0, path: str = "/") -> str:
        """The colour that answers at the front, or empty."""
        return str(fetch(port or self.port, "GET", path) or "").strip()

    @contextmanager
    def load(self, **lanes: Any) -> Iterator[Load]:
        """Load on the front; on leaving, nothing may be lost."""
        with Load(self.port, folder=self.folder, **lanes) as load:
            yield load
        print(load.summary)  # the soak's figures: pytest -s shows them
        assert load.records
        lost = load.lost()
        assert not lost, lost[:5]

    def hup(self, text: str = "") -> None:
        """Have bgd read its configuration anew."""
        new = self.bgd.file.with_suffix(".new")
        new.write_text(text or self.text())
        new.replace(self.bgd.file)
        self.bgd.signal(signal.SIGHUP)

    def crash_bgd(self) -> None:
        """Kill it at once, and start it anew."""
        self.bgd.kill()
        self.bgd = self.daemon()
        self.bgd.start()

    def in_step(self, colour: str, app: str = "shop") -> None:
        """The running proxy, its files and the state on disk name this colour."""

        def same() -> bool:
            named = self.proxy.decides().get(app), self.proxy.on_disk().get(app), self.remembered(app)
            return named == (colour, colour, colour)

        eventually(same, f"{app} is {colour} in proxy, file and state")

    def remembered(self, app: str = "shop") -> str:
        """What a restart of bgd would serve."""
        told = json.loads((self.folder / "state" / "apps" / f"{app}.json").read_text())
        return str((told["remembered"]["serving"] or {}).get("colour", ""))


soak_on_nginx = pytest.mark.parametrize("kind", ["haproxy", pytest.param("nginx", marks=pytest.mark.soak)])
"""For what hardly touches the proxy: each test with nginx takes a while."""


def running(kind: str, **main: Any) -> AbstractContextManager[Any]:
    """A proxy of this kind, as a supervisor runs it."""
    if kind == "nginx":
        from tests.integration.nginx import running_nginx

        return running_nginx(**main)
    return running_haproxy(**main)


@contextmanager
def opened(
    folder: Path,
    colours: Sequence[str] = ("blue", "blue", "green", "green"),
    *,
    start: bool = True,
    tcp: bool = False,
    kind: str = "haproxy",
    main: dict[str, str] | None = None,
    **consul: Any,
) -> Iterator[Shop]:
    """A shop whose blue serves; `start=False` leaves bgd to the test."""
    with ExitStack() as stack:
        short = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bgd-")))
        (place := folder / "consul").mkdir(parents=True, exist_ok=True)
        server = ConsulServer(place, **consul)
        stack.callback(server.kill)
        server.spawn()  # it comes to a leader while the others start
        backends = stack.enter_context(Backends(short, colours, tcp=tcp))
        proxy = stack.enter_context(running(kind, **(main or {})))
        server.until_led()
        shop = Shop(short, server, proxy, backends)
        stack.callback(lambda: shop.bgd.stop())
        if start:
            shop.open()
        yield shop


@contextmanager
def second_node(shop: Shop, node: str = "lb-2") -> Iterator[Shop]:
    """Another load balancer beside the shop's: its own HAProxy, and a bgd that the test starts."""
    with ExitStack() as stack:
        short = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bgd-")))
        proxy = stack.enter_context(running(shop.proxy.kind))
        other = Shop(short, shop.consul, proxy, shop.backends, node=node)
        stack.callback(lambda: other.bgd.stop())
        yield other


class Churn:
    """Backends of both colours that come and go: registered when they listen, stopped when they have left."""

    STAY = 3
    GRACE_S = 2.0
    """One that left before bgd had brought it in may still come in: word of its leaving is on its way."""

    def __init__(self, shop: Shop, per_s: float) -> None:
        self.shop, self.pause_s = shop, 1 / per_s
        self.joined = self.left = 0
        self._over = threading.Event()
        self._here: dict[str, deque[str]] = {"blue": deque(), "green": deque()}
        self._leaving: dict[str, float] = {}
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Churn":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)
        if self._failed:
            raise self._failed

    def gone(self) -> int:
        """How many have left; raises what ended the coming and going."""
        if self._failed:
            raise self._failed
        return self.left

    def _run(self) -> None:
        try:
            colours = ["blue", "green"]
            while not self._over.wait(self.pause_s):
                self._step(colours[self.joined % 2])
        except BaseException as failed:
            self._failed = failed

    def _step(self, colour: str) -> None:
        """One comes; one goes that came earlier."""
        (port,) = consul_world.free_ports(1)
        address = f"127.0.0.1:{port}"
        self.shop.backends.order(f"open {colour}={address}")
        self.shop.join(colour, address)
        self._here[colour].append(address)
        self.joined += 1
        if len(self._here[colour]) > self.STAY:
            gone = self._here[colour].popleft()
            self.shop.leave(gone)
            self._leaving[gone] = time.monotonic()
            self.left += 1
        self._stop_those_that_left()

    def _stop_those_that_left(self) -> None:
        """Only a backend that the proxy no longer holds may be stopped."""
        held = self.shop.proxy.held()
        end = "close" if self.shop.proxy.tells_connections else "retire"
        late_s = time.monotonic() - self.GRACE_S
        for address in [each for each, left_s in self._leaving.items() if left_s < late_s]:
            if address not in held:
                self.shop.backends.order(f"{end} {address}")
                del self._leaving[address]


def in_own_mounts(node: str) -> bool:
    """Whether this process may mount without a trace; where not, the test has been run in one that may.

    Anybody may have a mount namespace of their own, whose mounts end with its last process.
    """
    if os.environ.get("BGD_TEST_OWN_MOUNTS"):
        return True
    inside = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    test = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", node]
    ran = subprocess.run(
        [*inside, *test],
        env=os.environ | {"BGD_TEST_OWN_MOUNTS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return False
