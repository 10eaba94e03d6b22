"""A real proxy as a supervisor runs it: started, killed and restarted with all its processes."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from bgctl.demo.process import free_ports
from tests.integration.waiting import eventually

Server = TypeVar("Server", bound="Supervised")


class Supervised:
    """One proxy in a folder of the test's own, and in it bgd's; it dies with the test."""

    kind = ""
    """As bgd.toml names it."""

    def __init__(self, folder: Path) -> None:
        self.root, self.folder = folder, folder / "bgd"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.out = folder / "out"
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str]:
        """What a supervisor starts."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str] | None:
        """What it is started with; None for what the test has."""
        return None

    def answers(self) -> bool:
        """Whether it serves."""
        raise NotImplementedError

    def listens(self) -> bool:
        """Whether anything of it is left that takes connections."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it, and return when it answers."""
        with self.out.open("ab") as said:
            self._process = subprocess.Popen(
                self.command(), stdout=said, stderr=said, env=self.environment(), start_new_session=True
            )
        eventually(self._up, f"{self.kind} answers")

    def kill(self) -> None:
        """kill -9 of the master and all its workers."""
        if self._process is None:
            return
        process, self._process = self._process, None
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        eventually(lambda: not self.listens(), f"{self.kind} is gone")

    def restart(self) -> None:
        """What a supervisor does when it has died."""
        self.kill()
        self.start()

    @property
    def process_id(self) -> int:
        """The master."""
        assert self._process is not None
        return self._process.pid

    def signal(self, number: signal.Signals) -> None:
        """What somebody else sends to the master."""
        os.kill(self.process_id, number)

    def port(self) -> int:
        """A port that nobody has, on loopback."""
        return free_ports(1)[0]

    def _up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.out.read_text()
        return self.answers()


@contextmanager
def running(kind: type[Server], **main: object) -> Iterator[Server]:
    """A started proxy in a folder short enough for unix sockets."""
    with tempfile.TemporaryDirectory(prefix="bgd-") as folder:
        server = kind(Path(folder), **main)
        try:
            server.start()
            yield server
        finally:
            server.kill()
