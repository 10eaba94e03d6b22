"""The table of members that is replaced in place while a command waits; on stderr, if that is a terminal.

Rules that live here: its last state stays on the screen, all of it; where not all rows fit meanwhile,
those that have not arrived come first; the cursor is never hidden, so that nothing need be put back
however the command ends.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bgctl import output
from bgctl.progress import Row

_MARKS = {True: ("✔", "green"), False: ("✘", "red"), None: ("·", "yellow")}
_FRAMES_PER_S = 4
"""So often the times are counted on; a change of a row is shown at once."""
_SPARE_LINES = 2
"""What is left out, and the cursor's own line."""


@contextmanager
def table() -> Iterator["Members"]:
    """A table on stderr, for as long as somebody waits."""
    console = Console(stderr=True, highlight=False)
    members = Members(console)
    with Live(
        console=console,
        get_renderable=members.seen,
        refresh_per_second=_FRAMES_PER_S,
        redirect_stdout=False,  # that is data
        vertical_overflow="crop",
    ) as live:
        console.show_cursor(True)
        members.changed = live.refresh
        try:
            yield members
        finally:
            members.whole = True


def _nothing() -> None:
    pass


@dataclass(slots=True)
class Members:
    """The rows, and for how long each has been on its way."""

    console: Console
    changed: Callable[[], None] = _nothing
    now_s: Callable[[], float] = time.monotonic
    whole: bool = False
    """Whether to show every row, even if the screen is too small for them."""
    rows: Sequence[Row] = ()
    begun_s: dict[str, float] = field(default_factory=dict)
    arrived_s: dict[tuple[str, str], float] = field(default_factory=dict)
    """When a node came to a phase in which it no longer moves."""

    def show(self, rows: Sequence[Row]) -> None:
        now_s = self.now_s()
        for row in rows:
            self.begun_s.setdefault(row.node, now_s)
            if row.done is not None:
                self.arrived_s.setdefault((row.node, row.phase), now_s)
        self.rows = tuple(rows)
        self.changed()

    def seen(self) -> Group:
        """The table as it is at this moment."""
        rows, left_out = self._fitting()
        made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False, expand=True)
        for _ in ("mark", "node", "elapsed", "phase"):
            made.add_column(no_wrap=True)
        made.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for row in rows:
            made.add_row(*self._cells(row))
        if not left_out:
            return Group(made)
        done = sum(row.done is True for row in left_out)
        return Group(made, Text(f"   and {len(left_out)} more, {done} of them done", "dim"))

    def _fitting(self) -> tuple[Sequence[Row], Sequence[Row]]:
        """The rows that fit the screen, and those that do not."""
        room = max(1, self.console.height - _SPARE_LINES)
        if self.whole or len(self.rows) <= room:
            return self.rows, ()
        waiting_first = sorted(self.rows, key=lambda row: row.done is True)
        return waiting_first[:room], waiting_first[room:]

    def _cells(self, row: Row) -> list[Text]:
        mark, colour = _MARKS[row.done]
        return [
            Text(mark, colour),
            Text(output.clean(row.node)),
            Text(f"{self._elapsed_s(row):5.1f} s", "dim"),
            Text(output.clean(row.phase), "" if row.done is None else colour),
            Text(output.clean(row.detail), "dim" if row.done else ""),
        ]

    def _elapsed_s(self, row: Row) -> float:
        moves = row.done is None
        until_s = self.now_s() if moves else self.arrived_s[row.node, row.phase]
        return until_s - self.begun_s[row.node]
