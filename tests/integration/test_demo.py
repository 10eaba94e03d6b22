"""The demo tells its story on either proxy, and leaves nothing behind, however it ends."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bgctl.demo.process import environment, until
from bgctl.demo.proxies import KINDS


def belonging_to(folder: Path) -> list[int]:
    """The processes that were given this folder for their temporary files."""
    mark = f"TMPDIR={folder}".encode()  # or a folder in it
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short one: the demo keeps its sockets in it."""
    with tempfile.TemporaryDirectory(prefix="demo-") as made:
        yield Path(made)


@pytest.fixture(params=["haproxy", pytest.param("nginx", marks=pytest.mark.soak)])
def proxy(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def started(folder: Path, proxy: str) -> Iterator["subprocess.Popen[str]"]:
    child = subprocess.Popen(
        [sys.executable, "-m", "bgctl", "demo", "--proxy", proxy],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment() | {"TMPDIR": str(folder)},
        start_new_session=True,
    )
    yield child
    for pid in {child.pid, *belonging_to(folder)}:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    child.wait()


def read_until(child: "subprocess.Popen[str]", wanted: str) -> None:
    assert child.stdout is not None
    seen = []
    for line in child.stdout:
        seen.append(line)
        if wanted in line:
            return
    pytest.fail(f"{wanted!r} was never said:\n{''.join(seen)}")


@pytest.mark.soak
def test_the_story_ends_without_a_loss(started: "subprocess.Popen[str]", proxy: str) -> None:
    """Both flips happen under load, no request is lost, and the demo ends with 0."""
    said, _ = started.communicate(timeout=60)

    assert started.returncode == 0, said
    assert f"{KINDS[proxy].title} is up" in said
    assert "requests lost  0\n" in said


@pytest.mark.parametrize(("moment", "number"), [("is up, with", signal.SIGTERM), ("0 lost", signal.SIGINT)])
def test_an_interrupted_demo_tidies_up(
    folder: Path, started: "subprocess.Popen[str]", moment: str, number: signal.Signals
) -> None:
    """Interrupted while it starts or under load, the demo ends with 130, and nothing is left."""
    read_until(started, moment)

    started.send_signal(number)

    assert started.wait(30) == 130
    assert belonging_to(folder) == []
    assert list(folder.glob("bgd-demo-*")) == []


def test_a_killed_demo_takes_its_parts_with_it(folder: Path, started: "subprocess.Popen[str]") -> None:
    """Even a demo that cannot tidy up leaves no process behind."""
    read_until(started, "is up, with")

    started.kill()

    until("all processes have ended", lambda: belonging_to(folder) == [])
