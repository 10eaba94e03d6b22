"""A whole shop for the tests: real Consul, HAProxy, backends in two colours, bgd beside them, and load.

Everything is started on free ports of loopback and ends with the test. The shop's own words are few:
`bgctl`, `put`, `report`, `until`, `load`.
"""

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bgctl.demo.parts import Backends, fetch
from bgctl.demo.process import Process, environment, free_ports
from tests.integration import consul as consul_world
from tests.integration.consul import ConsulServer
from tests.integration.haproxy import HaproxyServer, running_haproxy
from tests.integration.load import Load
from tests.integration.parts import haproxy as haproxy_program

RELEASES = {"blue": "2.4.0", "green": "2.5.0"}
FAST_PROBE = 'probe = { interval = "100ms", timeout = "80ms", rise = 2, fall = 3 }'
HEAD = """\
node = "{node}"
consul.address = "{consul}"
consul.token_file = "{token_file}"
status.listen = "127.0.0.1:{status}"
state.directory = "{state}"

[proxy]
main_file = "{proxy.main_file}"
file = "{proxy.folder}/bgd.cfg"
templates = "{proxy.root}/templates"
runtime_socket = "{proxy.runtime_socket}"
master_socket = "{proxy.master_socket}"
check = "{haproxy} -c -f {{main_file}} -f {{folder}}"
"""


def eventually(true: Callable[[], Any], what: str, *, within_s: float = 15.0) -> Any:
    """Poll until something is so, and give it; a failed test when it never is."""
    end_s = time.monotonic() + within_s
    while time.monotonic() < end_s:
        if found := true():
            return found
        time.sleep(0.01)
    raise AssertionError(f"not within {within_s} s: {what}")


class Bgd(Process):
    """One daemon with a configuration file of its own, which may be written anew while it runs."""

    def __init__(self, folder: Path, text: str, status: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file, self.status_port = folder / "bgd.toml", status
        self.file.write_text(text)
        super().__init__([sys.executable, "-m", "bgd", "run", "--config", str(self.file)], folder / "bgd.log")

    def wait_ready(self) -> None:
        self.until_ready("bgd runs", lambda: fetch(self.status_port, "GET", "/healthz") is not None)

    def said(self, event: str) -> list[dict[str, Any]]:
        """The log's lines of one event."""
        lines = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return [line for line in lines if line.get("event") == event]


class Shop:
    """One node with one app named shop (and more, where a test says so)."""

    def __init__(
        self, folder: Path, consul: ConsulServer, haproxy: HaproxyServer, backends: Backends
    ) -> None:
        self.folder, self.consul, self.haproxy, self.backends = folder, consul, haproxy, backends
        self.port, self.status = free_ports(2)
        self.apps = [self.app("shop", self.port)]
        self.token_file = ""
        self.head = ""
        self.bgd = self.daemon()

    def app(self, name: str, port: int, *lines: str, probe: str = FAST_PROBE) -> str:
        """An app's table of bgd.toml."""
        bind = f'bind = ["127.0.0.1:{port}"]'
        return "\n".join(["[[app]]", f'name = "{name}"', bind, probe, *lines, ""])

    def text(self, node: str = "lb-1", state: str = "state") -> str:
        """bgd.toml as it stands now."""
        head = HEAD.format(
            node=node,
            consul=self.consul.address,
            token_file=self.token_file,
            status=self.status,
            state=self.folder / state,
            proxy=self.haproxy,
            haproxy=haproxy_program(),
        )
        return self.head + head + "\n" + "\n".join(self.apps)

    def daemon(self) -> Bgd:
        return Bgd(self.folder / "bgd", self.text(), self.status)

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
        ended = subprocess.run(
            command, capture_output=True, text=True, env=environment(), timeout=90, check=False
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

    def until_serving(self, colour: str, app: str = "shop", *, within_s: float = 15.0) -> None:
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

    def until_because(self, because: str, app: str = "shop", *, within_s: float = 15.0) -> None:
        """Wait until bgd says a reason."""
        try:
            eventually(lambda: self.because(app) == because, f"{app} says {because}", within_s=within_s)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.report(app)}\n{self.bgd.last_words()}") from None

    def answer(self, port: int = 0, path: str = "/") -> str:
        """The colour that answers at the front, or empty."""
        return str(fetch(port or self.port, "GET", path) or "").strip()

    @contextmanager
    def load(self, **lanes: Any) -> Iterator[Load]:
        """Load on the front; on leaving, nothing may be lost."""
        with Load(self.port, folder=self.folder, **lanes) as load:
            yield load
        assert load.records
        lost = load.lost()
        assert not lost, lost[:5]

    def hup(self) -> None:
        """Have bgd read its configuration anew."""
        self.bgd.file.write_text(self.text())
        self.bgd.signal(signal.SIGHUP)


@contextmanager
def opened(
    folder: Path,
    colours: Sequence[str] = ("blue", "blue", "green", "green"),
    *,
    start: bool = True,
    haproxy: dict[str, str] | None = None,
    **consul: Any,
) -> Iterator[Shop]:
    """A shop whose blue serves; `start=False` leaves bgd to the test."""
    with ExitStack() as stack:
        short = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bgd-")))
        backends = stack.enter_context(Backends(short, colours))
        server = stack.enter_context(consul_world.running(folder / "consul", **consul))
        proxy = stack.enter_context(running_haproxy(**(haproxy or {})))
        shop = Shop(short, server, proxy, backends)
        stack.callback(lambda: shop.bgd.stop())
        if start:
            shop.open()
        yield shop
