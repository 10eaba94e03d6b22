"""Tells the host's own command what happened: one run for each event, the event as JSON on its input.

Rules that live here: who tells is never held up; one command runs at a time, the next event waits its turn;
what has not ended in time is ended with all that it has started; a command that fails changes nothing but
the log. An event is told once and never again: of those that wait too long the oldest is dropped, and said.
"""

import contextlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

BOUND_S = 30.0
"""So long one command may take."""
MOST_WAITING = 100
CLOSING_S = 1.0
"""So long what waits still gets when bgd stops."""

_KEPT = 2000
_PIECE = 1 << 16
_LOOK_S = 0.05

_PATH_CURE = "correct notify.command, or install the program there; [] tells nobody"


class Notifier:
    """One thread that runs the command. All else may be called from any thread and returns at once."""

    def __init__(self, command: Sequence[str] = (), *, bound_s: float = BOUND_S) -> None:
        self._command, self._bound_s = tuple(command), bound_s
        self._log = structlog.get_logger("notify")
        self._changed = threading.Condition()
        self._waiting: deque[Mapping[str, Any]] = deque()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._stop_s = float("inf")

    def tell(self, event: Mapping[str, Any]) -> None:
        """Run the command for an event, after those that were told before."""
        dropped = None
        with self._changed:
            if self._stopping or not self._command:
                return
            self._waiting.append(event)
            if len(self._waiting) > MOST_WAITING:
                dropped = self._waiting.popleft()
            self._thread = self._thread or self._started()
            self._changed.notify()
        if dropped is not None:
            self._log.error("event dropped, too many wait to be told", **_named(dropped))

    def configure(self, command: Sequence[str]) -> None:
        """From the next event on this is the command; an empty one tells nobody, nor what still waits."""
        with self._changed:
            self._command = tuple(command)
            if not command:
                self._waiting.clear()

    def close(self) -> None:
        """End within moments: what waits has `CLOSING_S` to be told, then the command is killed."""
        with self._changed:
            self._stopping = True
            self._stop_s = time.monotonic() + CLOSING_S
            self._changed.notify()
        if self._thread:
            self._thread.join(2 * CLOSING_S)

    def _started(self) -> threading.Thread:
        thread = threading.Thread(target=self._run, name="notify", daemon=True)
        thread.start()
        return thread

    def _run(self) -> None:
        while job := self._next():
            command, event = job
            fault, said = self._tell_one(command, _line(event))
            if fault:
                self._log.error("notify failed", detail=fault, said=said, **_named(event))
            else:
                self._log.info("notified", said=said, **_named(event))

    def _next(self) -> tuple[tuple[str, ...], Mapping[str, Any]] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or bool(self._waiting))
            if self._waiting:
                return self._command, self._waiting.popleft()
            return None

    def _tell_one(self, command: Sequence[str], line: bytes) -> tuple[str, str]:
        """What went wrong, and what the command said."""
        if self._left_s() <= 0:
            return "bgd stops, and this was not told", ""
        if wrong := unusable(command):
            return wrong, ""
        try:
            process = _begin(command)
        except OSError as error:
            return f"{command[0]} cannot be run: {error.strerror}; {_PATH_CURE}", ""
        until_s = time.monotonic() + self._bound_s
        said = bytearray()
        ended = _converse(process, line, said, lambda: min(until_s - time.monotonic(), self._left_s()))
        status = _end(process)
        fault = f"{command[0]} ended with {status}" if status else ""
        return fault if ended else self._cut(command), _plain(said)

    def _cut(self, command: Sequence[str]) -> str:
        why = "when bgd stopped" if self._left_s() <= 0 else f"within {self._bound_s:g} s"
        return f"{command[0]} had not ended {why}, and was killed"

    def _left_s(self) -> float:
        return self._stop_s - time.monotonic()


def unusable(command: Sequence[str]) -> str:
    """Why a command could not be run now, with the cure; empty when it could, or when there is none."""
    if not command or shutil.which(command[0]):
        return ""
    if os.path.isdir(command[0]):
        return f"{command[0]} is not a program; {_PATH_CURE}"
    if os.path.isfile(command[0]):
        return f"{command[0]} may not be executed by this user; chmod 755 {command[0]}"
    place = "there" if "/" in command[0] else "in PATH"
    return f"{command[0]} is not {place}; {_PATH_CURE}"


def _begin(command: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        cwd="/",
    )


def _converse(
    process: subprocess.Popen[bytes], line: bytes, said: bytearray, left_s: Callable[[], float]
) -> bool:
    """Give it the line, hear what it says; whether it, and all that keeps its output open, ended in time."""
    stdin, stdout = process.stdin, process.stdout
    assert stdin is not None
    assert stdout is not None
    with selectors.DefaultSelector() as selector, stdin, stdout:
        os.set_blocking(stdin.fileno(), False)
        selector.register(stdin, selectors.EVENT_WRITE)
        selector.register(stdout, selectors.EVENT_READ)
        while left_s() > 0:
            for key, _ in selector.select(_LOOK_S):
                if key.fileobj is stdin and not (line := _say(key.fd, line)):
                    selector.unregister(stdin)
                    stdin.close()
                elif key.fileobj is stdout and not _hear(key.fd, said):
                    selector.unregister(stdout)
                    stdout.close()
            if stdout.closed and _has_ended(process):
                return True
    return False


def _say(fd: int, line: bytes) -> bytes:
    """What is still to be said; nothing more to one who does not listen."""
    try:
        return line[os.write(fd, line) :]
    except BlockingIOError:
        return line
    except BrokenPipeError:
        return b""


def _hear(fd: int, said: bytearray) -> bool:
    """Keep the beginning of what is said; whether there may be more."""
    piece = os.read(fd, _PIECE)
    said += piece[: max(0, _KEPT - len(said))]
    return bool(piece)


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    # Not by poll(): until it is waited for, its number, which is its group's, is nobody else's.
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end(process: subprocess.Popen[bytes]) -> int:
    """End what is left of it, and give its status."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def _line(event: Mapping[str, Any]) -> bytes:
    return json.dumps(event, default=str).encode() + b"\n"


def _named(event: Mapping[str, Any]) -> dict[str, Any]:
    """How the log names an event."""
    return {key: event.get(key) for key in ("app", "generation", "what", "outcome")}


def _plain(said: bytearray) -> str:
    """On one line, and nothing that a terminal would obey."""
    text = " ".join(said.decode(errors="replace").split())
    return "".join(letter if letter.isprintable() else " " for letter in text)
