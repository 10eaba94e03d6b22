"""Runs the host's own commands: its check, its reload.

Rules that live here: what does not end in time is killed with all that it has started; of what it says
no more is kept than people read, and nothing that a terminal would obey.
"""

import contextlib
import os
import selectors
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

_KEPT = 1 << 16
_BRIEF = 500
_LOOK_S = 0.05
_SYSTEM = "/usr/sbin:/usr/local/sbin:/sbin"


def words(line: str, *, main_file: Path, folder: Path, here: bool = True) -> list[str]:
    """A command line of the settings, with its places filled in.

    `here`: the program is on this host, where a plain user's PATH may lack the folders it is in.
    """
    program, *rest = shlex.split(line)
    found = shutil.which(program) or shutil.which(program, path=_SYSTEM) if here else None
    places = {"{main_file}": str(main_file), "{folder}": str(folder)}
    for place, path in places.items():
        rest = [word.replace(place, path) for word in rest]
    return [found or program, *rest]


def run(words: Sequence[str], deadline_s: float) -> str:
    """What a command says when it fails; empty when it was content."""
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",  # as under systemd; HAProxy fails where it may not read its folder
        )
    except OSError as error:
        return f"cannot run {words[0]}: {error.strerror}"
    with process.stdout or contextlib.nullcontext():
        try:
            said = _listen(process, time.monotonic() + deadline_s)
        except (TimeoutError, subprocess.TimeoutExpired):
            return f"{words[0]} did not end within {deadline_s:g} s"
        finally:
            _end(process)
    return (_plain(said) or f"{words[0]} ended with {process.returncode}") if process.returncode else ""


def brief(said: str) -> str:
    """The beginning of what was said, on one line."""
    line = " ".join(said.split())
    return line if len(line) <= _BRIEF else line[: _BRIEF - 1] + "…"


def _listen(process: subprocess.Popen[bytes], until_s: float) -> bytes:
    """What it says until it has ended, even if something that it started keeps its output open."""
    assert process.stdout is not None
    said = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while (left_s := until_s - time.monotonic()) > 0:
            if not selector.select(min(left_s, _LOOK_S)):
                if process.poll() is not None:
                    return bytes(said)
                continue
            chunk = os.read(process.stdout.fileno(), _KEPT)
            if not chunk:
                process.wait(max(0.0, until_s - time.monotonic()))
                return bytes(said)
            said += chunk[: _KEPT - len(said)]
    raise TimeoutError


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _plain(said: bytes) -> str:
    text = said.decode(errors="replace")
    return "".join(char if char.isprintable() or char == "\n" else " " for char in text).strip()
