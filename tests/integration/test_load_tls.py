"""The lanes of the load client over TLS and HTTP/2."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived

from bgctl.demo.parts import Backends
from bgctl.demo.process import free_ports, until
from bgctl.demo.proxies import Nginx
from bgd.proxy.certificates import STAND_IN
from tests.integration.load import Load

FRONT = """\
    server {{
        listen 127.0.0.1:{port} ssl http2;
        ssl_certificate {pem};
        ssl_certificate_key {pem};
        location / {{
            proxy_pass http://{backend};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $http_connection;
        }}
    }}
"""


@pytest.fixture
def front(tmp_path: Path) -> Iterator[int]:
    """The port where nginx speaks TLS and HTTP/2 for one blue backend."""
    (port,) = free_ports(1)
    with Backends(tmp_path, ["blue"]) as backends:
        (backend,) = backends.of("blue")
        with Nginx(tmp_path, more=FRONT.format(port=port, pem=STAND_IN, backend=backend)):
            yield port


class Refuser:
    """Speaks HTTP/2 as known before: it answers the first request of each connection, and no further one."""

    def __init__(self, *, told: bool) -> None:
        self.told = told
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            accepted, _ = self.server.accept()
            threading.Thread(target=self.speak, args=[accepted], daemon=True).start()

    def speak(self, accepted: socket.socket) -> None:
        spoken = H2Connection(H2Configuration(client_side=False))
        spoken.initiate_connection()
        asked = 0
        with accepted:
            while asked < 2 and (received := accepted.recv(65536)):
                for event in spoken.receive_data(received):
                    if isinstance(event, RequestReceived):
                        asked += 1
                        self.answer(spoken, event, first=asked == 1)
                accepted.sendall(spoken.data_to_send())

    def answer(self, spoken: H2Connection, request: RequestReceived, *, first: bool) -> None:
        if first:
            spoken.send_headers(
                request.stream_id, [(":status", "200"), ("x-colour", "blue")], end_stream=True
            )
        elif self.told:
            spoken.close_connection(last_stream_id=1)


def test_lanes_of_every_kind_speak_tls(tmp_path: Path, front: int) -> None:
    """Every kind of lane gets whole answers over TLS, and over HTTP/2 too."""
    held = Load(
        front, folder=tmp_path, tls=True, kept=2, new=2, h2=6, steady=1, slow=1, streams=1, websockets=1
    )
    with held as load:
        until("all lanes have been busy", lambda: load.progress["requests"] > 600)

    assert load.lost() == []
    assert {"kept", "new", "steady", "h2", "slow", "stream", "websocket"} == {r.lane for r in load.records}
    assert {"blue"} == {record.colour for record in load.records}
    assert {("h2", 0), ("h2", 1)} <= {(record.lane, record.reused) for record in load.records}


def test_what_a_goaway_refused_is_repeated_and_counted(tmp_path: Path) -> None:
    """A request above the last stream that a GOAWAY names is no loss: it is repeated, and shown."""
    refuser = Refuser(told=True)
    with Load(refuser.port, folder=tmp_path, kept=0, new=0, h2=1) as load:
        until("requests were made", lambda: load.progress["requests"] > 20)

    assert load.lost() == []
    assert len(load.records) - 2 <= load.summary["refused"] <= len(load.records)


def test_what_nobody_refused_is_lost(tmp_path: Path) -> None:
    """A request over HTTP/2 whose connection ends without a word is lost."""
    refuser = Refuser(told=False)
    with Load(refuser.port, folder=tmp_path, kept=0, new=0, h2=1) as load:
        until("requests were lost", lambda: load.progress["lost"] > 10)

    assert {"eof", "reset"} >= {record.error for record in load.lost()}
    assert load.summary["refused"] == 0
