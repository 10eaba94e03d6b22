"""A real HAProxy as a supervisor runs it: master and workers, the host's own file, bgd's folder beside it.

Also origins that say their name, and clients that count every request that fails.
"""

import http.client
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from bgctl.demo.process import free_ports
from bgd.config import AppSettings, ProxySettings
from bgd.core.events import Event
from bgd.core.model import Colour, Server, Wanted
from bgd.proxy.change import Change
from bgd.proxy.haproxy import runtime
from bgd.proxy.kinds import adapter
from tests.integration.parts import haproxy
from tests.integration.supervised import Supervised, running
from tests.integration.waiting import eventually

MAIN_FILE = """\
global
    stats socket {runtime} mode 600 level admin
{global_lines}
defaults
    mode http
    timeout connect 1s
    timeout client 30s
    timeout server 30s

{sections}
"""


def free_port() -> int:
    """A port that nobody has, on loopback."""
    return free_ports(1)[0]


class HaproxyServer(Supervised):
    """One HAProxy with bgd's folder on its command line."""

    kind = "haproxy"
    tells_connections = True
    bad_line = "http-request nonsense"
    template = "haproxy.cfg.j2"
    bad_template = "global\n    nonsense {{ structure }}\n"

    def __init__(self, folder: Path, *, sections: str = "", global_lines: str = "") -> None:
        super().__init__(folder)
        self.main_file = folder / "haproxy.cfg"
        self.runtime_socket = folder / "admin.sock"
        self.master_socket = folder / "master.sock"
        self.loads_folder = True
        self.write_main(sections=sections, global_lines=global_lines)

    def write_main(self, *, sections: str = "", global_lines: str = "") -> None:
        """The host's own file."""
        text = MAIN_FILE.format(runtime=self.runtime_socket, sections=sections, global_lines=global_lines)
        self.main_file.write_text(text)

    def settings(self, **changes: Any) -> ProxySettings:
        """bgd's settings for this HAProxy."""
        known: dict[str, Any] = {
            "main_file": self.main_file,
            "file": self.folder / "bgd.cfg",
            "templates": self.root / "templates",
            "check": f"{haproxy()} -c -f {{main_file}} -f {{folder}}",
            "runtime_socket": self.runtime_socket,
            "master_socket": self.master_socket,
        }
        return ProxySettings(**{**known, **changes})

    def command(self) -> list[str]:
        folder = ["-f", str(self.folder)] if self.loads_folder else []
        return [haproxy(), "-W", "-db", "-S", str(self.master_socket), "-f", str(self.main_file), *folder]

    @property
    def part(self) -> Path:
        """The file of bgd's part."""
        return self.folder / "bgd.cfg"

    def line(self, header: str, value: object) -> str:
        """An app's line that gives its answers a header."""
        return f"http-response set-header {header} {value}"

    def has(self, app: str) -> bool:
        """Whether the app is left anywhere in what runs or in bgd's part."""
        return f"{app}_blue" in self.part.read_text() or app in self.map()

    def signal(self, number: signal.Signals) -> None:
        """What somebody else sends to the master; while that starts anew a signal would be lost."""
        eventually(lambda: runtime.processes(self.master_socket), "the master is there")
        super().signal(number)

    def reload_by_hand(self) -> None:
        """What somebody else does, as systemctl does it; returns when another worker serves."""
        before = self.generation()
        self.signal(signal.SIGUSR2)
        eventually(lambda: self.generation() not in (0, before), "another worker serves")

    def ask(self, command: str) -> str:
        """One command on the runtime socket."""
        with socket.socket(socket.AF_UNIX) as worker:
            worker.settimeout(15)
            worker.connect(str(self.runtime_socket))
            worker.sendall(f"{command}\n".encode())
            said = b""
            while chunk := worker.recv(1 << 16):
                said += chunk
        return said.decode()

    def pid(self) -> int:
        """The worker that serves."""
        return int(self.info("Pid"))

    def generation(self) -> int:
        """Another one after each reload; 0 for a moment in which nobody answers."""
        try:
            return self.pid()
        except OSError:
            return 0

    def holds_down(self, server: str, name: str) -> bool:
        """Whether its own checks have taken a server out."""
        return f"{server} 127.0.0.1 0 " in self.ask(f"show servers state {name}")

    def info(self, field: str) -> str:
        rows = dict(row.split(": ", 1) for row in self.ask("show info").splitlines() if ": " in row)
        return rows[field]

    def map(self) -> dict[str, str]:
        """What the serving worker decides by."""
        rows = [row.split() for row in self.ask(f"show map {self.folder / 'colours.map'}").splitlines()]
        return {row[1]: row[2] for row in rows if len(row) == 3 and row[0].startswith("0x")}

    def decides(self) -> dict[str, str]:
        """What the serving worker decides for each app."""
        return _colours(self.map())

    def on_disk(self) -> dict[str, str]:
        """What a restart would decide."""
        rows = (self.folder / "colours.map").read_text().splitlines()
        return _colours(dict(row.split()[:2] for row in rows))

    def permits(self, backend: str) -> bool:
        """Whether bgd lets it leave this backend by itself."""
        return f" {backend} " in self.ask(f"show map {self.folder / 'permitted.map'}")

    def held(self) -> set[str]:
        """Every server that it still has, also those that are leaving."""
        rows = (line.split() for line in self.ask("show servers state").splitlines())
        return {row[3] for row in rows if len(row) > 3}

    def servers(self) -> dict[str, set[tuple[str, int]]]:
        """Backend → (server, weight), without those in maintenance; the hop is no server of an app."""
        found: dict[str, set[tuple[str, int]]] = {}
        for line in self.ask("show servers state").splitlines()[2:]:
            row = line.split()
            if len(row) > 7 and not int(row[6]) & 1 and row[3] != "bgd_other":
                found.setdefault(row[1], set()).add((row[3], int(row[7])))
        return found

    def answers(self) -> bool:
        try:
            return "Pid:" in self.ask("show info")
        except OSError:
            return False

    def listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as worker:
            return worker.connect_ex(str(self.runtime_socket)) == 0


def _colours(entries: dict[str, str]) -> dict[str, str]:
    return {app: name.rpartition("_")[2] for app, name in entries.items()}


def running_haproxy(**main: Any) -> AbstractContextManager[HaproxyServer]:
    """A started HAProxy."""
    return running(HaproxyServer, **main)


class Origin:
    """An HTTP backend that answers with its name and the path it was asked for."""

    def __init__(self, name: str, *, address: str = "127.0.0.1", delay_s: float = 0.0) -> None:
        self.name, self.address = name, address
        self.delay_s = delay_s
        self.healthy = True
        self.asked = 0
        origin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one packet

            def do_GET(self) -> None:
                if "bgd" not in self.headers.get("User-Agent", ""):
                    origin.asked += 1
                    time.sleep(origin.delay_s)
                body = f"{origin.name} {self.path}".encode()
                self.send_response(200 if origin.healthy else 500)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                return

        class Listener(ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
            request_queue_size = 512
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                return

        self._server = Listener((address, 0), Handler)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def server(self) -> Server:
        return Server(self.address, self.port)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def get(port: int, path: str = "/", host: str = "any.example") -> str:
    """The body of one answer on a new connection, or its status when it is not 200."""
    front = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    try:
        front.request("GET", path, headers={"Host": host})
        answer = front.getresponse()
        body = answer.read().decode()
        return body if answer.status == 200 else str(answer.status)
    finally:
        front.close()


class Load:
    """Clients on kept-alive connections that never try twice; every failure is one."""

    def __init__(self, port: int, clients: int = 4) -> None:
        self.answers: Counter[str] = Counter()
        self.lost: list[str] = []
        self._port = port
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._client, daemon=True) for _ in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(10)

    def _client(self) -> None:
        front: http.client.HTTPConnection | None = None
        while not self._over.is_set():
            front = front or http.client.HTTPConnection("127.0.0.1", self._port, timeout=15)
            try:
                front.request("GET", "/")
                answer = front.getresponse()
                body = answer.read().decode()
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(repr(error))
                front.close()
                front = None
                continue
            if answer.status == 200:
                self.answers[body.split()[0]] += 1
            else:
                self.lost.append(str(answer.status))
            if answer.will_close:
                front.close()
                front = None


class Ear:
    """Hears what the proxy room logs and tells."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.reloads: list[str] = []
        self.cuts: list[tuple[str, int]] = []

    def reloaded(self, result: str) -> None:
        self.reloads.append(result)

    def old_workers(self, count: int | None) -> None:
        return

    def cut(self, app: str, count: int) -> None:
        self.cuts.append((app, count))

    def _hear(self, event: str, **more: Any) -> None:
        self.said.append(f"{event} {more}")

    info = warning = error = _hear


class Stage:
    """A running proxy, bgd's proxy room before it, and an origin of each colour."""

    def __init__(self, proxy: Any) -> None:
        self.proxy = proxy
        self.ear = Ear()
        self.origins: dict[Colour, list[Origin]] = {colour: [Origin(colour.value)] for colour in Colour}
        self.apps: list[AppSettings] = []
        self.change: Change

    def open(self, *apps: AppSettings, **settings: Any) -> Change:
        """Start (or start anew) bgd's proxy room with these apps."""
        self.apps = list(apps)
        proxy = self.proxy.settings(**settings)
        self.change = Change(proxy, adapter(proxy, "lb-1"), apps, "lb-1", self.ear, self.ear)
        return self.change

    def app(self, name: str = "shop", **changes: Any) -> AppSettings:
        """An app on a free port of loopback."""
        known = {"name": name, "service": name, "bind": (f"127.0.0.1:{free_port()}",)}
        return AppSettings(**{**known, **changes})

    def wanted(self, **changes: Any) -> Wanted:
        """Every origin in its colour, all healthy."""
        servers = {each: frozenset(origin.server for origin in self.origins[each]) for each in Colour}
        names = frozenset(server.name for each in servers.values() for server in each)
        return Wanted(**{"servers": servers, "healthy": names, **changes})

    def flip(self, colour: Colour, app: str = "shop", **changes: Any) -> Any:
        return self.change.flip(app, colour, self.wanted(**changes))

    def sync(self, **changes: Any) -> Any:
        """Every app is to hold every origin."""
        return self.change.sync({app.name: self.wanted(**changes) for app in self.apps})

    def look(self) -> Any:
        """What bgd sees of the running proxy."""
        seen: list[Event] = []
        self.change.look(seen.append)
        return seen[0]

    def add_origin(self, colour: Colour, **more: Any) -> Origin:
        origin = Origin(colour.value, **more)
        self.origins[colour].append(origin)
        return origin

    def in_step(self) -> None:
        """What a restart of HAProxy loads is what ran before it."""
        before = (self.proxy.map(), self.proxy.servers())
        self.proxy.restart()

        assert before == (self.proxy.map(), self.proxy.servers())

    def close(self) -> None:
        for origins in self.origins.values():
            for origin in origins:
                origin.close()


def port_of(app: AppSettings) -> int:
    """The port of an app's first bind."""
    return int(app.bind[0].split()[0].rpartition(":")[2])


@contextmanager
def set_stage(**main: str) -> Iterator[Stage]:
    """A stage that is cleared when the test ends."""
    with running_haproxy(**main) as haproxy:
        stage = Stage(haproxy)
        try:
            yield stage
        finally:
            stage.close()
