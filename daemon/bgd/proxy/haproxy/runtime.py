"""Speaking to a running HAProxy: its runtime socket, its master socket, and how their answers read.

Rules that live here: a connection per question, since one kept open would stay with the old worker
over a reload; every wait has a deadline; an OSError means that HAProxy did not answer.
"""

import re
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bgd.proxy.adapter import RunningServer
from bgd.proxy.haproxy import hop

PROMPT = "\n> "
DEADLINE_S = 2.0
REFUSED_S = 1.0
WHOLE_S = 10.0
"""How long a whole answer may take, however busily it comes."""
LONGEST = 1 << 26


@dataclass(frozen=True, slots=True)
class Processes:
    """What the master says of its workers."""

    old_workers: int
    failed_reloads: int


def ask(path: Path, commands: Sequence[str], deadline_s: float = DEADLINE_S) -> list[str]:
    """The answers of one worker to these commands, in order. Raises OSError."""
    said = _exchange(path, "".join(f"{line}\n" for line in ("prompt", *commands, "quit")), deadline_s)
    answers = said.split(PROMPT)[1:]
    if len(answers) < len(commands):
        told = f"{path} answered {len(answers)} of {len(commands)} commands"
        raise OSError(f"{told}: is it the runtime socket of HAProxy?")
    return [answer.strip() for answer in answers[: len(commands)]]


def processes(path: Path) -> Processes | None:
    """The master's list of processes; None when it may not be asked or does not answer just now."""
    try:
        with _master(path) as master:
            master.settimeout(0.5)
            said = _ask_on(master, "show proc\nquit\n")
    except OSError:
        return None
    old = said.partition("# old workers")[2].partition("#")[0]
    failed = re.search(r"\[failed: (\d+)\]", said)
    return Processes(len(old.split("\n")[1:-1]), int(failed[1]) if failed else 0)


def ask_master(path: Path, lines: str) -> str:
    """What the master says to these lines, the last of which is `quit`. Raises OSError."""
    try:
        with _master(path) as master:
            return _ask_on(master, lines)
    except OSError as error:
        raise OSError(f"{path}: {error.strerror or error}") from error


def order_reload(path: Path) -> str:
    """Ask the master to reload; what it says of it, if it is one that does. Raises OSError.

    Before 2.7 it says nothing and may leave the connection open, so this does not wait for an end.
    """
    with _master(path) as master:
        master.sendall(b"reload\n")
        return _listen(master, time.monotonic() + 0.3)


def variable(answer: str) -> str | None:
    """The value in the answer to `get var`."""
    found = re.search(r"value=<(.*)>", answer)
    return found[1] if found else None


def entries(answer: str) -> dict[str, str]:
    """Key → value in the answer to `show map FILE`."""
    rows = (line.split() for line in answer.splitlines() if line.startswith("0x"))
    return {row[1]: row[2] for row in rows if len(row) == 3}


def info(answer: str, field: str) -> str:
    """One field of the answer to `show info`."""
    found = re.search(rf"^{field}: (.*)$", answer, re.MULTILINE)
    return found[1] if found else ""


def servers(answer: str) -> dict[str, dict[str, RunningServer]]:
    """Backend → server of an app → its state, in the answer to `show servers state`."""
    found: dict[str, dict[str, RunningServer]] = {}
    for line in answer.splitlines():
        row = line.split()
        if len(row) < 8 or not (row[6].isdecimal() and row[7].isdecimal()) or row[3] == hop.SERVER:
            continue
        taken_out = bool(int(row[6]) & 0x0D)  # forced, configured and drain; not "could not resolve"
        found.setdefault(row[1], {})[row[3]] = RunningServer(row[5] == "0", taken_out, int(row[7]))
    return found


def _exchange(path: Path, question: str, deadline_s: float) -> str:
    try:
        return _talk(path, question, deadline_s)
    except OSError as error:
        raise OSError(f"{path}: {error.strerror or error}") from error


def _talk(path: Path, question: str, deadline_s: float) -> str:
    with socket.socket(socket.AF_UNIX) as worker:
        worker.settimeout(deadline_s)
        worker.connect(str(path))
        return _ask_on(worker, question)


def _ask_on(asked: socket.socket, question: str) -> str:
    asked.sendall(question.encode())
    said, until_s = bytearray(), time.monotonic() + WHOLE_S
    while chunk := asked.recv(1 << 16):
        said += chunk
        if len(said) > LONGEST or time.monotonic() > until_s:
            raise OSError("it does not stop talking")
    return said.decode(errors="replace")


def _master(path: Path) -> socket.socket:
    """A connection to the master, which refuses for an instant after its start and after each reload."""
    until_s = time.monotonic() + REFUSED_S
    while True:
        master = socket.socket(socket.AF_UNIX)
        master.settimeout(DEADLINE_S)
        try:
            master.connect(str(path))
        except OSError as error:
            master.close()
            if not isinstance(error, ConnectionRefusedError) or time.monotonic() > until_s:
                raise
            time.sleep(0.01)
        else:
            return master


def _listen(master: socket.socket, until_s: float) -> str:
    said = b""
    while (left_s := until_s - time.monotonic()) > 0:
        master.settimeout(left_s)
        try:
            chunk = master.recv(1 << 16)
        except OSError:
            break
        said += chunk
        if not chunk or b"Success=" in said:
            break
    return said.decode(errors="replace").strip()
