"""As much of HTTP/1.1 as a probe needs: one request, and the status line of its answer.

The first status line counts, as it does for the proxy's own checks. Header and body are not read.
"""

import re

from bgd import __version__

AGENT = f"bgd/{__version__}"
LINE_BYTES = 4096
"""A status line that has not ended by then is none."""

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: [^\r\n\0]*)?\r?\n")
_BEGINNING = b"HTTP/1."


class NotHttp(Exception):
    """What came is not the beginning of an HTTP/1 answer."""


def request(path: str, host: str) -> bytes:
    """A GET that asks the other side to close afterwards."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        f"User-Agent: {AGENT}",
        "Accept: */*",
        "Connection: close",
    ]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("ascii")


def status(received: bytes) -> int | None:
    """The status that an answer begins with; None while its line has not ended."""
    found = _STATUS_LINE.match(received)
    if found:
        return int(found[1])
    if b"\n" in received or len(received) >= LINE_BYTES or not _may_become_one(received):
        raise NotHttp
    return None


def _may_become_one(received: bytes) -> bool:
    return received[: len(_BEGINNING)] == _BEGINNING[: len(received)]
