"""bgd's part of an nginx configuration before a real nginx: rendered, written and loaded by hand.

Nothing of bgd but its text is here: what the text promises is seen without the hands that use it. Also
origins that say what came to them.
"""

import http.client
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived

from bgd.config import AppSettings
from bgd.core.model import Colour, Server
from bgd.proxy.adapter import Texts
from bgd.proxy.blocks import Block
from bgd.proxy.machine import Here
from bgd.proxy.nginx import Nginx
from bgd.proxy.render import Page, Renderer
from bgd.proxy.routes import Frontend, frontends
from tests.integration.haproxy import free_port
from tests.integration.nginx import NginxServer, running_nginx
from tests.integration.waiting import eventually

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

Servers = Mapping[Colour, frozenset[Server]]


class Text:
    """bgd's part, and the nginx that loads it."""

    def __init__(self, nginx: NginxServer) -> None:
        self.nginx = nginx
        self.flags = nginx.folder / "flags"
        self.flags.mkdir()
        self.closing = nginx.folder / "closing"
        self.adapter = Nginx(nginx.settings(), Here(), "lb-1")
        self.structure = ""

    def app(self, name: str = "shop", **changes: Any) -> AppSettings:
        known = {"name": name, "service": name, "bind": (f"127.0.0.1:{free_port()}",)}
        return AppSettings(**{**known, **changes})

    def page(self, servers: Servers, *apps: AppSettings, **more: Any) -> Page:
        """These apps, all with these servers; `down` and `live` as blocks have them."""
        blocks = {app.name: Block(app, servers, **more) for app in apps}
        return Renderer(self.nginx.root / "templates", self.adapter, node="lb-1").page(blocks)

    def load(self, servers: Servers, *apps: AppSettings, **more: Any) -> Page:
        """Write and load it; nothing is done about clients."""
        page = self.page(servers, *apps, **more)
        self.write(page.texts)
        self.hup(page.structure)
        return page

    def write(self, texts: Texts) -> None:
        for name, text in texts.items():
            (self.nginx.folder / name).write_text(text)

    def hup(self, structure: str) -> None:
        """Reload, and return when only workers of this structure accept."""
        before, self.structure = self.structure, structure
        old = self.nginx.workers()
        self.nginx.signal(signal.SIGHUP)
        eventually(lambda: self.listens(structure), f"nginx has loaded it: {self.nginx.said()[-500:]}")
        eventually(lambda: not old & self.nginx.workers(), "the old workers stop accepting")
        assert not before or before == structure or not self.listens(before)

    def without_loss(self, page: Page, *, before_s: float, after_s: float) -> None:
        """Reload as bgd does it: clients are led off their connections before."""
        self.write(page.texts)
        self.closing.touch()
        time.sleep(before_s)  # how long clients are led off is what is tried here
        self.hup(page.structure)
        time.sleep(after_s)  # likewise
        self.closing.unlink()

    def flip(self, app: str, colour: Colour) -> None:
        flag = self.flags / f"{app}.green"
        flag.touch() if colour is Colour.GREEN else flag.unlink(missing_ok=True)

    def listens(self, structure: str, front: Frontend | None = None) -> bool:
        """Whether workers of a structure accept on their door."""
        with socket.socket() as door:
            door.settimeout(2)
            return door.connect_ex(self.door(structure, front)) == 0

    def door(self, structure: str = "", front: Frontend | None = None) -> tuple[str, int]:
        found = self.adapter.words(structure or self.structure, [front] if front else [])["proof"]
        host, _, port = found(front.name if front else "").rpartition(":")
        return host, int(port)

    def front(self, *apps: AppSettings) -> Frontend:
        return frontends(apps, self.nginx.folder)[0]


@contextmanager
def text_before_nginx(**main: Any) -> Iterator[Text]:
    with running_nginx(**main) as nginx:
        yield Text(nginx)


def ask(
    place: int | tuple[str, int],
    path: str = "/",
    host: str = "any.example",
    method: str = "GET",
    body: str = "",
) -> tuple[int, str, http.client.HTTPMessage]:
    """One request on a new connection: status, body, headers."""
    address, port = place if isinstance(place, tuple) else ("127.0.0.1", place)
    front = http.client.HTTPConnection(address, port, timeout=10)
    try:
        front.request(method, path, body or None, headers={"Host": host})
        answer = front.getresponse()
        return answer.status, answer.read().decode(), answer.headers
    finally:
        front.close()


class Mirror:
    """An origin that shows each request as it came, and counts connections.

    It also answers HTTP/2 to whoever begins with that: `mute` makes it end connections without an answer.
    """

    def __init__(self, name: str) -> None:
        self.name, self.mute = name, False
        self.connections = self.requests = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.server = Server("127.0.0.1", self._socket.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._speak, args=(client,), daemon=True).start()

    def _speak(self, client: socket.socket) -> None:
        with client:
            said = b""
            while chunk := client.recv(65536):
                said += chunk
                if said.startswith(PREFACE):
                    self._speak_h2(client, said)
                    return
                if _whole(said):
                    self.requests += 1
                    if self.mute:
                        return
                    body = f"{self.name}\n".encode() + said
                    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                    said = b""

    def _speak_h2(self, client: socket.socket, said: bytes) -> None:
        spoken = H2Connection(H2Configuration(client_side=False))
        spoken.initiate_connection()
        while said:
            for event in spoken.receive_data(said):
                if isinstance(event, RequestReceived):
                    self.requests += 1
                    spoken.send_headers(event.stream_id, [(":status", "200"), ("grpc-status", "0")])
                    spoken.send_data(event.stream_id, f"{self.name} over HTTP/2".encode())
                    spoken.send_headers(event.stream_id, [("x-end", self.name)], end_stream=True)
            client.sendall(spoken.data_to_send())
            said = client.recv(65536)


def _whole(said: bytes) -> bool:
    head, end, body = said.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    return bool(end) and len(body) >= (int(length[1]) if length else 0)


def servers(blue: Mirror, green: Mirror) -> Servers:
    return {Colour.BLUE: frozenset({blue.server}), Colour.GREEN: frozenset({green.server})}
