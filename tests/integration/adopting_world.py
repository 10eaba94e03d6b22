"""A host as Debian's packages leave it, for docs/adopting.md to be carried out on, word by word.

The test has namespaces of its own: what it writes in `/etc`, `/run`, `/var` and `/usr/local/sbin` goes with
it, its network is a loopback that nobody else has, and every process ends with it. So paths and ports are
those of the document.
`systemctl` is played by a script that does what the units of the packages do.

How the document is read: a fenced block `sh` is run; `diff FILE` changes a file, and lines that are all `+`
are put at its end; any other with a FILE is the whole of it; `console` is a command after
`$ ` and what it shows before long, where `…` stands for anything.
"""

import fcntl
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bgctl.demo.parts import Backends
from bgctl.demo.process import Process, environment
from tests.integration import parts
from tests.integration.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "adopting.md"
DEBIAN_NGINX = Path(__file__).with_name("debian_nginx")
INSIDE = "BGD_TEST_ADOPTING"
STEP_S = 60.0
SHOWN_S = 20.0

SYSTEMCTL = """\
#!/bin/bash
# What the unit files of Debian's packages do, and bgd's own; without systemd.
for unit; do :; done
verb=$1; unit=${unit%.service}
pid() { case $unit in bgd) cat /run/bgd.pid;; *) cat /run/$unit.pid;; esac 2>/dev/null; }
lives() { grep -qs '^State:[^Z]*$' "/proc/$1/status"; }  # nobody here reaps whom systemd would
alive() { p=$(pid) && [ -n "$p" ] && lives "$p"; }
start() {
  case $unit in
    haproxy)
      CONFIG=/etc/haproxy/haproxy.cfg EXTRAOPTS="-S /run/haproxy-master.sock"
      . /etc/default/haproxy
      rm -f /run/haproxy.pid
      setsid haproxy -Ws -f $CONFIG -p /run/haproxy.pid $EXTRAOPTS </dev/null >>/var/log/haproxy.log 2>&1 &
      for _ in $(seq 500); do [ -s /run/haproxy.pid ] && return; sleep .01; done; return 1 ;;
    nginx) nginx -t -q && nginx -g 'daemon on; master_process on;' ;;
    bgd)
      setsid bgd run </dev/null >>/var/log/bgd.log 2>&1 &
      echo $! >/run/bgd.pid
      for _ in $(seq 1000); do curl -sfo /dev/null http://127.0.0.1:9180/healthz && return; sleep .01; done ;;
  esac
}
stop() {
  alive || return 0
  p=$(pid); kill -TERM $p
  for _ in $(seq 1000); do lives $p || return 0; sleep .01; done; return 1
}
reload() {
  case $unit in
    haproxy)
      CONFIG=/etc/haproxy/haproxy.cfg EXTRAOPTS="-S /run/haproxy-master.sock"
      . /etc/default/haproxy
      haproxy -Ws -f $CONFIG -c -q $EXTRAOPTS && kill -USR2 $(pid) ;;
    nginx) nginx -g 'daemon on; master_process on;' -s reload ;;
    bgd) kill -HUP $(pid) ;;
  esac
}
case $verb in
  daemon-reload) ;;
  start|enable) start;; stop|disable) stop;; restart) stop && start;; reload) reload;;
  is-active) alive;; *) echo "not played: $*" >&2; exit 1;;
esac
"""


def in_own_host(node: str) -> bool:
    """Whether this process has a host of its own; where not, the test has been run in one."""
    if os.environ.get(INSIDE):
        return True
    if os.geteuid() != 0:
        pytest.skip("other users' processes are started here: root's to do")
    namespaces = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    ran = subprocess.run(
        ["unshare", *namespaces, sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", node],
        env=os.environ | {INSIDE: "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    print(ran.stdout)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return False


@dataclass(frozen=True)
class Block:
    """A fenced block of the document."""

    kind: str
    file: str
    text: str


def section(title: str) -> list[Block]:
    """The blocks below a heading, up to the next one of its rank or above."""
    text = DOCUMENT.read_text()
    head = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    assert head, f"{DOCUMENT.name} has no heading {title!r}"
    rest = text[head.end() :]
    end = re.search(rf"^#{{1,{len(head[1])}}} ", rest, re.MULTILINE)
    found = re.findall(
        r"^( *)```(\w+)(?: (/\S+))?\n(.*?)^ *```$", rest[: end.start() if end else None], re.M | re.S
    )
    return [Block(kind, file, textwrap.dedent(inside)) for _, kind, file, inside in found]


class Host:
    """The machine that the document speaks of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = environment() | {
            "PATH": f"{folder}/bin:{ROOT}/.parts/bin:/usr/local/sbin:/usr/sbin:{os.environ['PATH']}"
        }

    def furnish(self) -> None:
        """Debian's files where the document expects them."""
        _loopback_up()
        shutil.copytree("/etc", self.folder / "etc", symlinks=True)
        _mount("--bind", str(self.folder / "etc"), "/etc")
        for place in ("/run", "/usr/local/sbin", "/var/lib", "/var/log"):
            _mount("-t", "tmpfs", "tmpfs", place)
        for place in ("/run/haproxy", "/var/lib/haproxy", "/var/lib/nginx", "/var/log/nginx", "/etc/bgd"):
            Path(place).mkdir()
        self._haproxy()
        self._nginx()
        self._programs()

    def _haproxy(self) -> None:
        unpacked = ROOT / ".parts" / "haproxy" / "etc"
        if not Path("/etc/haproxy").exists():
            shutil.copytree(unpacked / "haproxy", "/etc/haproxy")
            shutil.copy(unpacked / "default" / "haproxy", "/etc/default/haproxy")
        if "haproxy:" not in Path("/etc/passwd").read_text():
            for name, line in (
                ("passwd", "haproxy:x:990:990::/:/bin/false\n"),
                ("group", "haproxy:x:990:\n"),
            ):
                with Path("/etc", name).open("a") as file:
                    file.write(line)

    def _nginx(self) -> None:
        shutil.rmtree("/etc/nginx", ignore_errors=True)
        for name in ("conf.d", "sites-available", "sites-enabled", "modules-enabled"):
            Path("/etc/nginx", name).mkdir(parents=True)
        for name in ("nginx.conf", "mime.types"):
            shutil.copy(DEBIAN_NGINX / name, "/etc/nginx")
        shutil.copy(DEBIAN_NGINX / "default", "/etc/nginx/sites-available")
        Path("/etc/nginx/sites-enabled/default").symlink_to("/etc/nginx/sites-available/default")

    def _programs(self) -> None:
        (self.folder / "bin").mkdir()
        words = {name: f'#!/bin/sh\nexec {sys.executable} -m {name} "$@"\n' for name in ("bgd", "bgctl")}
        for name, text in {**words, "systemctl": SYSTEMCTL}.items():
            file = self.folder / "bin" / name
            file.write_text(text)
            file.chmod(0o755)

    # -- the document's blocks ----------------------------------------------------------------------

    def follow(self, title: str) -> None:
        """Carry out what stands below a heading."""
        for block in section(title):
            self.do(block)

    def do(self, block: Block) -> None:
        if block.kind == "diff":
            self._change(Path(block.file), block.text)
        elif block.file:
            self._write(Path(block.file), block.text)
        elif block.kind == "sh":
            self.run(block.text)
        elif block.kind == "console":
            self._shows(block.text)

    def run(self, text: str) -> str:
        said = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", text],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=STEP_S,
            check=False,
        )
        assert said.returncode == 0, f"{text}\n{said.stdout}\n{self.logs()}"
        return said.stdout

    def logs(self) -> str:
        """What the services said last."""
        logs = [*Path("/var/log").glob("*.log"), *Path("/var/log/nginx").glob("error.log")]
        return "\n".join(f"{log}: " + log.read_text()[-3000:] for log in logs)

    def _write(self, file: Path, text: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        if text.startswith("#!"):
            file.chmod(0o755)

    def _change(self, file: Path, text: str) -> None:
        lines = text.splitlines()
        new = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "-")
        if all(line.startswith("+") for line in lines):
            with file.open("a") as end:
                end.write(new)
            return
        old = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "+")
        said = file.read_text()
        assert said.count(old) == 1, f"not once in {file}:\n{old}\n{said}"
        file.write_text(said.replace(old, new))

    def _shows(self, text: str) -> None:
        """Each command shows its lines before long."""
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, expected = part.partition("\n")
            pattern = "(?s:.*?)".join(re.escape(_words(each)) for each in _words(expected).split("…"))
            said = [""]

            def shown(command: str = command, pattern: str = pattern, said: list[str] = said) -> bool:
                ran = subprocess.run(
                    ["bash", "-c", command],
                    env=self.environment,
                    stdout=-1,
                    stderr=-2,
                    text=True,
                    check=False,
                )
                said.append(ran.stdout)
                return bool(re.fullmatch(pattern, _words(ran.stdout)))

            try:
                eventually(shown, f"{command} shows {expected!r}", within_s=SHOWN_S)
            except AssertionError as late:
                raise AssertionError(f"{late}\nbut\n{said[-1]}\n{self.logs()}") from None


class FixedBackends(Backends):
    """Backends at the addresses that the document names."""

    def __init__(self, folder: Path) -> None:
        places = (("blue", 8081), ("blue", 8082), ("green", 8091), ("green", 8092))
        self.addresses = [(colour, f"127.0.0.1:{port}") for colour, port in places]
        wanted = [f"{colour}={address}" for colour, address in self.addresses]
        Process.__init__(self, [sys.executable, "-m", "bgctl.demo.backend", *wanted], folder / "backends.log")


@contextmanager
def furnished() -> Iterator[Host]:
    """A furnished host with a Consul agent and backends of both colours; it ends with its namespaces."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bgd-")))
        folder.chmod(0o755)
        host = Host(folder)
        host.furnish()
        stack.enter_context(FixedBackends(folder))
        stack.enter_context(_consul(folder))
        yield host


@contextmanager
def _consul(folder: Path) -> Iterator[None]:
    command = [parts.consul(), "agent", "-dev", "-bind", "127.0.0.1", "-node", "lb-1", "-log-level", "warn"]
    with (folder / "consul.log").open("wb") as log:
        agent = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        url = "http://127.0.0.1:8500/v1/status/leader"
        asked = ["curl", "-sf", url]
        eventually(
            lambda: b":" in subprocess.run(asked, stdout=-1, check=False).stdout, "Consul has a leader"
        )
        yield
    finally:
        agent.kill()
        agent.wait()


def _words(text: str) -> str:
    """As it reads, however wide its columns are."""
    return re.sub(r" +", " ", text.strip())


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def _loopback_up() -> None:
    with socket.socket() as any_socket:
        request = struct.pack("16sh22x", b"lo", 0x1)  # IFF_UP
        fcntl.ioctl(any_socket, 0x8914, request)  # SIOCSIFFLAGS
