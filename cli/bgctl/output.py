"""Saying things: tables for people, JSON for programs.

Rules that live here: data goes to stdout and prose to stderr; colour only on a terminal and never
with NO_COLOR; in a pipe nothing is cut; no control character that was read from Consul ever reaches
the terminal.
"""

import json
import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TextIO

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\ufff9-\ufffb]"
)

_STYLES = {
    "blue": "blue",
    "green": "green",
    "up": "green",
    "converged": "green",
    "probation": "green",
    "weak": "yellow",
    "unknown": "yellow",
    "starting": "yellow",
    "flipping": "yellow",
    "live-weak": "yellow",
    "down": "red",
    "–": "dim",
}
"""A cell is styled by its first word, prose is not; a reason that is not named here is red."""

_TROUBLE = "because"
_LEAST_PROSE = 24


def clean(value: object) -> str:
    """The value as text in which every control character is written out."""
    return _UNSAFE.sub(_written_out, str(value))


def _written_out(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def cell(name: str, value: object) -> str:
    """A cell as it is shown; under a heading what is absent is a dash."""
    absent = value is None or value == ""
    return ("–" if name else "") if absent else clean(value)


def open_streams() -> None:
    """Where a stream was closed by the caller, nobody reads it: that is no reason to do nothing."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (as long as the process)
        else:
            stream.reconfigure(errors="replace")


def say(line: str) -> None:
    """Prose and progress, for whoever watches; if nobody does, what is being done goes on."""
    with suppress(OSError):
        print(clean(line), file=sys.stderr, flush=True)


def put(line: str = "") -> None:
    """A line of data."""
    print(clean(line))


def put_json(value: Any) -> None:
    """The data as one JSON document, in ASCII, so that nothing in it can steer a terminal."""
    print(json.dumps(value, indent=2).replace("\x7f", "\\u007f"))


def put_table(head: Sequence[str], rows: Sequence[Sequence[object]], *, indent: str = "") -> None:
    """A table. Under a heading what is absent is a dash; prose, which has no heading, is left out."""
    cells = [[cell(name, value) for name, value in zip(head, row, strict=True)] for row in rows]
    if _colourful(sys.stdout):
        _put_rich(head, cells, indent)
    else:
        _put_plain(head, cells, indent)


def _put_plain(head: Sequence[str], rows: list[list[str]], indent: str) -> None:
    lines = [list(head), *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        padded = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        print((indent + "  ".join(padded)).rstrip())


def _put_rich(head: Sequence[str], rows: list[list[str]], indent: str) -> None:
    from rich.console import Console  # heavy; only terminals pay for it
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)
    *names, prose = head
    for name in names:
        table.add_column(name, no_wrap=True, overflow="ignore")
    table.add_column(prose, overflow="fold")
    for row in rows:
        table.add_row(*(Text(text, style(name, text)) for name, text in zip(head, row, strict=True)))
    console = Console(highlight=False)
    console.width = max(console.width, len(indent) + _least_width(head, rows))
    console.print(table if not indent else _indented(table, len(indent)))


def _least_width(head: Sequence[str], rows: list[list[str]]) -> int:
    """Below this the lines are left to a narrow terminal to break: one letter a line is not to be read."""
    columns = list(zip(head, *rows, strict=True))
    return sum(max(map(len, column)) + 2 for column in columns[:-1]) + _LEAST_PROSE


def _indented(table: Any, by: int) -> Any:
    from rich.padding import Padding

    return Padding(table, (0, 0, 0, by))


def style(column: str, text: str) -> str:
    """How a cell is painted; nothing of what has no heading."""
    if not column:
        return ""
    word = text.split(" ", 1)[0]
    return _STYLES.get(word, "red" if column == _TROUBLE else "")


def redrawable() -> bool:
    """Whether what was said on stderr can be replaced in place."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def _colourful(stream: TextIO) -> bool:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return stream.isatty() and not plain
