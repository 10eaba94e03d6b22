"""A table as lines for a screen that is drawn anew each second: rich's own takes ten times as long. Pure.

Rules that live here: each row is one line, but that its prose, the last column, may be broken into several;
what does not fit ends in an ellipsis; no line is wider than the screen.
"""

import textwrap
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.segment import Segment

from bgctl import output

Line = list[Segment]

_GAP = 2
_LEAST_PROSE = 24
"""Narrower prose is not broken: a letter a line is not to be read."""


def table(
    console: Console, head: Sequence[str], rows: Sequence[Sequence[object]], *, width: int, broken: bool
) -> list[Line]:
    """The head and a line per row. Under a heading what is absent is a dash."""
    cells = [[output.cell(name, value) for name, value in zip(head, row, strict=True)] for row in rows]
    columns = list(zip(head, *cells, strict=True))[:-1]
    widths = [min(max(map(cell_len, column)), max(1, width // 4)) for column in columns]
    left = max(0, width - sum(widths) - _GAP * len(widths))
    names = "".join(_padded(name, size) for name, size in zip(head, widths, strict=False))
    lines: list[Line] = [[Segment(names, console.get_style("dim"))]]
    for *told, prose in cells:
        line = [
            Segment(_padded(text, size), console.get_style(output.style(name, text)))
            for name, text, size in zip(head, told, widths, strict=False)
        ]
        first, *others = _lines(prose, left, broken=broken)
        lines.append([*line, Segment(first)])
        lines += [[Segment(" " * (width - left) + other)] for other in others]
    return [Segment.adjust_line_length(line, width, pad=False) for line in lines]


def _padded(text: str, size: int) -> str:
    return set_cell_size(_cut(text, size), size + _GAP)


def _cut(text: str, size: int) -> str:
    return text if cell_len(text) <= size else f"{set_cell_size(text, max(0, size - 1))}…"


def _lines(prose: str, size: int, *, broken: bool) -> list[str]:
    if not broken or size < _LEAST_PROSE or cell_len(prose) <= size:
        return [_cut(prose, size) if size else ""]
    return textwrap.wrap(prose, size)
