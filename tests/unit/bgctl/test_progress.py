"""Who is where while a command waits: what a row says, and how rows are shown."""

import io

import pytest
from rich.console import Console

from bgctl import progress
from bgctl.live import Members
from bgctl.progress import Lines, Row
from bgd.core.model import Colour, Desired
from tests.unit.bgctl.fleet import app, member

GREEN = Desired(Colour.GREEN, 12)


def members(height: int = 24, width: int = 60) -> Members:
    """A table on a terminal of this size, by a clock that the test sets."""
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    return Members(console, now_s=lambda: clock[0])


clock = [0.0]


def lines(table: Members) -> list[str]:
    with table.console.capture() as seen:
        table.console.print(table.seen())
    return [line.rstrip() for line in seen.get().splitlines()]


def test_a_proof_is_done_and_a_silent_member_is_not():
    """Who has proved the wish is done; who is silent stands against it; others are under way."""
    seen = app(
        member("lb-1", "green", generation=12),
        member("lb-2", "blue", because="flipping", desired=12),
        member("lb-3", alive=False),
    )

    rows = progress.proof(seen, GREEN)

    assert [(row.node, row.done) for row in rows] == [("lb-1", True), ("lb-2", None), ("lb-3", False)]
    assert (rows[0].phase, rows[0].detail) == ("green proved", "runtime, 3.1 ms")
    assert rows[1].phase == "serves blue"
    assert "node-silent" in rows[2].detail


def test_a_gate_that_refuses_is_named():
    """A colour that is no target is told with the reason of the gate."""
    (row,) = progress.gate(
        app(member("lb-1", green=("down", "target-not-ready: 0/3 ready, 3 needed"))), Colour.GREEN
    )

    assert row == Row("lb-1", "green is not ready", "target-not-ready: 0/3 ready, 3 needed", False)


def test_in_a_pipe_only_changes_are_said(capsys: pytest.CaptureFixture[str]):
    """In a pipe each member's word is a line on stderr, said again only when it is another."""
    view = Lines()
    view.show([Row("lb-1", "serves blue"), Row("lb-2", "serves blue")])
    view.show([Row("lb-1", "serves blue"), Row("lb-2", "green proved", "runtime, 3 ms", True)])

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "  lb-1  serves blue",
        "  lb-2  serves blue",
        "  lb-2  green proved: runtime, 3 ms",
    ]


def test_with_json_nothing_is_redrawn(monkeypatch: pytest.MonkeyPatch):
    """With -o json there are lines, also on a terminal."""
    monkeypatch.setattr("bgctl.output.redrawable", lambda: True)

    with progress.shown(as_json=True) as view:
        assert isinstance(view, Lines)


def test_on_a_terminal_each_member_has_a_line_and_a_clock():
    """The table has a line for each member, and the clock of who has arrived stands still."""
    table, clock[0] = members(), 0.0
    table.show([Row("lb-1", "serves blue"), Row("lb-2", "serves blue", "flipping")])
    clock[0] = 1.5
    table.show([Row("lb-1", "green proved", "runtime", True), Row("lb-2", "serves blue", "flipping")])
    clock[0] = 4.0

    assert lines(table) == [
        "✔  lb-1    1.5 s  green proved  runtime",
        "·  lb-2    4.0 s  serves blue   flipping",
    ]


def test_where_not_all_fit_who_waits_comes_first():
    """On a small terminal those that have arrived are left out, and counted; in the end all are shown."""
    table = members(height=6)
    table.show([*(Row(f"lb-{n}", "proved", "", True) for n in range(6)), Row("lb-6", "serves blue")])

    seen = lines(table)
    assert len(seen) == 5
    assert seen[0].startswith("·  lb-6")
    assert seen[-1] == "   and 3 more, 3 of them done"

    table.whole = True
    assert len(lines(table)) == 7


def test_what_does_not_fit_is_cut_in_the_detail():
    """A narrow terminal cuts the detail, and neither node nor phase; nothing steers the terminal."""
    table = members(width=44)
    table.show([Row("lb-1", "serves blue", "target-not-ready: \x1b[31m0/3 ready")])

    (line,) = lines(table)
    assert "serves blue" in line
    assert line.endswith("…")
    assert "\x1b" not in line
