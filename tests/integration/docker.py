"""A Docker engine of the tests' own, and proxies in containers made of this machine's own programs.

It needs root, the right to mount, and no registry. What it leaves on the machine when it ends is nothing.
"""

import io
import os
import re
import shutil
import signal
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.integration.parts import ROOT, program
from tests.integration.waiting import eventually

IMAGE = "bgd-proxy:test"
PROGRAMS = ("haproxy", "nginx")
FOLDERS = ("etc/haproxy", "etc/nginx", "run", "tmp", "var/log/nginx", "var/lib/nginx", "usr/share/nginx")
PEOPLE = {
    "etc/passwd": "root:x:0:0::/:/x\nwww-data:x:33:33::/:/x\nnobody:x:65534:65534::/:/x\n",
    "etc/group": "root:x:0:\nwww-data:x:33:\nnogroup:x:65534:\n",
}
BESIDE = [Path("/run", each) for each in ("containerd/s", "containerd", "docker/plugins", "docker")]
"""Folders that every engine makes, wherever its own are; deepest first."""
MOUNTS_RIGHT = 21
"""CAP_SYS_ADMIN, as a bit of the rights that /proc shows."""


def why_not() -> str:
    """Why no engine can run here; empty when one can."""
    if os.geteuid() != 0:
        return "containers need root here: run the tests as root to test them"
    rights = re.search(r"^CapEff:\s*(\w+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    if rights and not int(rights[1], 16) >> MOUNTS_RIGHT & 1:
        return "containers need the right to mount, which this root does not have"
    if not shutil.which("dockerd", path=_path()) and not os.environ.get("DOCKERD"):
        return "no dockerd on this machine: tools/get-docker fetches it on Debian"
    return ""


def _path() -> str:
    """Where the engine finds its own programs."""
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", str(ROOT / ".parts" / "bin")])


class Engine:
    """One dockerd with its own socket, images and containers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "docker.sock"
        self.url = f"unix://{self.socket}"
        self.cgroup = f"bgd-{os.getpid()}"
        self._process: subprocess.Popen[bytes] | None = None
        self._made = [each for each in BESIDE if not each.exists()]

    def start(self) -> None:
        """Start it, and return when it answers."""
        with (self.folder / "dockerd.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), stdout=log, stderr=log, env=os.environ | {"PATH": _path()}
            )
        eventually(self._answers, "Docker answers", within_s=30)
        self.client = docker.DockerClient(base_url=self.url, timeout=30)
        self.client.api.import_image_from_data(
            _image(), *IMAGE.split(":"), changes=["ENV LD_LIBRARY_PATH=/libs PATH=/bin"]
        )

    def stop(self) -> None:
        """End it with all its containers, mounts and cgroups."""
        with suppress(Exception):
            for container in self.client.containers.list(all=True):
                container.remove(force=True)
            self.client.close()
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for kind in Path("/sys/fs/cgroup").glob(f"*/{self.cgroup}"):
            for inner in (*sorted(kind.rglob("*/"), reverse=True), kind):
                inner.rmdir()
        for each in self._made:
            with suppress(OSError):  # somebody else's engine may have come to use it
                each.rmdir()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It hears and says nothing, while its containers run on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def run(self, name: str, command: Sequence[str], folders: Sequence[Any], **more: Any) -> Any:
        """Start a container that shares the host's network and has these mounted where they are."""
        volumes = [each if isinstance(each, str) else f"{each}:{each}" for each in folders]
        options = {"network_mode": "host", **more}
        return self.client.containers.run(
            IMAGE, list(command), name=name, detach=True, volumes=volumes, **options
        )

    def _command(self) -> list[str]:
        """Its mounts are its own, and go with it; it goes with the tests, even when they are killed."""
        own, apart = self.folder, ["setpriv", "--pdeathsig", "TERM", "--", "unshare", "--mount", "--"]
        return [
            *(*apart, os.environ.get("DOCKERD") or program("dockerd")),
            *("--host", self.url, "--pidfile", f"{own}/docker.pid", "--data-root", f"{own}/data"),
            *("--exec-root", f"{own}/exec", "--cgroup-parent", f"/{self.cgroup}", "--log-level", "warn"),
            *("--storage-driver", "overlay2", "--bridge", "none", "--iptables=false", "--ip6tables=false"),
            *("--ip-forward=false", "--ip-masq=false", "--userland-proxy=false"),
        ]

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "dockerd.log").read_text()[-2000:]
        try:
            with_client = docker.DockerClient(base_url=self.url, timeout=5)
        except docker.errors.DockerException:
            return False
        with_client.close()
        return True


@contextmanager
def running_engine() -> Iterator[Engine]:
    """An engine of the test's own; where none can run, the test is skipped and says why."""
    if why := why_not():
        pytest.skip(why)
    with tempfile.TemporaryDirectory(prefix="bgd-docker-", ignore_cleanup_errors=True) as folder:
        engine = Engine(Path(folder))
        try:
            engine.start()
            yield engine
        finally:
            engine.stop()


def _image() -> bytes:
    """A root file system that holds the proxies and what they need, and nothing else."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for folder in ("bin", "libs", *FOLDERS):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755
            tar.addfile(entry)
        for name, text in PEOPLE.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
        libraries: dict[str, str] = {}
        for each in PROGRAMS:
            if found := _elf(each):
                tar.add(os.path.realpath(found), f"bin/{each}")
                libraries |= _libraries(found)
        for name, path in libraries.items():
            tar.add(os.path.realpath(path), name)
    return made.getvalue()


def _elf(name: str) -> Path | None:
    """A program itself, not the script that starts an unpacked one."""
    places = [*ROOT.glob(f".parts/{name}/usr/sbin/{name}"), Path(program(name))]
    return next((each for each in places if each.read_bytes()[:4] == b"\x7fELF"), None)


def _libraries(elf: Path) -> dict[str, str]:
    """Name in the image → a library that the program needs, or what loads them."""
    unpacked = (
        {str(each.parent) for each in elf.parents[2].rglob("*.so*")} if ".parts" in elf.parts else set()
    )
    told = subprocess.run(
        ["ldd", str(elf)],
        env={"LD_LIBRARY_PATH": ":".join(unpacked), "PATH": _path()},
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.findall(r"^\s*(?:(\S+) => )?(/\S+) \(", told.stdout, re.MULTILINE)
    return {f"libs/{name}" if name else path.lstrip("/"): path for name, path in found}
