"""How a command ends when it does not end well: the exit codes, and the error that carries one.

Rules that live here: an ending names its reason (`because`, a code from the runbook where one fits),
what was found, and the command that would help.
"""

from dataclasses import asdict, dataclass
from enum import IntEnum


class Exit(IntEnum):
    """The exit codes. Pipelines script against them."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    LATE = 3
    REFUSED = 4
    REVERTED = 5
    STORE = 6
    INTERRUPTED = 130


@dataclass  # not frozen: Python itself writes the traceback into it
class Ended(Exception):
    """A command cannot go on; whoever catches it tells the user and exits with `exit`."""

    exit: Exit
    because: str
    detail: str
    cure: str = ""

    def as_json(self) -> dict[str, object]:
        """The ending as programs read it."""
        return {"error": asdict(self) | {"exit": int(self.exit)}}


def refused(because: str, detail: str, cure: str = "") -> Ended:
    """A gate says no, or somebody else's wish came in between."""
    return Ended(Exit.REFUSED, because, detail, cure)


def late(because: str, detail: str, cure: str = "") -> Ended:
    """What was waited for did not happen in time."""
    return Ended(Exit.LATE, because, detail, cure)


def misused(detail: str, cure: str = "") -> Ended:
    """The command line asks for something that does not exist."""
    return Ended(Exit.USAGE, "usage", detail, cure)
