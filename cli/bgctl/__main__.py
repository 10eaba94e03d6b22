"""bgctl's door. Rule: Ctrl-C has one ending from the first moment on, also while the rest is loaded."""

import os
import signal
import sys
from types import FrameType

_INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> None:
    """Run one command and exit with its code."""
    heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not so for a shell's `&`
    if heeded:
        signal.signal(signal.SIGINT, _too_early)
    from bgctl import commands

    # A pipeline that is called off is told as much as a person, and leaves as little behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    status = commands.run(sys.argv[1:] if arguments is None else arguments, heeded=heeded)
    # After a Ctrl-C that met text being executed, as where a dataclass is made, Python would end by the
    # signal instead of with our code; the next text lets it forget that.
    exec("")  # noqa: S102 (it is empty)
    sys.exit(status)


def _too_early(_number: int, _frame: FrameType | None) -> None:
    os.write(2, b"bgctl: interrupted; nothing was written\n")
    os._exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
