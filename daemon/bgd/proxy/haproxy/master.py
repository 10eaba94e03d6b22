"""Asking HAProxy's workers through their master: the only way to those that finish what they have.

Rules that live here: a worker that the master does not know any more is gone, and has nothing open; where
the master may not be asked, the kernel may still know that there is no other worker.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from bgd.proxy.haproxy import runtime

PROC = Path("/proc")
_PROMPT = re.compile(r"(?:\A|\n)master(?:\[ReloadFailed\])?> ")
_WORKER = re.compile(r"^(\d+)\s+worker\s", re.MULTILINE)
_GONE = "Can't find the target PID"


class Gone(OSError):
    """The worker has ended."""


def ask(path: Path, worker: int, questions: Sequence[str]) -> list[str]:
    """A worker's answers, in order. Raises OSError, Gone when there is no such worker."""
    lines = "".join(f"@!{worker} {question}\n" for question in questions)
    answers = [each.strip() for each in _PROMPT.split(runtime.ask_master(path, f"prompt\n{lines}quit\n"))[1:]]
    if any(each.startswith(_GONE) for each in answers):
        raise Gone(f"{path}: worker {worker} has ended")
    if len(answers) < len(questions):
        raise OSError(f"{path}: worker {worker} answered {len(answers)} of {len(questions)} questions")
    return answers[: len(questions)]


def others(path: Path, serving: int) -> list[int] | None:
    """The workers beside the one that serves; None when they cannot be known."""
    try:
        said = runtime.ask_master(path, "show proc\nquit\n")
    except OSError:
        return _others_by_kernel(serving)
    workers = {int(pid) for pid in _WORKER.findall(said)}
    return sorted(workers - {serving}) if serving in workers else None


def _others_by_kernel(serving: int) -> list[int] | None:
    """None at all, if the master has no other child; more cannot be said without it."""
    try:
        parent = (PROC / str(serving) / "stat").read_text().rpartition(")")[2].split()[1]
        children = (PROC / parent / "task" / parent / "children").read_text().split()
        name, parents = (_name(pid) for pid in (str(serving), parent))
    except OSError:
        return None
    alone = children == [str(serving)] and name == parents and int(parent) != os.getpid()
    return [] if alone else None


def _name(pid: str) -> str:
    return (PROC / pid / "comm").read_text()
