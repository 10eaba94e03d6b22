"""A real Consul in which other nodes' daemons are stood in for, and bgctl as a program.

A stand-in does in Consul what a daemon does (its sign of life, its report, following the live key) and
nothing to any proxy.
"""

import base64
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from bgctl import commands
from tests.integration.consul import ConsulServer
from tests.integration.parts import ROOT
from tests.integration.waiting import eventually
from tests.unit.bgctl import fleet

BGCTL = [sys.executable, "-m", "bgctl"]
DEADLINE_S = 20.0
LOOK_S = 0.01
"""So often a stand-in looks whether something is asked."""


@dataclass(frozen=True)
class Ran:
    """How a bgctl ended, and what it said."""

    exit: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class World:
    """One prefix in Consul, with its stand-ins."""

    consul: ConsulServer
    prefix: str
    sessions: dict[str, str] = field(default_factory=dict)
    told: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    """The reports as they were written last, by app and node."""
    saying: threading.RLock = field(default_factory=threading.RLock)
    ended: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    # -- Consul, as daemons and people write it

    def put(self, key: str, value: Any) -> int:
        """Write a key below the prefix; its ModifyIndex."""
        text = value if isinstance(value, str) else json.dumps(value)
        self.consul.put(f"{self.prefix}/{key}", text)
        return self.index(key)

    def transact(self, values: dict[str, str]) -> None:
        """Write keys below the prefix in one transaction."""
        encoded = {key: base64.b64encode(text.encode()).decode() for key, text in values.items()}
        ops = [
            {"KV": {"Verb": "set", "Key": f"{self.prefix}/{key}", "Value": value}}
            for key, value in encoded.items()
        ]
        self.consul.request("PUT", "/v1/txn", json.dumps(ops).encode())

    def delete(self, key: str) -> None:
        self.consul.delete(f"{self.prefix}/{key}")

    def get(self, key: str) -> str | None:
        return self.consul.get(f"{self.prefix}/{key}")

    def index(self, key: str) -> int:
        return self.consul.index(f"{self.prefix}/{key}")

    def live(self, colour: str = "blue", app: str = "shop") -> int:
        """Write the live key as the Consul UI does; its generation."""
        return self.put(f"apps/{app}/live", colour)

    def lives(self, node: str) -> None:
        """Write a node's sign of life, held by a session."""
        body = json.dumps({"TTL": "60s", "Behavior": "delete", "LockDelay": "0s", "Checks": []}).encode()
        session = json.loads(self.consul.request("PUT", "/v1/session/create", body))["ID"]
        value = json.dumps({"schema": 1, "instance": node, "since": "2026-01-31T12:00:00Z"}).encode()
        path = f"/v1/kv/{self.prefix}/alive/{node}?acquire={session}"
        assert self.consul.request("PUT", path, value).strip() == b"true"
        self.sessions[node] = session

    def dies(self, node: str) -> None:
        """End a node's session, and its sign of life with it."""
        self.consul.request("PUT", f"/v1/session/destroy/{self.sessions.pop(node)}")

    def tells(self, node: str, serves: str | None = "blue", generation: int = 0, **told: Any) -> None:
        """Write a node's report."""
        app = told.pop("app", "shop")
        generation = generation or self.index(f"apps/{app}/live")
        with self.saying:
            said = {"app": app, "prepared": self.told.get((app, node), {}).get("prepared")}
            self._tell(node, fleet.report(node, serves, generation, **told) | said)

    def _tell(self, node: str, report: dict[str, Any]) -> None:
        self.told[report["app"], node] = report
        self.put(f"nodes/{report['app']}/{node}", report)

    def member(self, node: str, serves: str | None = "blue", generation: int = 0, **told: Any) -> None:
        """A node that lives and has reported."""
        self.lives(node)
        self.tells(node, serves, generation, **told)

    def follows(self, *nodes: str, since: int = 0, **told: Any) -> None:
        """From now on these nodes prove each new generation, as daemons do."""
        since = since or self.index("apps/shop/live")
        thread = threading.Thread(target=self._follow, args=(nodes, since, told), daemon=True)
        thread.start()
        self.threads.append(thread)

    def _follow(self, nodes: tuple[str, ...], index: int, told: dict[str, Any]) -> None:
        while not self.ended.is_set():
            path = f"/v1/kv/{self.prefix}/apps/shop/live?index={index}&wait=500ms"
            try:
                found = json.loads(self.consul.request("GET", path))[0]
            except OSError:
                continue
            if found["ModifyIndex"] != index:
                index = found["ModifyIndex"]
                for node in nodes:
                    self.tells(node, self.get("apps/shop/live"), index, **told)

    def prepares(self, *nodes: str, gate: dict[str, Any] | None = None) -> None:
        """From now on these nodes answer each preparation of the shop: yes, or by this gate no."""
        thread = threading.Thread(target=self._prepare, args=(nodes, gate), daemon=True)
        thread.start()
        self.threads.append(thread)

    def _prepare(self, nodes: tuple[str, ...], gate: dict[str, Any] | None) -> None:
        asked = ""
        while not self.ended.wait(LOOK_S):
            with suppress(OSError):  # Consul may be taken away
                name = self.asked()
                if name != asked:
                    for node in nodes:
                        self.answers(node, name, gate)
                    asked = name

    def asked(self) -> str:
        """The id of the preparation that stands, or empty."""
        found = self.consul.ask(f"/v1/kv/{self.prefix}/apps/shop/prepare")
        held = found and found[0].get("Session")
        return str(json.loads(base64.b64decode(found[0]["Value"]))["id"]) if held else ""

    def until_asked(self) -> str:
        """The id of the preparation, once one stands."""
        return str(eventually(self.asked, "a preparation stands"))

    def answers(self, node: str, asked: str, gate: dict[str, Any] | None = None, diff: str = "") -> None:
        """Write a node's answer to a preparation into its report; to none, when its id is empty."""
        gates = [gate or {"gate": "backends", "ok": True, "detail": "3/3 healthy; blue has 3/3"}]
        answer = {"id": asked, "ok": gate is None, "gates": gates, "diff": diff or None} if asked else None
        with self.saying:
            if self.told["shop", node].get("prepared") != answer:
                self._tell(node, self.told["shop", node] | {"prepared": answer})

    def close(self) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join(DEADLINE_S)

    # -- bgctl

    def command(self, *words: str) -> list[str]:
        return [*BGCTL, "--prefix", self.prefix, *words]

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("CONSUL", "BGCTL"))}
        path = f"{ROOT / 'daemon'}:{ROOT / 'cli'}"
        return kept | {"PYTHONPATH": path, "CONSUL_HTTP_ADDR": self.consul.address} | more

    def bgctl(self, *words: str, **environment: str) -> Ran:
        """Run bgctl to its end, within this process: a Python for each would cost more than all it does."""
        out, err = _stream(), _stream()
        seen = patch.dict(os.environ, self.environment(**environment), clear=True)
        with seen, redirect_stdout(out), redirect_stderr(err):
            status = commands.run(["--prefix", self.prefix, *words])
        return Ran(status, _said(out), _said(err))

    @contextmanager
    def started(self, *words: str) -> Iterator["Running"]:
        """A bgctl that runs meanwhile, and is gone afterwards."""
        process = subprocess.Popen(
            self.command(*words),
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        running = Running(process)
        try:
            yield running
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def _stream() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)


def _said(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()


@dataclass
class Running:
    """A bgctl that has been started."""

    process: subprocess.Popen[str]
    err: str = ""

    def until_said(self, pattern: str) -> None:
        """Read its stderr until it has said this."""
        assert self.process.stderr is not None
        while not re.search(pattern, self.err):
            line = self.process.stderr.readline()
            assert line, f"ended without saying {pattern}: {self.err}"
            self.err += line

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def end(self) -> Ran:
        """Wait for its end."""
        out, err = self.process.communicate(timeout=DEADLINE_S)
        return Ran(self.process.returncode, out, self.err + err)


@contextmanager
def two_nodes(consul: ConsulServer, prefix: str) -> Iterator[World]:
    """Two nodes that serve blue, of the key's generation; nobody answers preparations yet."""
    world = World(consul, prefix)
    world.live("blue")
    world.member("lb-1")
    world.member("lb-2")
    try:
        yield world
    finally:
        world.close()
