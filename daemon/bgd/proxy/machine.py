"""The machine that the proxy runs on: this host, or a container on it.

Rule that lives here: whatever asks for the proxy's own programs, files or processes asks its machine, so
that a proxy in a container is checked and reloaded where it runs.
"""

import glob
import os
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from bgd.proxy import command


class Machine(Protocol):
    """Where the proxy's programs, files and processes are. Each method but `run` raises OSError."""

    privileged: bool
    """Whether its commands may read what bgd itself may not, such as a TLS key."""

    def run(self, words: Sequence[str], deadline_s: float) -> str:
        """What a command says when it fails; empty when it was content."""

    def signal(self, name: str, pid_file: Path) -> None:
        """Send a signal, such as "HUP", to the proxy's first process."""

    def alive(self, pid_file: Path) -> bool:
        """Whether the proxy's first process lives, as far as can be seen."""

    def process(self, pid_file: Path) -> int:
        """The proxy's first process, as this host numbers it."""

    def read(self, path: Path) -> str:
        """A text file as the proxy sees it."""

    def find(self, pattern: str) -> list[Path]:
        """The files that match a pattern of the shell, in order, as the proxy sees them."""

    def scratch(self, folder: Path) -> AbstractContextManager[Path]:
        """A folder for copies to be checked, which bgd may write and the proxy sees by the same path.

        `folder` is bgd's own one; what is made here leaves it as it was.
        """

    def reach(self, folder: Path) -> None:
        """Raise OSError, with the cure, when the proxy cannot see bgd's folder, or is not there at all."""


class Here:
    """This host."""

    privileged = False

    def run(self, words: Sequence[str], deadline_s: float) -> str:
        return command.run(words, deadline_s)

    def signal(self, name: str, pid_file: Path) -> None:
        os.kill(_pid(pid_file), signal.Signals[f"SIG{name}"])

    def alive(self, pid_file: Path) -> bool:
        try:
            os.kill(_pid(pid_file), 0)
        except PermissionError:
            return True
        except OSError:
            return False
        return True

    def process(self, pid_file: Path) -> int:
        return _pid(pid_file)

    def read(self, path: Path) -> str:
        return path.read_text()

    def find(self, pattern: str) -> list[Path]:
        return [Path(found) for found in sorted(glob.glob(pattern))]

    @contextmanager
    def scratch(self, folder: Path) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="bgd-check-") as copies:
            yield Path(copies)

    def reach(self, folder: Path) -> None:
        return


def _pid(pid_file: Path) -> int:
    """The process that a pid file names. Raises OSError."""
    written = pid_file.read_text().strip()
    if not written.isdecimal() or int(written) < 1:
        raise ProcessLookupError(f"{pid_file} names no process")
    if not _is_nginx(Path("/proc") / written):
        raise ProcessLookupError(f"{pid_file} names process {written}, which is no nginx")
    return int(written)


def _is_nginx(process: Path) -> bool:
    """Whether it may be signalled: a file left behind may name a process of somebody else by now."""
    try:
        return b"nginx" in (process / "cmdline").read_bytes()
    except OSError:  # gone, or not to be seen: whoever signals it is told
        return True
