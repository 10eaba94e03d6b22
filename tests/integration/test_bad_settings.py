"""What an unkind user writes into bgd.toml, or puts in bgd's way: sentences with place and cure, and 78.

No proxy and no Consul is needed to say so.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from bgctl.demo.process import environment, free_ports
from tests.integration.parts import haproxy
from tests.integration.waiting import eventually

MAIN_FILE = """\
global
defaults
    mode http
    timeout connect 1s
    timeout client 1s
    timeout server 1s
"""
TEXT = """\
node = "lb-1"
{top}
[consul]
address = "{consul}"
{more}
[proxy]
main_file = "{folder}/haproxy.cfg"
file = "{folder}/bgd/bgd.cfg"
templates = "{folder}/templates"
runtime_socket = "{folder}/admin.sock"
master_socket = "{folder}/master.sock"
check = "{check}"
[status]
listen = "{listen}"
[state]
directory = "{state}"
[[app]]
name = "shop"
bind = ["127.0.0.1:{port}"]
{app}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "haproxy.cfg").write_text(MAIN_FILE)
    (tmp_path / "bgd").mkdir()
    return tmp_path


def toml(folder: Path, **changes: str) -> Path:
    """A bgd.toml that is right but for the changes."""
    port, status, nowhere = free_ports(3)
    known = {
        "folder": str(folder),
        "consul": f"http://127.0.0.1:{nowhere}",
        "check": f"{haproxy()} -c -f {{main_file}} -f {{folder}}",
        "listen": f"127.0.0.1:{status}",
        "state": str(folder / "state"),
        "port": str(port),
        **dict.fromkeys(("top", "more", "app"), ""),
    }
    file = folder / "bgd.toml"
    file.write_text(TEXT.format(**known | changes))
    return file


def bgd(*words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    ended = subprocess.run(
        [sys.executable, "-m", "bgd", *map(str, words)],
        capture_output=True,
        text=True,
        env=environment() | variables,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended


def test_all_that_is_wrong_is_said_at_once(folder: Path) -> None:
    """Each problem on a line of its own, with place and cure; keys that are not built yet are unknown."""
    wrong = 'sticky = "5m"\ncanary = 1\nrevert.never = true\nflip.probing = "5m"\nlines = ["backend x"]'
    ended = bgd("check", "--config", toml(folder, top="verbose = true", more="prefix = 7", app=wrong))

    of_app = ("sticky", "canary", "revert.never", "flip.probing", "lines[0]")
    places = ("verbose", "consul.prefix", *(f"app[shop].{key}" for key in of_app))
    assert ended.returncode == 78
    assert sorted(line.split(": ")[2] for line in ended.stderr.splitlines()) == sorted(places)
    assert all("; " in line for line in ended.stderr.splitlines())


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[[[", b'node = "\x1b"', None], ids=repr)
def test_what_is_no_configuration(folder: Path, content: bytes | None) -> None:
    """Empty, no text, no TOML, or a folder: 78 and the file's name."""
    file = folder / "bgd.toml"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)

    ended = bgd("run", "--config", file)

    assert (ended.returncode, ended.stdout) == (78, "")
    assert ended.stderr.startswith(f"bgd: {file}: ")


@pytest.mark.parametrize(
    ("place", "changes", "variables"),
    [
        ("state.directory", {"state": "/etc/passwd"}, {}),
        ("status.listen", {"listen": "192.0.2.7:9180"}, {}),
        ("consul.token_file", {"more": 'token_file = "/nowhere"'}, {}),
        ("consul.ca_file", {"consul": "https://localhost", "more": 'ca_file = "/etc/passwd"'}, {}),
        ("CONSUL_HTTP_SSL", {}, {"CONSUL_HTTP_SSL": "maybe"}),
        ("CONSUL_HTTP_ADDR", {"consul": ""}, {"CONSUL_HTTP_ADDR": "http://x\x1b[31m"}),
        ("CONSUL_HTTP_TOKEN", {}, {"CONSUL_HTTP_TOKEN": "\udcff"}),
    ],
)
def test_what_this_host_cannot_do(
    folder: Path, place: str, changes: dict[str, str], variables: dict[str, str]
) -> None:
    """A setting that cannot be carried out here ends the start with 78, its place and the cure."""
    file = toml(folder, **changes)
    ended = bgd("run", "--config", file, **variables)

    assert ended.returncode == 78
    assert f"bgd: {file}: {place}: " in ended.stderr
    assert "\x1b" not in ended.stderr


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"check": "/no/such -c"}, "proxy.check: cannot run /no/such: No such file or directory"),
        ({"check": "sh -c 'head -c 9000000 /dev/zero; exit 1'"}, "proxy.check: "),
        ({"app": "lines = ['nonsense']"}, "unknown keyword 'nonsense' in 'frontend' section"),
        ({"app": "lines = ['.if 0']"}, "non-terminated '.if' block"),
        ({"app": """lines = ['http-request deny "']"""}, "unmatched quote"),
    ],
)
def test_what_the_proxy_has_against_it(folder: Path, changes: dict[str, str], said: str) -> None:
    """`bgd check` asks the proxy itself: 1, the app, and what to look at."""
    ended = bgd("check", "--config", toml(folder, **changes))

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("bgd: app shop: ")
    assert said in ended.stderr
    assert len(ended.stderr) < 1000


def test_one_apps_bad_lines_are_its_own(folder: Path) -> None:
    """Beside a host's file that has no frontend, too, only the app that is wrong is named."""
    second = f'[[app]]\nname = "second"\nbind = ["127.0.0.1:{free_ports(1)[0]}"]'
    ended = bgd("check", "--config", toml(folder, app=f"lines = ['nonsense']\n{second}"))

    assert ended.returncode == 1
    assert ended.stderr.startswith("bgd: app shop: ")
    assert "second" not in ended.stderr


def test_files_of_its_own_that_are_none(folder: Path) -> None:
    """Folders in the place of its files, or junk in them, cost what they held and not the start."""
    for name in ("colours.map", "blocks.json"):
        (folder / "bgd" / name).mkdir()
    (folder / "bgd" / "bgd.cfg").write_text("backend shop_blue\n server x\n server a:9999999 b weight\n")

    assert bgd("check", "--config", toml(folder)).returncode == 0


class Other(BaseHTTPRequestHandler):
    """Some other server at Consul's address: it answers everything, and always in order."""

    answer = b""
    status = 200

    def _tell(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(self.status)
        self.send_header("X-Consul-Index", "5")
        self.send_header("Content-Length", str(len(self.answer)))
        self.end_headers()
        self.wfile.write(self.answer)

    do_GET = do_PUT = do_POST = do_DELETE = _tell  # noqa: N815 (the library's names)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def another_server(answer: bytes, status: int) -> Iterator[str]:
    handler = type("Handler", (Other,), {"answer": answer, "status": status})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


ANSWERS = {
    "a page": (b"<html>hello</html>", 200),
    "nothing": (b"nothing here", 404),
    "a table": (b"{}", 200),
    "words": (b'["x"]', 200),
    "depth": (b"[" * 100_000, 200),
}


@pytest.mark.parametrize(("answer", "status"), ANSWERS.values(), ids=ANSWERS.keys())
def test_something_else_at_consuls_address(folder: Path, answer: bytes, status: int) -> None:
    """Whatever answers there in Consul's place, bgd says so and lives on, and bgctl ends well."""
    with another_server(answer, status) as address:
        log = folder / "log"
        with log.open("wb") as out:
            daemon = subprocess.Popen(
                [sys.executable, "-m", "bgd", "run", "--config", str(toml(folder, consul=address))],
                stderr=out,
                env=environment(),
                start_new_session=True,
            )
        try:
            eventually(lambda: b'"started"' in log.read_bytes(), "bgd runs")
            ended = subprocess.run(
                [sys.executable, "-m", "bgctl", "--consul-addr", address, "status", "shop"],
                capture_output=True,
                text=True,
                env=environment(),
                timeout=60,
                check=False,
            )
            assert ended.returncode in (2, 6), ended
            assert "Traceback" not in ended.stderr, ended.stderr
            assert daemon.poll() is None, log.read_text()
            assert b"Traceback" not in log.read_bytes()
        finally:
            os.killpg(daemon.pid, signal.SIGKILL)
            daemon.wait()
