"""The host's commands: each has an end, and few words."""

import os
import signal
import sys
import time
from pathlib import Path

from bgd.proxy import command


def run(code: str, deadline_s: float = 20.0) -> str:
    return command.run([sys.executable, "-c", code], deadline_s)


def test_a_command_that_is_content_says_nothing() -> None:
    """What is said beside an exit code of 0 means nothing."""
    assert run("print('fine')") == ""


def test_a_command_that_fails_says_why() -> None:
    """Both of its streams count; without a word there is at least its exit code."""
    assert run("import sys; print('no', file=sys.stderr, flush=True); sys.exit('never')") == "no\nnever"
    assert run("raise SystemExit(3)").endswith("ended with 3")


def test_a_command_that_does_not_exist() -> None:
    """Not to be found, not to be run: said in a sentence."""
    assert command.run(["/no/such"], 1.0) == "cannot run /no/such: No such file or directory"
    assert command.run(["/etc"], 1.0) == "cannot run /etc: Permission denied"


def test_a_command_that_hangs_is_killed_with_its_children() -> None:
    """Its end does not wait for what it has started."""
    begun_s = time.monotonic()
    said = command.run(["sh", "-c", "sleep 60 & sleep 60"], 0.2)

    assert said == "sh did not end within 0.2 s"
    assert time.monotonic() - begun_s < 30


def test_a_command_that_leaves_something_running_has_ended(tmp_path: Path) -> None:
    """A reload may start a proxy that keeps the command's output open."""
    left = tmp_path / "pid"
    begun_s = time.monotonic()
    try:
        assert command.run(["sh", "-c", 'sleep 60 & echo $! > "$0"', str(left)], 50.0) == ""
        assert time.monotonic() - begun_s < 30
    finally:
        os.kill(int(left.read_text()), signal.SIGKILL)


def test_a_command_that_never_stops_talking() -> None:
    """Of megabytes a beginning is kept, and nothing that a terminal would obey."""
    said = run("import sys; sys.stdout.write('\\x1b[31m' + 'x' * 9_000_000); sys.exit(1)")

    assert said.startswith("[31mx")
    assert len(said) < 70_000
    assert len(command.brief(said)) == 500


def test_a_command_line_of_the_settings() -> None:
    """Its places are filled in, word by word; a program is found where a plain user does not look."""
    places = {"main_file": Path("/etc/a b.conf"), "folder": Path("/var/bgd")}

    assert command.words("sh -c '{folder} {main_file}'", **places)[1:] == ["-c", "/var/bgd /etc/a b.conf"]
    assert command.words("nologin", **places) == ["/usr/sbin/nologin"]
    assert command.words("nologin {folder}", **places, here=False) == ["nologin", "/var/bgd"]
