"""A real Consul for the tests: started on free ports, and hurt in every way that they need.

One that keeps its data in memory is up in 0.2 s and loses all of it when it is killed; a lasting one
keeps it on disk and needs 2 s to elect itself.
"""

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bgctl.demo.process import free_ports
from tests.integration import parts
from tests.integration.waiting import eventually

START_S = 60.0


@dataclass(frozen=True)
class Certificates:
    """Files of a certificate authority, a server's certificate and a client's."""

    ca: Path
    cert: Path
    key: Path
    client_cert: Path
    client_key: Path


def certificates(folder: Path) -> Certificates:
    """Have Consul itself make an authority with a server's and a client's certificate."""
    for command in (["ca", "create"], ["cert", "create", "-server"], ["cert", "create", "-client"]):
        subprocess.run([parts.consul(), "tls", *command], cwd=folder, check=True, capture_output=True)
    server, client = folder / "dc1-server-consul-0", folder / "dc1-client-consul-0"
    return Certificates(
        folder / "consul-agent-ca.pem",
        *(Path(f"{side}{end}") for side in (server, client) for end in (".pem", "-key.pem")),
    )


class ConsulServer:
    """One server agent. `address` is where its HTTP API is, always plain; `token` may do all."""

    def __init__(
        self,
        folder: Path,
        *,
        lasting: bool = False,
        acl: bool = False,
        tls: Certificates | None = None,
        unix: Path | None = None,
    ) -> None:
        self.folder, self.lasting, self.unix = folder, lasting, unix
        self.port, self._server_port, self.lan_port, wan, self._https_port = free_ports(5)
        self.address = f"http://127.0.0.1:{self.port}"
        self.tls_address = f"https://127.0.0.1:{self._https_port}"
        self.token = "c0ffee00-0000-4000-8000-000000000000" if acl else ""
        self._process: subprocess.Popen[bytes] | None = None
        ports = {"http": self.port, "server": self._server_port, "serf_lan": self.lan_port, "serf_wan": wan}
        if tls:
            ports["https"] = self._https_port
        (folder / "consul.json").write_text(json.dumps(self._settings(ports, tls)))

    @property
    def _data(self) -> Path:
        return self.folder / "consul-data"

    def _settings(self, ports: dict[str, int], tls: Certificates | None) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "bind_addr": "127.0.0.1",
            "node_name": "agent-1",
            "ports": {"dns": -1, "grpc": -1, **ports},
            "performance": {"raft_multiplier": 1},
            "disable_update_check": True,
            "disable_coordinates": True,  # else it writes of its own accord, and no test could tell who did
            "log_level": "warn",
        }
        if self.lasting:
            settings |= {"server": True, "bootstrap_expect": 1, "data_dir": str(self._data)}
        if self.unix:
            settings["addresses"] = {"http": f"127.0.0.1 unix://{self.unix}"}
        if self.token:
            tokens = {"master": self.token, "agent": self.token}
            settings["acl"] = {"enabled": True, "default_policy": "deny", "tokens": tokens}
        if tls:
            files = {"ca_file": str(tls.ca), "cert_file": str(tls.cert), "key_file": str(tls.key)}
            settings |= {**files, "verify_incoming_https": True}
        return settings

    # -- the process --------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the agent and wait until it has a leader."""
        self.spawn()
        self.until_led()

    def spawn(self) -> None:
        """Start the agent. It ends with the thread that started it."""
        command = [parts.consul(), "agent", "-config-file", str(self.folder / "consul.json")]
        if not self.lasting:
            command.append("-dev")
        with (self.folder / "consul.log").open("ab") as log:
            self._process = subprocess.Popen(
                # The kernel ends it with the tests, however those end.
                ["setpriv", "--pdeathsig", "KILL", "--", *command],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def until_led(self) -> None:
        """Wait until the agent takes writes, as it does when its cluster has a leader."""
        assert self._process is not None, "the agent does not run"
        deadline_s = time.monotonic() + START_S
        while not self._leads():
            assert time.monotonic() < deadline_s, (self.folder / "consul.log").read_text()[-2000:]
            assert self._process.poll() is None, (self.folder / "consul.log").read_text()[-2000:]
            time.sleep(0.005)

    def _leads(self) -> bool:
        try:
            self.request("PUT", "/v1/kv/ready", b"", timeout_s=2)
            return bool(self.delete("ready"))
        except OSError:
            return False

    @property
    def raft_address(self) -> str:
        """As the cluster names it: `/v1/status/leader` answers that of the leader."""
        return f"127.0.0.1:{self._server_port}"

    def elect_with(self, *others: "ConsulServer", name: str) -> None:
        """Make this one, before its start, one of several servers that elect a leader together."""
        file = self.folder / "consul.json"
        settings = json.loads(file.read_text())
        settings |= {"node_name": name, "bootstrap_expect": 1 + len(others), "retry_interval": "100ms"}
        settings["retry_join"] = [f"127.0.0.1:{other.lan_port}" for other in others]
        file.write_text(json.dumps(settings))
        shutil.rmtree(self._data, ignore_errors=True)

    def kill(self) -> None:
        """End the agent at once, as a crash does; what is on disk stays."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Freeze the agent: its connections stay open and nothing answers any more."""
        self._signal(signal.SIGSTOP)
        eventually(self._frozen, "each of its threads stands still")

    def _frozen(self) -> bool:
        assert self._process is not None
        tasks = Path(f"/proc/{self._process.pid}/task").iterdir()
        return all(" T " in (task / "stat").read_text() for task in tasks)

    def cont(self) -> None:
        """Let a frozen agent go on."""
        self._signal(signal.SIGCONT)

    def restart(self, *, empty: bool = False) -> None:
        """Kill and start anew on the same ports; `empty`: with all data lost."""
        assert empty or self.lasting, "only a lasting server keeps its data (fixture lasting_consul)"
        self.kill()
        if empty:
            shutil.rmtree(self._data, ignore_errors=True)
        self.start()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "the agent does not run"
        os.killpg(self._process.pid, number)

    # -- what an operator or another program does ----------------------------------------------------

    def request(
        self, method: str, path: str, body: bytes | None = None, *, timeout_s: float = 10, token: str = ""
    ) -> bytes:
        """One call of the HTTP API, by the token that may do all."""
        request = urllib.request.Request(self.address + path, data=body, method=method)
        if token or self.token:
            request.add_header("X-Consul-Token", token or self.token)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=timeout_s) as answer:
            return bytes(answer.read())

    def ask(self, path: str) -> Any:
        """What a GET answers in JSON; None when there is nothing."""
        try:
            return json.loads(self.request("GET", path))
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def put(self, key: str, text: str | bytes) -> None:
        """Write a key as Consul's UI does: a plain PUT."""
        body = text.encode() if isinstance(text, str) else text
        assert self.request("PUT", f"/v1/kv/{key}", body).strip() == b"true"

    def get(self, key: str) -> str | None:
        """A key's value, or None."""
        try:
            return self.request("GET", f"/v1/kv/{key}?raw").decode()
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def index(self, key: str) -> int:
        """A key's ModifyIndex, 0 when there is none."""
        found = self.ask(f"/v1/kv/{key}")
        return int(found[0]["ModifyIndex"]) if found else 0

    def keys(self, prefix: str = "") -> list[str]:
        """All keys below a prefix."""
        return list(self.ask(f"/v1/kv/{prefix}?keys") or [])

    def delete(self, key: str, *, recurse: bool = False) -> bool:
        """Delete a key, or all below it."""
        answer = self.request("DELETE", f"/v1/kv/{key}{'?recurse' if recurse else ''}")
        return answer.strip() == b"true"

    def register(
        self,
        service: str,
        id: str,
        address: str,
        port: int,
        *,
        tags: Sequence[str] = (),
        meta: Mapping[str, str] | None = None,
        checks: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Register an instance with this agent."""
        instance = {"Name": service, "ID": id, "Address": address, "Port": port}
        more = {"Tags": list(tags), "Meta": dict(meta or {}), "Checks": list(checks)}
        self.request("PUT", "/v1/agent/service/register", json.dumps(instance | more).encode())

    def deregister(self, id: str) -> None:
        """Take an instance out of this agent."""
        self.request("PUT", f"/v1/agent/service/deregister/{id}")

    def snapshot(self) -> bytes:
        """All that the server holds, at this moment."""
        return self.request("GET", "/v1/snapshot")

    def restore(self, snapshot: bytes) -> None:
        """Bring an earlier moment back."""
        self.request("PUT", "/v1/snapshot", snapshot)

    def grant(self, name: str, rules: str) -> str:
        """A token with these rules; of a name that exists, the rules are replaced."""
        policies = {each["Name"]: each["ID"] for each in self.ask("/v1/acl/policies")}
        body = json.dumps({"Name": name, "Rules": rules}).encode()
        if name in policies:
            self.request("PUT", f"/v1/acl/policy/{policies[name]}", body)
            return ""
        self.request("PUT", "/v1/acl/policy", body)
        token = json.dumps({"Policies": [{"Name": name}]}).encode()
        return str(json.loads(self.request("PUT", "/v1/acl/token", token))["SecretID"])


@contextmanager
def running(folder: Path, **settings: Any) -> Iterator[ConsulServer]:
    """A Consul that runs, and is gone afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    server = ConsulServer(folder, **settings)
    try:
        server.start()
        yield server
    finally:
        server.kill()
