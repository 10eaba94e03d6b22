"""The terminal as a screen with keys: taken over, drawn on, and given back as it was.

Rules that live here: whatever ends the program short of SIGKILL gives the terminal back first; signals are
words beside the keys, heard where keys are heard; only lines that have changed are drawn.
"""

import codecs
import contextlib
import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Sequence
from types import FrameType

RESIZED, SUSPENDED = "<resized>", "<suspended>"
INTERRUPTED, ENDED, HUNG_UP, QUIT = "<interrupted>", "<ended>", "<hung-up>", "<quit>"
_SIGNALS = {
    signal.SIGWINCH: RESIZED,
    signal.SIGINT: INTERRUPTED,
    signal.SIGTERM: ENDED,
    signal.SIGHUP: HUNG_UP,
    signal.SIGQUIT: QUIT,
    signal.SIGTSTP: SUSPENDED,
}
UP, DOWN, ENTER, ESCAPE, BACKSPACE = "<up>", "<down>", "<enter>", "<escape>", "<backspace>"
_SEQUENCES = {"\x1b[A": UP, "\x1bOA": UP, "\x1b[B": DOWN, "\x1bOB": DOWN}
_SINGLE = {"\r": ENTER, "\n": ENTER, "\x7f": BACKSPACE, "\x08": BACKSPACE, "\x1b": ESCAPE}
_REST_OF_A_SEQUENCE_S = 0.05
_OPEN, _CLOSE = "\x1b[?1049h\x1b[?25l\x1b[2J", "\x1b[0m\x1b[?25h\x1b[?1049l"


class Terminal:
    """The screen of stdout with the keys of stdin, both of them terminals."""

    def __init__(self) -> None:
        self._keys, self._screen = sys.stdin.fileno(), sys.stdout.fileno()
        self._before = termios.tcgetattr(self._keys)
        self._handlers: dict[signal.Signals, signal._HANDLER] = {}
        self._heard, self._said = os.pipe()
        self._wakeup_before = -1
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._drawn: list[str] = []

    def __enter__(self) -> "Terminal":
        for end in (self._heard, self._said):
            os.set_blocking(end, False)
        self._wakeup_before = signal.set_wakeup_fd(self._said, warn_on_full_buffer=False)
        for number in _SIGNALS:
            self._handlers[number] = signal.signal(number, _noted)
        self._take()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._give_back()
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(self._wakeup_before)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        columns, lines = os.get_terminal_size(self._screen)
        return columns or 80, lines or 24

    def wake(self) -> None:
        """End the wait for keys; from any thread."""
        with contextlib.suppress(OSError):  # full: awake already
            os.write(self._said, b"\0")

    def heard(self, timeout_s: float) -> list[str]:
        """The keys that were pressed and the signals that came, as soon as there is anything."""
        ready, _, _ = select.select([self._keys, self._heard], [], [], timeout_s)
        words: list[str] = []
        if self._heard in ready:
            words += [_SIGNALS[signal.Signals(byte)] for byte in os.read(self._heard, 4096) if byte]
        if self._keys in ready:
            words += self._pressed()
        if SUSPENDED in words:
            self._suspend()
        return words

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines, from the top; each as wide as the screen at most."""
        before = [*self._drawn, *[""] * len(lines)]
        changed = "".join(
            f"\x1b[{row};1H\x1b[2K{line}"
            for row, (line, old) in enumerate(zip(lines, before, strict=False), start=1)
            if line != old
        )
        below = f"\x1b[{len(lines) + 1};1H\x1b[J" if len(self._drawn) > len(lines) else ""
        self._drawn = list(lines)
        self._write(changed + below)

    def redraw(self) -> None:
        """Nothing that was drawn can be relied on any more."""
        self._drawn = []
        self._write("\x1b[0m\x1b[2J")

    # -- the terminal itself ------------------------------------------------------------------------

    def _take(self) -> None:
        tty.setcbreak(self._keys)
        self._write(_OPEN)
        self._drawn = []

    def _give_back(self) -> None:
        try:
            self._write(_CLOSE)
        finally:
            with contextlib.suppress(termios.error):  # it has been hung up
                termios.tcsetattr(self._keys, termios.TCSAFLUSH, self._before)

    def _suspend(self) -> None:
        """Stop as any program does at Ctrl-Z, and go on where we were."""
        self._give_back()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, _noted)
        self._take()

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):  # it has been hung up; the next read says so
            sys.stdout.write(text)
            sys.stdout.flush()

    # -- keys -----------------------------------------------------------------------------------------

    def _pressed(self) -> list[str]:
        text = self._read()
        if text is None:
            return [HUNG_UP]
        if text.endswith("\x1b") and select.select([self._keys], [], [], _REST_OF_A_SEQUENCE_S)[0]:
            text += self._read() or ""
        return keys_in(text)

    def _read(self) -> str | None:
        """What was typed; None when nothing will be any more."""
        try:
            typed = os.read(self._keys, 1024)
        except OSError:
            return None
        return self._decode(typed) if typed else None


def keys_in(text: str) -> list[str]:
    """What was typed, key by key; sequences of keys that mean nothing here are left out."""
    keys: list[str] = []
    while text:
        known = next((each for each in _SEQUENCES if text.startswith(each)), "")
        if known:
            keys.append(_SEQUENCES[known])
            text = text.removeprefix(known)
        elif text[0] == "\x1b" and text[1:2] in ("[", "O"):
            text = _after_a_sequence(text[2:])
        else:
            if text[0] in _SINGLE or text[0].isprintable():
                keys.append(_SINGLE.get(text[0], text[0]))
            text = text[1:]
    return keys


def _after_a_sequence(text: str) -> str:
    """What follows on parameters and their final letter."""
    rest = text.lstrip("0123456789;:<=>? ")
    return rest[1:]


def _noted(_number: int, _frame: FrameType | None) -> None:
    """The signal's number stands in the pipe."""
