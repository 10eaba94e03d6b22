"""A program on a terminal of its own, what stands on its screen, and the keys that are pressed there.

The screen understands of a terminal's language what bgctl speaks: it is no terminal to try others on.
"""

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from tests.integration.waiting import eventually

_TOKEN = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|[\r\n]|[^\x1b\r\n]+")


class Screen:
    """What stands where, after all that was written."""

    def __init__(self) -> None:
        self.written, self.alternate, self.cursor = "", False, True
        self._rows: dict[int, str] = {}
        self._main: dict[int, str] = {}
        self._row = self._column = 1

    @property
    def text(self) -> str:
        return "\n".join(self._rows.get(row, "").rstrip() for row in range(1, max(self._rows, default=0) + 1))

    def write(self, text: str) -> None:
        self.written += text
        for token in _TOKEN.finditer(text):
            if token[2]:
                self._obey(token[1], token[2])
            elif token[0] == "\r":
                self._column = 1
            elif token[0] == "\n":
                self._row += 1
            else:
                old = self._rows.get(self._row, "").ljust(self._column - 1)
                end = self._column - 1 + len(token[0])
                self._rows[self._row] = old[: self._column - 1] + token[0] + old[end:]
                self._column = end + 1

    def _obey(self, given: str, letter: str) -> None:
        number = int(given) if given.isdigit() else 0
        match letter:
            case "H":
                row, _, column = given.partition(";")
                self._row, self._column = int(row or 1), int(column or 1)
            case "K":
                self._rows[self._row] = "" if number else self._rows.get(self._row, "")[: self._column - 1]
            case "J":
                first = 1 if number else self._row
                self._rows = {row: line for row, line in self._rows.items() if row < first}
            case "A":
                self._row -= number or 1
            case "h" | "l":
                self._switch(given, letter == "h")

    def _switch(self, given: str, on: bool) -> None:
        if given == "?25":
            self.cursor = on
        elif given == "?1049" and on != self.alternate:
            self.alternate = on
            self._rows, self._main = ({}, self._rows) if on else (self._main, {})


class Seated:
    """A program that runs on a terminal, and whoever sits there."""

    def __init__(self, process: "subprocess.Popen[bytes]", near: int, far: int) -> None:
        self.process, self._near, self._far = process, near, far
        self.screen, self._lock = Screen(), threading.Lock()
        self.began = termios.tcgetattr(far)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        rest = b""
        with contextlib.suppress(OSError):
            while data := os.read(self._near, 65536):
                # What was cut in the middle of a letter or of a sequence waits for its other half.
                text, rest = _whole(rest + data)
                with self._lock:
                    self.screen.write(text)

    @property
    def text(self) -> str:
        with self._lock:
            return self.screen.text

    def press(self, keys: str) -> None:
        os.write(self._near, keys.encode())

    def until(self, pattern: str) -> None:
        """Wait until this stands on the screen."""
        try:
            eventually(lambda: re.search(pattern, self.text), within_s=60)
        except AssertionError:
            raise AssertionError(f"{pattern!r} never came; there is:\n{self.text}") from None

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._far, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def end(self) -> int:
        """Wait for its end; its exit code."""
        code = self.process.wait(60)
        eventually(lambda: not self.screen.alternate or None, "the screen is given back")
        return code

    @property
    def given_back(self) -> bool:
        """Whether the terminal is as it was."""
        same = termios.tcgetattr(self._far) == self.began
        return same and self.screen.cursor and not self.screen.alternate


def _whole(data: bytes) -> tuple[str, bytes]:
    for cut in range(min(24, len(data))):
        head = data[: len(data) - cut]
        with contextlib.suppress(UnicodeDecodeError):
            text = head.decode()
            if not re.search(r"\x1b(\[[?0-9;]*)?$", text):
                return text, data[len(head) :]
    return "", data


@contextmanager
def seated(
    command: Sequence[str], environment: Mapping[str, str], *, columns: int = 80, lines: int = 24
) -> Iterator[Seated]:
    """The program on a terminal of this size; it is gone afterwards, and the terminal with it."""
    near, far = pty.openpty()
    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    process = subprocess.Popen(
        ["setsid", "--ctty", *command],
        env={**environment, "TERM": "xterm-256color"},
        stdin=far,
        stdout=far,
        stderr=far,
    )
    try:
        yield Seated(process, near, far)
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            process.wait()
        os.close(far)
        os.close(near)
