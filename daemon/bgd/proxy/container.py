"""A Docker container that the proxy runs in: the machine to ask when `proxy.container` names one.

Rules that live here: commands run inside, as the container's own user; what the container cannot see, or
would not see change, is refused with the cure before anything is tried; nothing that Docker does or leaves
undone is more than an OSError, or words. The library is loaded only where a container is named.
"""

import contextlib
import fnmatch
import io
import os
import re
import shutil
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from bgd.proxy.out_of_reach import Missing, OutOfReach, why_apart, why_docker, why_stopped, why_unseen

ANSWER_S = 5.0
"""Docker's own answers come within milliseconds."""
FRESH_S = 1.0
"""So long what was seen of the container is believed, while nothing fails and its process lives."""
SILENT_S = 10.0
"""So long a Docker that did not answer is left alone, while the container's process lives."""
FORGOTTEN_S = 600.0
STEP_S = 0.01
MOST_READ = 16 << 20
_SOCKET = "unix:///var/run/docker.sock"
_KEPT = 1 << 16
_NOT_BEGUN = "OCI runtime exec failed"
_FORGOTTEN = -1
_MAGIC = re.compile(r"[*?\[]")

Factory = Callable[..., Any]
Facts = Mapping[str, Any]


class Container:
    """A proxy's container on this host, by name."""

    privileged = True

    def __init__(
        self,
        name: str,
        client_factory: Factory | None = None,
        *,
        writes_folder: bool = False,
        on_host_network: bool = False,
    ) -> None:
        """`writes_folder`: the proxy makes sockets there. `on_host_network`: bgd asks it on loopback."""
        self.name = name
        self._client_factory = client_factory or _from_environment
        self._writes_folder, self._on_host_network = writes_folder, on_host_network
        self._version = "auto"
        self._seen: tuple[float, Facts] | None = None
        self._last: Facts | None = None
        self._given_up = ""

    def run(self, words: Sequence[str], deadline_s: float) -> str:
        """What a command says when it fails; empty when it was content.

        Docker ends no command that it has begun: while one that was given up still runs, there is no next.
        """
        try:
            with self._docker() as client:
                self._standing(client)
                return self._run(client, words, deadline_s)
        except OSError as error:
            return f"cannot run {words[0]}: {error}"

    def signal(self, name: str, pid_file: Path) -> None:
        """Send a signal to the container's first process, which Docker knows without a pid file."""
        with self._docker() as client:
            self._standing(client)
            client.api.kill(self.name, signal=name)

    def alive(self, pid_file: Path) -> bool:
        """Whether the container runs, as far as can be seen."""
        try:
            state = self._known()["State"]
        except Missing:
            return False
        except OSError:
            return self._last is None
        return bool(state["Running"]) and not state["Restarting"]

    def process(self, pid_file: Path) -> int:
        """The container's first process, as this host numbers it."""
        state = self._known()["State"]
        if why := why_stopped(self.name, state):
            raise OutOfReach(why)
        return int(state["Pid"])

    def read(self, path: Path) -> str:
        """A text file as the container has it, also where a link leads to it."""
        with self._docker() as client, self._archive(client, str(path)) as archive:
            member = archive.next()
            file = archive.extractfile(member) if member and member.isfile() else None
            if file is None:
                raise OutOfReach(f"{path} in container {self.name} is no file")
            said = file.read()
        return said.decode()

    def find(self, pattern: str) -> list[Path]:
        """The files that match a pattern of the shell, in order; in a folder that is not there, none."""
        base = _base(pattern)
        try:
            with self._docker() as client, self._archive(client, str(base)) as archive:
                inside = [PurePosixPath(name).parts[1:] for name in archive.getnames()]
        except Missing:
            return []
        found = {base.joinpath(*parts) for parts in inside}
        return sorted(Path(each) for each in found if _matches(each, pattern))

    @contextmanager
    def scratch(self, folder: Path) -> Iterator[Path]:
        """A folder inside bgd's own one, which the container sees; the proxy loads none that lies in it."""
        for left in folder.glob(".check-*"):
            with contextlib.suppress(OSError):
                if time.time() - left.stat().st_mtime > FORGOTTEN_S:
                    shutil.rmtree(left)
        with tempfile.TemporaryDirectory(prefix=".check-", dir=folder) as copies:
            _open_like(Path(copies), folder)
            yield Path(copies)

    def reach(self, folder: Path) -> None:
        """Raise OSError, with the cure, when the container cannot see bgd's folder, or does not run."""
        facts = self._known()
        why = (
            why_unseen(self.name, facts["Mounts"], folder, writes=self._writes_folder)
            or (self._on_host_network and why_apart(self.name, facts["HostConfig"]))
            or why_stopped(self.name, facts["State"])  # often for one of the reasons before
        )
        if why:
            self._seen = None
            raise OutOfReach(why)

    # What is asked of Docker

    @contextmanager
    def _docker(self) -> Iterator[Any]:
        """Docker's client for one errand; whatever goes wrong with it is an OSError."""
        try:
            from docker.errors import DockerException
        except ImportError as error:
            raise OutOfReach(f"proxy.container needs the Python package docker: {error}") from error
        try:
            client = self._client_factory(version=self._version, timeout=ANSWER_S)
            try:
                self._version = client.api.api_version
                yield client
            finally:
                client.close()
        except (DockerException, OSError, ValueError, tarfile.TarError) as error:
            self._seen, self._version = None, "auto"
            if isinstance(error, OutOfReach):
                raise
            raise OutOfReach(why_docker(error, _where(), ANSWER_S)) from error

    def _known(self) -> Facts:
        """What Docker knows; while it is silent, what it knew of a container whose process still lives."""
        try:
            return self._facts()
        except Missing:
            self._last = None
            raise
        except OSError:
            if not self._last or not _lives(self._last["State"]["Pid"]):
                raise
            self._seen = time.monotonic() + SILENT_S, self._last
            return self._last

    def _facts(self) -> Facts:
        """What Docker knows of the container, a moment old at most."""
        seen_s, facts = self._seen or (0.0, None)
        if facts and time.monotonic() - seen_s < FRESH_S and _lives(facts["State"]["Pid"]):
            return facts
        with self._docker() as client:
            return self._inspect(client)

    def _inspect(self, client: Any) -> Facts:
        facts: Facts = self._or_missing(
            f"there is no container {self.name}: start it, or correct proxy.container",
            client.api.inspect_container,
            self.name,
        )
        self._seen, self._last = (time.monotonic(), facts), facts
        return facts

    def _standing(self, client: Any) -> None:
        """Raise OSError when the container does not run."""
        if why := why_stopped(self.name, self._inspect(client)["State"]):
            raise OutOfReach(why)

    def _or_missing(self, what: str, ask: Callable[..., Any], *about: Any) -> Any:
        from docker.errors import NotFound

        try:
            return ask(*about)
        except NotFound as error:
            raise Missing(what) from error

    @contextmanager
    def _archive(self, client: Any, path: str) -> Iterator[tarfile.TarFile]:
        """What is at a path of the container, as a tar file that begins with it."""
        missing = f"{path} is not in container {self.name}"
        self._inspect(client)
        chunks, stat = self._or_missing(missing, client.api.get_archive, self.name, path)
        if stat and stat.get("linkTarget"):
            chunks.close()
            chunks, _ = self._or_missing(missing, client.api.get_archive, self.name, stat["linkTarget"])
        packed = io.BytesIO()
        for chunk in chunks:
            packed.write(chunk)
            if packed.tell() > MOST_READ:
                raise OutOfReach(f"{path} in container {self.name} holds more than {MOST_READ >> 20} MiB")
        packed.seek(0)
        with tarfile.open(fileobj=packed) as archive:
            yield archive

    def _run(self, client: Any, words: Sequence[str], deadline_s: float) -> str:
        until_s = time.monotonic() + deadline_s
        if self._given_up and _exit_code(client, self._given_up) is None:
            raise OutOfReach(f"one that was given up still runs in container {self.name}: end it there")
        begun: str = client.api.exec_create(self.name, list(words))["Id"]
        said = _listen(client.api.exec_start(begun, stream=True), until_s)
        while (code := _exit_code(client, begun)) is None:
            if time.monotonic() > until_s:
                self._given_up = begun
                return f"{words[0]} did not end within {deadline_s:g} s"
            time.sleep(STEP_S)
        if code == _FORGOTTEN:
            raise OutOfReach(f"container {self.name} ended before it did")
        if code and said.startswith(_NOT_BEGUN):
            why = said.rpartition(f'"{words[0]}": ')[2].removesuffix(": unknown")
            raise OutOfReach(f"container {self.name}: {why}")
        return (said or f"{words[0]} ended with {code}") if code else ""


def _from_environment(**options: Any) -> Any:
    """Docker as DOCKER_HOST and its like name it, else on this host."""
    import docker

    return docker.from_env(environment={**os.environ, "DOCKER_HOST": _where()}, **options)


def _lives(pid: int) -> bool:
    if not pid:
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _where() -> str:
    return os.environ.get("DOCKER_HOST") or _SOCKET


def _listen(stream: Any, until_s: float) -> str:
    """What a command says until it ends or its time is over, without what a terminal would obey."""
    said = bytearray()
    late = threading.Timer(max(0.0, until_s - time.monotonic()), _hang_up, [stream])
    late.daemon = True
    late.start()
    try:
        for chunk in stream:
            said += chunk[: _KEPT - len(said)]
    finally:
        late.cancel()
    text = said.decode(errors="replace")
    return "".join(char if char.isprintable() or char == "\n" else " " for char in text).strip()


def _hang_up(stream: Any) -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):  # it may just have ended by itself
        stream.close()


def _exit_code(client: Any, begun: str) -> int | None:
    """None while it runs; forgotten is what ended with a container that is gone."""
    from docker.errors import NotFound

    try:
        known = client.api.exec_inspect(begun)
    except NotFound:
        return _FORGOTTEN
    return None if known["Running"] or known["ExitCode"] is None else int(known["ExitCode"])


def _open_like(copies: Path, folder: Path) -> None:
    """Whoever may read bgd's folder may read what is checked, and nobody else."""
    shutil.copymode(folder, copies)
    with contextlib.suppress(OSError):
        os.chown(copies, -1, folder.stat().st_gid)


def _base(pattern: str) -> PurePosixPath:
    """The folder that holds all that can match; of a pattern without magic, the file itself."""
    parts = PurePosixPath(pattern).parts
    magic = next((place for place, part in enumerate(parts) if _MAGIC.search(part)), len(parts))
    return PurePosixPath(*parts[:magic])


def _matches(path: PurePosixPath, pattern: str) -> bool:
    """As the shell matches: part by part, and a star no hidden file."""
    wanted = PurePosixPath(pattern).parts
    return len(path.parts) == len(wanted) and all(
        fnmatch.fnmatchcase(part, want) and (want.startswith(".") or not part.startswith("."))
        for part, want in zip(path.parts, wanted, strict=True)
    )
