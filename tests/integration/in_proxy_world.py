"""An app on HAProxy whose live colour can be killed, shut and reopened, with or without permission."""

import http.client
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bgctl.demo.parts import Backends
from bgd.core.model import Colour, Server, Wanted
from bgd.core.permission import Permission
from bgd.ports import Failed, Proved
from tests.integration.haproxy import Stage, get, port_of, set_stage
from tests.integration.load import Load
from tests.integration.waiting import eventually

BLUE, GREEN = Colour.BLUE, Colour.GREEN
WAIT_S = 1.0
"""Without permission live is waited for so long."""

SHIPPED = '{% extends "shipped/haproxy.cfg.j2" %}'
IMPATIENT = """\
{% extends "shipped/haproxy.cfg.j2" %}
{% block backend_head %}    timeout connect 50ms
{% endblock %}
"""
"""Before a colour's last server is tried again, and found dead, HAProxy waits a time-out, at most 1 s."""


class Shop:
    """An app whose live colour is green, and both colours' backends as processes that can be killed."""

    def __init__(self, stage: Stage, folder: Path, *, servers: int = 2, **app: Any) -> None:
        self.stage, self.folder = stage, folder
        self.colours: dict[Colour, Backends] = {}
        for colour in Colour:
            (folder / colour).mkdir()
            self.colours[colour] = Backends(folder / colour, [colour] * servers, tcp=app.get("mode") == "tcp")
        self.app = stage.app(**app)
        self.port = port_of(self.app)

    def open(self, template: str) -> None:
        for each in self.colours.values():
            each.start()
        templates = self.stage.proxy.root / "templates"
        templates.mkdir()
        (templates / "haproxy.cfg.j2").write_text(template)
        self.stage.open(self.app)
        assert isinstance(self.flip(GREEN), Proved)

    def close(self) -> None:
        for each in self.colours.values():
            each.stop()

    def wanted(self) -> Wanted:
        """Every backend, healthy by own probes, which do not know yet who has been killed."""
        servers = {colour: frozenset(map(_server, each.addresses)) for colour, each in self.colours.items()}
        return Wanted(
            servers=servers, healthy=frozenset(each.name for one in servers.values() for each in one)
        )

    def flip(self, colour: Colour) -> Proved | Failed:
        return self.stage.change.flip(self.app.name, colour, self.wanted())

    def permit(self, live: Colour = GREEN, *, seconds: float = 60) -> None:
        self.stage.change.permit({self.app.name: Permission(live, time.monotonic() + seconds)})

    def kill(self, colour: Colour = GREEN) -> None:
        """kill -9 of all of a colour's backends."""
        self.colours[colour].kill()

    def shut(self, colour: Colour = GREEN) -> None:
        """All of a colour's backends refuse connections, and cut those that are open."""
        for address in self.colours[colour].of(colour):
            self.colours[colour].order(f"close {address}")

    def reopen(self, colour: Colour = GREEN) -> None:
        """The same backends take connections again."""
        for address in self.colours[colour].of(colour):
            self.colours[colour].order(f"open {colour}={address}")

    def revive(self, colour: Colour = GREEN) -> None:
        """The same backends again, and HAProxy's checks have seen them."""
        self.colours[colour].start()
        eventually(lambda: not self.down(colour), "HAProxy takes them for up")

    def down(self, colour: Colour) -> list[str]:
        """Those that HAProxy takes for down."""
        servers = self.stage.change._adapter.running(servers_too=True).servers
        return [name for name, each in servers[f"{self.app.name}_{colour}"].items() if each.down]

    def get(self, path: str = "/") -> str:
        """The colour that answers, or the status."""
        return get(self.port, path).strip()

    def post(self) -> str:
        """The same of a POST."""
        front = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        front.request("POST", "/order", b"one")
        answer = front.getresponse()
        body = answer.read().decode().strip()
        front.close()
        return body if answer.status == 200 else str(answer.status)

    def load(self, name: str = "load", **options: Any) -> Load:
        return Load(self.port, folder=self.folder, name=name, **options)


def _server(place: tuple[str, str]) -> Server:
    host, _, port = place[1].rpartition(":")
    return Server(host, int(port))


@contextmanager
def opened(
    folder: Path, *, sections: str = "", global_lines: str = "", template: str = IMPATIENT, **more: Any
) -> Iterator[Shop]:
    with set_stage(sections=sections, global_lines=global_lines) as stage:
        shop = Shop(stage, folder, **more)
        try:
            shop.open(template)
            yield shop
        finally:
            shop.close()


def greeting(port: int) -> str:
    """The colour that greets a new connection; nothing when it is closed."""
    with socket.create_connection(("127.0.0.1", port), 15) as opened, suppress(ConnectionResetError):
        return opened.recv(100).decode().split(" ")[0]
    return ""
