"""The real parts of the story but the proxy: Consul, backends, load, and bgd itself, each as a process."""

import http.client
import json
import re
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bgctl.demo import records
from bgctl.demo.process import LateError, Process, environment, free_ports, program

if TYPE_CHECKING:
    from bgctl.demo.proxies import Proxy


def fetch(port: int, method: str, path: str, body: str | None = None, *, timeout_s: float = 10) -> Any:
    """One request to a service on loopback: its answer as JSON, as text, or None when there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        text = answer.read().decode()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    if answer.status != 200:
        return None
    return json.loads(text) if "json" in (answer.getheader("Content-Type") or "") else text


class Consul(Process):
    """A Consul server of our own, in memory, on loopback."""

    LEFT = Path("/tmp/consul-test")  # noqa: S108 (each start of Consul leaves this empty folder)

    def __init__(self, folder: Path) -> None:
        self.port, *ports = free_ports(3)
        self.program = program("consul")
        configuration = folder / "consul.json"
        configuration.write_text(json.dumps(self.settings(*ports)))
        arguments = ["agent", "-dev", "-bind", "127.0.0.1", "-node", "demo", "-log-level", "warn"]
        arguments += ["-config-file", str(configuration)]
        super().__init__([self.program, *arguments], folder / "consul.log")

    def settings(self, *ports: int) -> dict[str, Any]:
        """It asks nobody whether it is new enough, and has a web UI."""
        return {"ports": self.ports(*ports), "ui": True, "disable_update_check": True}

    def ports(self, server: int, serf: int) -> dict[str, int]:
        ports = {"http": self.port, "server": server, "serf_lan": serf, "serf_wan": -1, "dns": -1, "grpc": -1}
        return ports | ({"grpc_tls": -1} if self.version() >= (1, 14) else {})

    def version(self) -> tuple[int, ...]:
        said = subprocess.run(
            [self.program, "version"],
            capture_output=True,
            text=True,
            env=environment(),
            check=False,
        ).stdout
        found = re.search(r"v(\d+)\.(\d+)\.(\d+)", said)
        return tuple(int(part) for part in found.groups()) if found else ()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_ready(self) -> None:
        self.until_ready("Consul has a leader", lambda: bool(self.get("/v1/status/leader")))

    def stop(self) -> None:
        super().stop()
        with suppress(OSError):
            self.LEFT.rmdir()

    def get(self, path: str) -> Any:
        return fetch(self.port, "GET", path)

    def put(self, path: str, body: str = "") -> Any:
        return fetch(self.port, "PUT", path, body)

    def put_key(self, key: str, value: str) -> None:
        """A plain PUT of a key, as the web UI does it: no transaction, no order beside it."""
        if self.put(f"/v1/kv/{urllib.parse.quote(key)}", value) is not True:
            raise LateError(f"Consul did not take the key {key}")

    def register(self, service: str, colour: str, address: str, release: str) -> None:
        """Register one backend of a colour."""
        host, _, port = address.rpartition(":")
        body = {
            "ID": f"{service}-{colour}-{address.replace(':', '-')}",
            "Name": service,
            "Address": host,
            "Port": int(port),
            "Tags": [colour],
            "Meta": {"version": release},
        }
        self.put("/v1/agent/service/register", json.dumps(body))


class Backends(Process):
    """One process with the backends of both colours."""

    def __init__(self, folder: Path, colours: Sequence[str], *, tcp: bool = False) -> None:
        ports = free_ports(len(colours))
        self.addresses = [(colour, f"127.0.0.1:{port}") for colour, port in zip(colours, ports, strict=True)]
        wanted = [f"{colour}={address}" for colour, address in self.addresses]
        module = [sys.executable, "-m", "bgctl.demo.backend", *(["--tcp"] if tcp else [])]
        super().__init__(module + wanted, folder / "backends.log")

    def stdout(self) -> int:
        return subprocess.PIPE

    def wait_ready(self) -> None:
        self.heard()

    def of(self, colour: str) -> list[str]:
        """The addresses of a colour."""
        return [address for each, address in self.addresses if each == colour]

    def order(self, order: str) -> None:
        """Tell the backends what to do: `fail ADDRESS`, `slow ADDRESS MS`, `close ADDRESS` …"""
        assert self.child is not None
        assert self.child.stdin is not None
        self.child.stdin.write(order + "\n")
        self.child.stdin.flush()
        if (answer := self.heard()) != "ok":
            raise ValueError(answer)

    def heard(self) -> str:
        assert self.child is not None
        assert self.child.stdout is not None
        if not (line := self.child.stdout.readline()):
            raise LateError(f"the backends ended:\n{self.last_words()}")
        return line.strip()


class Load(Process):
    """The load client on its way; when it is stopped, what it has seen."""

    stop_s = 30.0
    module = "bgctl.demo.load"

    def __init__(self, folder: Path, port: int, *options: str, name: str = "load") -> None:
        self.out = folder / f"{name}.csv"
        self.progress: dict[str, Any] = {"requests": 0, "lost": 0, "colour": ""}
        self.summary: dict[str, Any] = {}
        self.records: list[records.Record] = []
        self.ended = False
        command = [sys.executable, "-m", self.module, f"127.0.0.1:{port}", "--progress"]
        super().__init__([*command, "-o", self.out, *options], folder / f"{name}.log")

    def stdout(self) -> int:
        return subprocess.PIPE

    def wait_ready(self) -> None:
        self.reader = threading.Thread(target=self.listen, daemon=True)
        self.reader.start()
        self.until_ready("the load client runs", lambda: self.progress["requests"] > 0)

    def listen(self) -> None:
        assert self.child is not None
        assert self.child.stdout is not None
        for line in self.child.stdout:
            said = json.loads(line)
            if "lanes" in said:
                self.summary = said
            else:
                self.progress = said

    def stop(self) -> None:
        """Stop asking, wait for what is under way, and read the records."""
        if self.ended:
            return
        self.ended = True
        was_alive = self.alive()
        super().stop()
        if not was_alive or not self.out.exists():  # never to be taken for a run without losses
            raise LateError(f"the load client ended by itself. Its last words:\n{self.last_words()}")
        self.reader.join(self.stop_s)
        self.records = records.read(self.out)

    def lost(self) -> list[records.Record]:
        """The requests that got no whole answer."""
        return records.lost(self.records)

    def last(self, colour: str, *, after_ns: int = 0, before_ns: int = 1 << 63) -> int:
        """When a colour last answered, in a stretch of time."""
        return records.last(self.records, colour, after_ns=after_ns, before_ns=before_ns)


class Daemon(Process):
    """bgd, beside one proxy: for one app that has every path, or several with their names as paths."""

    CONFIGURATION = """\
node = "lb-1"

[consul]
address = "{consul}"

[proxy]
kind = "{proxy.kind}"
main_file = "{proxy.main_file}"
file = "{proxy.part}"
templates = "{proxy.folder}/templates"
check = "{proxy.check}"
{proxy.settings}
[status]
listen = "127.0.0.1:{status}"

[state]
directory = "{state}"
"""
    APP = """
[[app]]
name = "{name}"
bind = ["127.0.0.1:{port}"]
paths = [{path}]
"""

    def __init__(
        self,
        folder: Path,
        consul: Consul,
        proxy: "Proxy",
        apps: Sequence[str] = ("shop",),
        settings: str = "",
    ) -> None:
        """`settings` are further lines of each app's table."""
        self.port, self.status = free_ports(2)
        self.settings = settings
        self.configuration, state = folder / "bgd.toml", folder / "state"
        state.mkdir(exist_ok=True)
        head = self.CONFIGURATION.format(
            consul=consul.url,
            proxy=proxy,
            status=self.status,
            state=state,
        )
        tables = (self.app(name, f'"/{name}"' if len(apps) > 1 else "") for name in apps)
        self.configuration.write_text(head + "".join(tables))
        arguments = ["-m", "bgd", "run", "--config", str(self.configuration)]
        super().__init__([sys.executable, *arguments], folder / "bgd.log")

    def app(self, name: str, path: str) -> str:
        return self.APP.format(name=name, port=self.port, path=path) + self.settings

    def wait_ready(self) -> None:
        self.until_ready("bgd runs", lambda: fetch(self.status, "GET", "/healthz") is not None)
