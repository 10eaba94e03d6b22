"""The command that hears of events: run once for each, one after the other, and never waited for."""

import json
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from bgd.host.notify import MOST_WAITING, Notifier, unusable
from tests.integration.waiting import eventually

HANGS_S = 600
"""So long a command hangs that nobody waits for."""
EVENT = {"app": "shop", "node": "lb-1", "generation": 412, "what": "revert", "outcome": None}


@pytest.fixture
def logged() -> Iterator[list[EventDict]]:
    with capture_logs() as lines:
        yield lines


@pytest.fixture
def notifiers(logged: list[EventDict]) -> Iterator[list[Notifier]]:
    """Those that a test makes are closed, also when it fails."""
    made: list[Notifier] = []
    yield made
    for notifier in made:
        notifier.close()


def python(code: str, *words: object) -> list[str]:
    return [sys.executable, "-S", "-c", code, *map(str, words)]


def begun(notifiers: list[Notifier], command: list[str], bound_s: float = 20.0) -> Notifier:
    notifiers.append(Notifier(command, bound_s=bound_s))
    return notifiers[-1]


def keeping(file: Path) -> list[str]:
    """Appends what it is told to a file."""
    return ["sh", "-c", 'cat >> "$0"', str(file)]


def told(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def ended(pid: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def test_an_event_is_one_line_of_json(tmp_path: Path, notifiers: list[Notifier]) -> None:
    """The command is run once for each event, in their order, with one line of JSON on its input."""
    file = tmp_path / "told"
    notifier = begun(notifiers, keeping(file))
    events = [{**EVENT, "generation": number, "reason": "ticket\n4711 ü"} for number in range(3)]
    for event in events:
        notifier.tell(event)

    eventually(lambda: len(told(file)) == 3)
    assert told(file) == events


def test_a_large_event(tmp_path: Path, notifiers: list[Notifier]) -> None:
    """What is larger than a pipe holds arrives whole."""
    file = tmp_path / "told"
    begun(notifiers, keeping(file)).tell({**EVENT, "reason": "x" * 500_000})

    eventually(lambda: told(file) if file.exists() and file.read_text().endswith("\n") else None)
    assert len(told(file)[0]["reason"]) == 500_000


def test_the_environment_is_passed_on(
    tmp_path: Path, notifiers: list[Notifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command sees what bgd's environment holds, a token of its own service for example."""
    monkeypatch.setenv("PAGER_TOKEN", "s3cret")
    file = tmp_path / "seen"
    begun(notifiers, ["sh", "-c", 'echo "$PAGER_TOKEN" > "$0.new"; mv "$0.new" "$0"', str(file)]).tell(EVENT)

    eventually(file.exists)
    assert file.read_text() == "s3cret\n"


def test_without_a_command_nothing_happens(notifiers: list[Notifier], logged: list[EventDict]) -> None:
    """An empty command tells nobody, and starts nothing."""
    before = threading.active_count()
    begun(notifiers, []).tell(EVENT)

    assert threading.active_count() == before
    assert logged == []


def test_what_it_says_is_logged(notifiers: list[Notifier], logged: list[EventDict]) -> None:
    """Of both its streams the log gets a bounded beginning, on one line."""
    code = "import sys; print('sent\\x1b[31m'); sys.stdout.flush(); sys.stderr.write('y' * 9_000_000)"
    begun(notifiers, python(code)).tell(EVENT)

    (line,) = eventually(lambda: list(logged))
    assert (line["event"], line["log_level"], line["app"]) == ("notified", "info", "shop")
    assert line["said"].startswith("sent [31m yyy")
    assert len(line["said"]) <= 2000


@pytest.mark.parametrize(
    ("code", "status"),
    [("import sys; sys.exit('no route')", 1), ("import os; print('no route', flush=True); os.abort()", -6)],
)
def test_a_command_that_fails(
    tmp_path: Path, notifiers: list[Notifier], logged: list[EventDict], code: str, status: int
) -> None:
    """It is one error in the log, with what it said; the next event is told all the same."""
    notifier = begun(notifiers, python(code))
    notifier.tell(EVENT)
    (line,) = eventually(lambda: list(logged))
    notifier.configure(keeping(tmp_path / "told"))
    notifier.tell(EVENT)

    assert (line["event"], line["log_level"], line["said"]) == ("notify failed", "error", "no route")
    assert line["detail"] == f"{sys.executable} ended with {status}"
    eventually(lambda: told(tmp_path / "told") == [EVENT])


def test_a_command_that_is_missing(notifiers: list[Notifier], logged: list[EventDict]) -> None:
    """Each event is one error in the log, with the cure."""
    notifier = begun(notifiers, ["/no/such/program", "x"])
    for number in (1, 2):
        notifier.tell({**EVENT, "generation": number})

    eventually(lambda: len(logged) == 2)
    assert [line["generation"] for line in logged] == [1, 2]
    assert "/no/such/program is not there; correct notify.command" in logged[0]["detail"]


def test_a_program_that_the_kernel_refuses(
    tmp_path: Path, notifiers: list[Notifier], logged: list[EventDict]
) -> None:
    """An executable file that is no program is said to be none."""
    file = tmp_path / "tell"
    file.write_text("no program\n")
    file.chmod(0o755)
    begun(notifiers, [str(file)]).tell(EVENT)

    (line,) = eventually(lambda: list(logged))
    assert f"{file} cannot be run: Exec format error; " in line["detail"]


def test_what_could_not_be_run(tmp_path: Path) -> None:
    """Before anything happens it can be said whether the command could be run."""
    file = tmp_path / "tell"
    file.write_text("#!/bin/sh\n")

    assert unusable([]) == unusable(["sh", "-c", "x"]) == ""
    assert unusable([str(file)]) == f"{file} may not be executed by this user; chmod 755 {file}"
    assert "no-such-program is not in PATH" in unusable(["no-such-program"])
    assert f"{tmp_path} is not a program" in unusable([str(tmp_path)])
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    assert unusable([str(file)]) == ""


def test_a_command_that_hangs(tmp_path: Path, notifiers: list[Notifier], logged: list[EventDict]) -> None:
    """After its time it is killed with all that it has started, and the next event has its turn."""
    file, pids = tmp_path / "told", tmp_path / "pids"
    code = (
        'if [ -e "$1" ]; then cat >> "$0"; else sleep 600 & echo $$ $! > "$1.new"; mv "$1.new" "$1"; wait; fi'
    )
    notifier = begun(notifiers, ["sh", "-c", code, str(file), str(pids)], bound_s=0.5)
    notifier.tell(EVENT)
    notifier.tell({**EVENT, "generation": 413})

    eventually(lambda: told(file) == [{**EVENT, "generation": 413}])
    assert logged[0]["detail"] == "sh had not ended within 0.5 s, and was killed"
    for pid in map(int, pids.read_text().split()):
        eventually(lambda pid=pid: ended(pid))


def test_who_tells_is_never_held_up(notifiers: list[Notifier], logged: list[EventDict]) -> None:
    """While a command hangs others wait, at most so many: the oldest is dropped, and said."""
    notifier = begun(notifiers, ["sleep", str(HANGS_S)])
    notifier.tell(EVENT)
    eventually(lambda: not notifier._waiting, "the first is being told")
    begun_s = time.monotonic()
    for number in range(MOST_WAITING + 2):
        notifier.tell({**EVENT, "generation": number})

    assert time.monotonic() - begun_s < HANGS_S / 10
    assert [line["generation"] for line in logged] == [0, 1]
    assert {line["log_level"] for line in logged} == {"error"}


def test_a_command_that_hangs_does_not_hold_up_the_stop(
    tmp_path: Path, notifiers: list[Notifier], logged: list[EventDict]
) -> None:
    """When bgd stops, what still runs is killed with its children, and what was not told is said."""
    pids = tmp_path / "pids"
    code = f'trap \'\' TERM HUP INT; sleep {HANGS_S} & echo $$ $! > "$0.new"; mv "$0.new" "$0"; wait'
    notifier = begun(notifiers, ["sh", "-c", code, str(pids)])
    notifier.tell(EVENT)
    notifier.tell({**EVENT, "generation": 413})
    eventually(pids.exists)
    begun_s = time.monotonic()
    notifier.close()

    assert time.monotonic() - begun_s < HANGS_S / 10
    for pid in map(int, pids.read_text().split()):
        eventually(lambda pid=pid: ended(pid))
    assert [line["generation"] for line in logged] == [412, 413]
    assert "when bgd stopped, and was killed" in logged[0]["detail"]
    assert "was not told" in logged[1]["detail"]


def test_what_waits_is_told_before_the_stop(tmp_path: Path, notifiers: list[Notifier]) -> None:
    """A restart of bgd right after an event does not swallow it; what is told after the stop is."""
    file = tmp_path / "told"
    notifier = begun(notifiers, keeping(file))
    notifier.tell(EVENT)
    notifier.close()
    notifier.tell(EVENT)

    assert told(file) == [EVENT]


def test_another_command(tmp_path: Path, notifiers: list[Notifier]) -> None:
    """A new command counts from the next event on; an empty one ends the telling."""
    first, second = tmp_path / "first", tmp_path / "second"
    notifier = begun(notifiers, keeping(first))
    notifier.tell(EVENT)
    eventually(lambda: told(first))
    notifier.configure(keeping(second))
    notifier.tell(EVENT)
    eventually(lambda: told(second))
    notifier.configure([])
    notifier.tell(EVENT)
    notifier.close()

    assert (told(first), told(second)) == ([EVENT], [EVENT])


def test_what_is_left_behind_is_ended(tmp_path: Path, notifiers: list[Notifier]) -> None:
    """Something started aside, with its output elsewhere, ends with its command and leaves nothing."""
    pid = tmp_path / "pid"
    code = 'sleep 600 > /dev/null 2>&1 & echo $! > "$0.new"; mv "$0.new" "$0"'
    begun(notifiers, ["sh", "-c", code, str(pid)]).tell(EVENT)

    eventually(lambda: pid.exists() and ended(int(pid.read_text())))


def test_who_does_not_listen_is_no_fault(notifiers: list[Notifier], logged: list[EventDict]) -> None:
    """A command that closes its input at once has done its work when it ends well."""
    begun(notifiers, ["true"]).tell({**EVENT, "reason": "x" * 500_000})

    (line,) = eventually(lambda: list(logged))
    assert line["event"] == "notified"
