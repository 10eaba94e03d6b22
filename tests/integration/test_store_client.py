"""What a call to Consul does when Consul, the network or the environment is not as it should be."""

import http.server
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from bgd.config import ConsulSettings
from bgd.store import library, transport
from bgd.store.client import BadSetting, Client, Fault, StoreFault
from bgd.store.ops import Cas, CheckIndex, CheckMissing, Delete, Lock, Set
from tests.integration import consul, parts
from tests.integration.consul import ConsulServer
from tests.integration.store_world import client
from tests.integration.waiting import eventually

KEY = "bluegreen/apps/shop/live"


def fault_of(call: Callable[..., object], *args: Any) -> StoreFault:
    with pytest.raises(StoreFault) as raised:
        call(*args)
    return raised.value


def answers(one: Client) -> bool:
    try:
        one.read(KEY)
    except StoreFault:
        return False
    return True


@pytest.fixture
def calm(calm_consul: ConsulServer) -> Iterator[Client]:
    made = client(calm_consul)
    yield made
    made.close()


@pytest.fixture
def key() -> str:
    return f"bluegreen/test/{uuid4()}"


def test_all_keys_of_a_transaction_get_one_index(calm: Client, key: str) -> None:
    """A transaction writes all of its keys under the index that it answers."""
    index = calm.transact([Set(f"{key}/a", b"1"), Cas(f"{key}/b", b"2", 0, 7), Delete(f"{key}/c")])
    entries = calm.read_tree(f"{key}/")[1]
    assert [(each.value, each.modify_index, each.flags) for each in entries] == [
        (b"1", index, 0),
        (b"2", index, 7),
    ]


def test_a_lost_race_is_a_conflict(calm: Client, key: str) -> None:
    """What somebody else has written or deleted meanwhile makes a conflict, and writes nothing."""
    index = calm.transact([Set(key, b"1")])
    for op in (Cas(key, b"2", 0), Cas(key, b"2", index - 1), CheckMissing(key), CheckIndex(key, index - 1)):
        assert fault_of(calm.transact, [Set(f"{key}-more", b""), op]).kind is Fault.CONFLICT
    assert fault_of(calm.transact, [CheckIndex(f"{key}-none", 5)]).kind is Fault.CONFLICT
    assert calm.read(f"{key}-more") is None


def test_a_held_key_is_a_conflict(calm: Client, key: str) -> None:
    """A key that another session holds cannot be locked; it goes at once when that session ends."""
    one, two = (calm.create_session("test", ttl_s=10) for _ in range(2))
    calm.transact([Lock(key, b"1", one)])
    assert fault_of(calm.transact, [Lock(key, b"2", two)]).kind is Fault.CONFLICT
    calm.destroy_session(one)
    assert calm.read(key) is None
    assert calm.transact([Lock(key, b"2", two)])
    assert calm.renew_session(two)
    assert not calm.renew_session(one)


@pytest.mark.parametrize("bad", ["a//b", "/a", "a/../b", "a/./b", "", "a\nb"])
def test_a_path_that_consul_would_bend_is_refused(calm: Client, bad: str) -> None:
    """A key that Consul would take for another one, or lose, is never sent."""
    for call in (calm.read, calm.read_tree):
        assert fault_of(call, bad).kind is Fault.REFUSED
    assert fault_of(calm.transact, [Set(bad, b"")]).kind is Fault.REFUSED


def test_a_missing_key_is_none_with_the_index_of_the_store(calm: Client, key: str) -> None:
    """What does not exist is None, and tells the index of all keys."""
    written = calm.transact([Set(f"{key}/other", b"")])
    index, entry = calm.look(key)
    assert entry is None
    assert index >= written
    assert calm.read_tree(f"{key}-none/")[1] == []


def test_any_bytes_survive(calm: Client, key: str) -> None:
    """A value comes back byte for byte, whatever its key is called."""
    odd, value = f"{key}/q?=&%+ü", bytes(range(256))
    calm.transact([Set(odd, value)])
    entry = calm.read(odd)
    assert entry is not None
    assert (entry.key, entry.value) == (odd, value)


def test_a_large_tree_comes_whole(calm: Client, key: str) -> None:
    """An answer that Consul sends in pieces is put together."""
    value = b"x" * 100_000
    for number in range(8):
        calm.transact([Set(f"{key}/{number}", value)])
    assert [each.value for each in calm.read_tree(f"{key}/")[1]] == [value] * 8


def test_the_agent_says_its_name(calm: Client) -> None:
    """The agent's node name and version are known."""
    assert calm.agent()[0] == "agent-1"


# -- time-outs ------------------------------------------------------------------------------------


@pytest.fixture
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "CONNECT_S", 0.3)
    monkeypatch.setattr(library, "READ_S", 0.3)
    monkeypatch.setattr(library, "SLACK_S", 0.3)


@pytest.mark.usefixtures("short_limits")
def test_a_frozen_agent_ends_no_thread_for_good(consul_server: ConsulServer) -> None:
    """Calls to an agent that is stopped end in time: reads as lost, writes as of unknown outcome."""
    one = client(consul_server)
    one.transact([Set(KEY, b"blue")])
    index, _ = one.read_tree("bluegreen/")
    consul_server.stop()
    eventually(lambda: not answers(one))  # it may answer once more before the signal reaches it
    began_s = time.monotonic()
    assert fault_of(one.read, KEY).kind is Fault.LOST
    assert fault_of(one.transact, [Set(KEY, b"green")]).kind is Fault.UNKNOWN
    with pytest.raises(StoreFault, match="no answer within"):
        one.read_tree("bluegreen/", index=index, wait_s=1)
    assert time.monotonic() - began_s < 15
    consul_server.cont()
    assert one.read(KEY) is not None


@pytest.mark.usefixtures("short_limits")
def test_dropped_packets_end_no_thread_for_good() -> None:
    """A connection that is never made, for want of any answer, ends in time and has written nothing."""
    with ExitStack() as held:
        full = held.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(8):  # from now on the kernel drops every further SYN
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        one = Client(ConsulSettings(address=f"127.0.0.1:{full.getsockname()[1]}"), {})
        began_s = time.monotonic()
        fault = fault_of(one.transact, [Set(KEY, b"")])
        assert (fault.kind, time.monotonic() - began_s < 15) == (Fault.LOST, True)


def test_nobody_there_is_known_at_once() -> None:
    """A refused connection is a fault at once, naming what was tried where."""
    (port,) = consul.free_ports(1)
    one = Client(ConsulSettings(address=f"127.0.0.1:{port}"), {})
    fault = fault_of(one.transact, [Set(KEY, b"")])
    assert fault.kind is Fault.LOST
    assert fault.detail == f"PUT /v1/txn on http://127.0.0.1:{port}: Connection refused"


def test_closing_ends_blocked_calls_in_other_threads(calm_consul: ConsulServer) -> None:
    """Closing a client ends all calls under way at once, and refuses further ones."""
    one = client(calm_consul)
    index, _ = one.look(KEY)
    ended: list[StoreFault] = []

    def wait() -> None:
        ended.append(fault_of(lambda: one.read_tree("bluegreen/none/", index=index + 1000, wait_s=60)))

    threads = [threading.Thread(target=wait) for _ in range(20)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(one._transport._open) == 20)
    began_s = time.monotonic()
    one.close()
    for thread in threads:
        thread.join(30)
    assert len(ended) == 20
    assert time.monotonic() - began_s < 15, "they would have taken 60 s"
    assert "we are closing" in fault_of(one.read, KEY).detail


def test_a_restarted_agent_is_met_with_the_first_read(consul_server: ConsulServer) -> None:
    """A kept connection that the agent's restart has closed costs no read."""
    one = client(consul_server)
    assert one.read(KEY) is None
    consul_server.restart(empty=True)
    assert one.read(KEY) is None


# -- what stands in between -----------------------------------------------------------------------


def test_proxies_of_the_environment_are_not_for_consul(
    calm_consul: ConsulServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """http_proxy and its like do not stand between us and Consul."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert client(calm_consul, http_proxy="http://127.0.0.1:1").agent()


@pytest.fixture
def impostor() -> Iterator[http.server.HTTPServer]:
    """A web server that is no Consul: it sends one away, or says what it likes."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            moved = self.path.startswith("/v1/kv/moved")
            self.send_response(301 if moved else 404 if "nothing" in self.path else 200)
            self.send_header("Location", "http://127.0.0.1:1/v1/kv/elsewhere")
            self.end_headers()
            self.wfile.write(b"<html>welcome</html>")

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_redirect_is_not_followed(impostor: http.server.HTTPServer) -> None:
    """An answer that sends us elsewhere is a fault that says so."""
    one = Client(ConsulSettings(address=f"127.0.0.1:{impostor.server_port}"), {})
    fault = fault_of(one.read, "moved")
    assert fault.kind is Fault.LOST
    assert "is this address Consul's?" in fault.detail


@pytest.mark.parametrize("path", ["welcome", "nothing"])
def test_an_answer_of_somebody_else_is_no_answer(impostor: http.server.HTTPServer, path: str) -> None:
    """A web server that is not Consul never looks like a Consul without keys."""
    one = Client(ConsulSettings(address=f"127.0.0.1:{impostor.server_port}"), {})
    fault = fault_of(one.read_tree, path)
    assert fault.kind is Fault.LOST
    assert "not Consul's" in fault.detail


def test_the_library_reads_no_environment_of_its_own(calm_consul: ConsulServer) -> None:
    """A malformed variable does not break what stands in the settings, and nothing warns."""
    code = (
        "import os; from bgd.config import ConsulSettings; from bgd.store.client import Client;"
        "one = Client(ConsulSettings(address=os.environ['WHERE']), {});"
        "print(one.agent()[0], os.environ['CONSUL_HTTP_ADDR']); one.close()"
    )
    strange = {"CONSUL_HTTP_ADDR": "a:b:c:d", "CONSUL_HTTP_SSL": "true", "CONSUL_HTTP_TOKEN": "wrong"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, **strange, "WHERE": calm_consul.address, "PYTHONPATH": str(parts.ROOT / "daemon")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("agent-1 a:b:c:d\n", "")


# -- by what right --------------------------------------------------------------------------------


def test_tls_with_a_client_certificate(tmp_path: Path) -> None:
    """With authority, certificate and key Consul is reached over TLS; without, it is not."""
    files = consul.certificates(tmp_path)
    with consul.running(tmp_path / "consul", tls=files) as server:
        named = {
            "ca_file": str(files.ca),
            "cert_file": str(files.client_cert),
            "key_file": str(files.client_key),
        }
        one = Client(ConsulSettings(address=server.tls_address, **named), {})
        assert one.transact([Set(KEY, b"blue")])
        anonymous = Client(ConsulSettings(address=server.tls_address, ca_file=str(files.ca)), {})
        assert fault_of(anonymous.agent).kind is Fault.LOST
        stranger = Client(ConsulSettings(address=server.tls_address), {})
        assert "certificate" in fault_of(stranger.agent).detail
        trusting = {
            "CONSUL_HTTP_ADDR": server.tls_address.removeprefix("https://"),
            "CONSUL_HTTP_SSL": "true",
            "CONSUL_HTTP_SSL_VERIFY": "false",
            "CONSUL_CLIENT_CERT": str(files.client_cert),
            "CONSUL_CLIENT_KEY": str(files.client_key),
        }
        assert Client(ConsulSettings(), trusting).read(KEY) is not None
        index, _ = one.look(KEY)
        blocked = threading.Thread(
            target=lambda: fault_of(lambda: one.read_tree("none/", index=index + 1000, wait_s=25))
        )
        blocked.start()
        eventually(lambda: len(one._transport._open) > len(one._transport._idle))
        one.close()
        blocked.join(15)
        assert not blocked.is_alive()


def test_a_unix_socket(tmp_path: Path) -> None:
    """Consul is reached over a unix socket as over any address."""
    path = tmp_path / "consul.sock"
    with consul.running(tmp_path / "consul", unix=path):
        one = Client(ConsulSettings(), {"CONSUL_HTTP_ADDR": f"unix://{path}"})
        assert one.agent()[0] == "agent-1"


def test_rights_given_and_taken(tmp_path: Path) -> None:
    """A refused write is denied and never a conflict; a token file that was replaced is read anew."""
    with consul.running(tmp_path / "consul", acl=True) as server:
        token_file = tmp_path / "token"
        token_file.write_text(server.grant("reader", 'key_prefix "" { policy = "read" }') + "\n")
        one = Client(ConsulSettings(address=server.address, token_file=str(token_file)), {})
        assert one.read(KEY) is None
        assert fault_of(one.transact, [Set(KEY, b"")]).kind is Fault.DENIED
        token_file.write_text(server.grant("writer", 'key_prefix "" { policy = "write" }') + "\n")
        assert one.transact([Set(KEY, b"")])
        token_file.write_text("00000000-0000-4000-8000-000000000000")
        unknown = Client(ConsulSettings(address=server.address, token_file=str(token_file)), {})
        assert fault_of(unknown.read, KEY).kind is Fault.DENIED
        token_file.unlink()
        with pytest.raises(BadSetting, match=r"consul\.token_file: .* cannot be read: No such file"):
            Client(ConsulSettings(address=server.address, token_file=str(token_file)), {})


def test_another_datacenter_is_asked_for(calm_consul: ConsulServer) -> None:
    """The datacenter of the settings is asked in every call, in transactions too."""
    one = Client(ConsulSettings(address=calm_consul.address, datacenter="elsewhere"), {})
    for fault in (fault_of(one.read, KEY), fault_of(one.transact, [Set(KEY, b"")])):
        assert "No path to datacenter" in fault.detail
