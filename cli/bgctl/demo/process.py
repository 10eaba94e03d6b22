"""Child processes that end with their parent, programs on this machine, free ports, and waiting.

Each child leads a process group of its own: Ctrl-C reaches only the parent, which then stops its
children in order. Where `setpriv` is, the kernel ends them even when the parent is killed.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import bgctl

POLL_S = 0.01
PORTS = range(12000, 32000)
LONGEST_TEMPORARY = 40
POLITE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SOURCES = Path(bgctl.__file__).resolve().parents[1]
CHECKOUT = SOURCES.parent


_given: deque[int] = deque(maxlen=500)
"""Ports whose takers may not have bound them yet."""


class MissingError(Exception):
    """A program is not on this machine; the text names the cure."""


class LateError(Exception):
    """Something did not come about in time; the text says what, and where to look."""


def program(name: str) -> str:
    """The path of a program: named by the environment, on PATH, or fetched by `make parts`."""
    fetched = [str(folder / ".parts" / "bin") for folder in (CHECKOUT, Path.cwd())]
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", *fetched])
    found = os.environ.get(name.upper()) or shutil.which(name, path=path)
    if not found:
        raise MissingError(
            f"{name} is not on this machine: run 'make parts', or name it by {name.upper()}=PATH"
        )
    return found


def free_ports(number: int) -> list[int]:
    """Loopback ports that nobody uses now, all different, also from those that were given out lately.

    They lie below those that the kernel hands out for outgoing connections: else a client might get one
    of them between now and its use.
    """
    with ExitStack() as held:
        found: list[int] = []
        while len(found) < number:
            opened, port = held.enter_context(socket.socket()), secrets.choice(PORTS)
            with suppress(OSError):
                if port not in _given:
                    opened.bind(("127.0.0.1", port))
                    _given.append(port)
                    found.append(port)
        return found


def scratch(prefix: str) -> tempfile.TemporaryDirectory[str]:
    """A folder for a run, with a path short enough for the sockets in it: the system allows 107 bytes."""
    too_long = len(tempfile.gettempdir()) > LONGEST_TEMPORARY
    return tempfile.TemporaryDirectory(prefix=prefix, dir="/tmp" if too_long else None)  # noqa: S108 (made anew)


def until(what: str, true: Callable[[], bool], *, timeout_s: float = 60.0) -> None:
    """Return as soon as `true()` is; raise LateError when it is not in time."""
    deadline_s = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > deadline_s:
            raise LateError(f"{what}: not within {timeout_s:.0f} s")
        time.sleep(POLL_S)


def environment() -> dict[str, str]:
    """Ours, so that children find these packages, and without the operator's own Consul."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("CONSUL_", "BGCTL_"))}
    others = [entry for entry in sys.path if entry and Path(entry).is_dir()]
    return kept | {"PYTHONPATH": os.pathsep.join([str(SOURCES), *others]), "PYTHONUNBUFFERED": "1"}


def bound() -> list[str]:
    """Words before a command that let it end with us, even where we are gone before it has begun."""
    if not shutil.which("setpriv"):
        return []
    still_ours = '[ "$PPID" = "$0" ] && exec "$@"'
    return ["setpriv", "--pdeathsig", "TERM", "sh", "-c", still_ours, str(os.getpid())]


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let a signal wait: between a child's birth and our knowing of it nobody could end it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.signal(number, lambda each, _: came.append(each)) for number in POLITE}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0])


class Process:
    """A child in a group of its own, with its words in a log file."""

    stop_s = 10.0

    def __init__(self, arguments: Sequence[str | Path], log: Path) -> None:
        self.arguments = [str(argument) for argument in arguments]
        self.log = log
        self.child: subprocess.Popen[str] | None = None

    def start(self) -> Self:
        self.spawn()
        self.wait_ready()
        return self

    def spawn(self) -> None:
        """Start the child, and do not wait for it."""
        with self.log.open("a") as log, uninterrupted():
            self.child = subprocess.Popen(
                [*bound(), *self.arguments],
                stdin=subprocess.PIPE,
                stdout=self.stdout() or log,
                stderr=log,
                text=True,
                start_new_session=True,
                env=self.environment(),
            )

    def environment(self) -> dict[str, str]:
        given = environment() | {"TMPDIR": str(self.log.parent)}  # what they leave goes with it
        given.pop("NGINX", None)  # to us a program, to nginx the sockets that it inherits
        return given

    def stdout(self) -> int | None:
        """Where the child's answers go; by default into its log."""
        return None

    def wait_ready(self) -> None:
        """Return when the child does its work."""

    @property
    def pid(self) -> int:
        assert self.child is not None
        return self.child.pid

    def alive(self) -> bool:
        return self.child is not None and self.child.poll() is None

    def until_ready(self, what: str, true: Callable[[], bool], *, timeout_s: float = 60.0) -> None:
        """Like `until`, but a child that ended, or is late, is shown with its last words."""

        def ready() -> bool:
            if not self.alive():
                raise LateError(f"{what}: the process ended. Its last words:\n{self.last_words()}")
            return true()

        try:
            until(what, ready, timeout_s=timeout_s)
        except LateError as late:
            if "last words" in str(late):
                raise
            raise LateError(f"{late}. Its last words:\n{self.last_words()}") from None

    def last_words(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-12:])

    def signal(self, number: int) -> None:
        if self.alive():
            os.kill(self.pid, number)

    def stop(self) -> None:
        """End the child by request, else its whole group by force."""
        if self.child is None:
            return
        if self.child.stdin is not None:
            self.child.stdin.close()
        self.signal(signal.SIGTERM)
        try:
            with suppress(subprocess.TimeoutExpired):
                self.child.wait(self.stop_s)
        finally:
            self.kill()

    def kill(self) -> None:
        """End what is left of the group."""
        assert self.child is not None
        with suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()
        with suppress(LateError, ProcessLookupError):  # the others of the group are not ours to wait for
            until("the group is gone", self.nobody_left, timeout_s=2.0)

    def nobody_left(self) -> bool:
        assert self.child is not None
        os.killpg(self.child.pid, 0)  # raises when nobody is left
        return False

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
