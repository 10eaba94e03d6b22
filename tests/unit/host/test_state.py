"""What the state directory keeps, and what a torn file, a full disk or a second daemon does to it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bgd.host.state import StateDirectory, StateLocked, Unreadable

REMEMBERED = {"serving": {"colour": "green", "generation": 412}, "members": ["lb-1", "lb-ü"], "took_ms": 3.1}


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateDirectory]:
    directory = StateDirectory(tmp_path / "deep" / "bgd")
    yield directory
    directory.close()


def file_of(state: StateDirectory, app: str = "shop") -> Path:
    return state.path / "apps" / f"{app}.json"


def test_what_is_saved_is_loaded(state: StateDirectory) -> None:
    """What is saved is there after a restart, as plain JSON."""
    state.save("shop", {"older": True})
    state.save("shop", REMEMBERED)
    state.close()
    with closing(StateDirectory(state.path)) as again:
        assert again.load("shop") == REMEMBERED
    assert json.loads(file_of(state).read_text())["remembered"] == REMEMBERED
    assert [file_of(state)] == list(file_of(state).parent.iterdir())


def test_nothing_saved(state: StateDirectory) -> None:
    """An app that was never saved is no error."""
    assert state.load("shop") is None
    assert state.apps() == ()


def test_forget(state: StateDirectory) -> None:
    """A forgotten app leaves nothing, and the others stay."""
    state.save("shop", REMEMBERED)
    state.save("blog", REMEMBERED)
    (state.path / "apps" / "Not An App.json").write_text("{}")
    state.forget("shop")
    state.forget("shop")

    assert state.apps() == ("blog",)
    assert state.load("shop") is None


def test_torn_at_every_byte(state: StateDirectory) -> None:
    """A file that ends at any byte is said to be unreadable and kept aside, and the app can be saved anew."""
    state.save("shop", REMEMBERED)
    whole = file_of(state).read_bytes()
    for length in range(len(whole) - 1):  # all but the last newline
        file_of(state).write_bytes(whole[:length])

        assert isinstance(state.load("shop"), Unreadable), length
        assert file_of(state).with_suffix(".json.bad").read_bytes() == whole[:length]
        assert state.load("shop") is None
    state.save("shop", REMEMBERED)

    assert state.load("shop") == REMEMBERED


def test_flipped_at_every_byte(state: StateDirectory) -> None:
    """A file in which any byte has changed is never believed."""
    state.save("shop", REMEMBERED)
    whole = file_of(state).read_bytes()
    for index in range(len(whole) - 1):
        for mask in (1, 0x20, 0x80):
            file_of(state).write_bytes(whole[:index] + bytes([whole[index] ^ mask]) + whole[index + 1 :])
            found = state.load("shop")

            assert isinstance(found, Unreadable) or found == REMEMBERED, (index, mask)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00" * 512, b"null", b"[1]", b'{"remembered": {}}', b"[" * 100_000, b"\xff\xfe", b"1" * 5000],
)
def test_what_bgd_never_wrote(state: StateDirectory, content: bytes) -> None:
    """Whatever stands in the file, reading it does not fail, and says which file it was."""
    file_of(state).write_bytes(content)
    found = state.load("shop")

    assert isinstance(found, Unreadable)
    assert str(file_of(state)) in found.detail


def test_one_bad_file_costs_one_app(state: StateDirectory) -> None:
    """An unreadable file costs what it holds and nothing of other apps."""
    state.save("shop", REMEMBERED)
    state.save("blog", REMEMBERED)
    file_of(state).write_bytes(b"{")

    assert state.apps() == ("blog", "shop")
    assert isinstance(state.load("shop"), Unreadable)
    assert state.load("blog") == REMEMBERED


def test_the_file_of_another_app(state: StateDirectory) -> None:
    """A file that was copied from another app is not believed."""
    state.save("shop", REMEMBERED)
    file_of(state, "blog").write_bytes(file_of(state).read_bytes())

    assert isinstance(state.load("blog"), Unreadable)


def test_a_folder_in_the_files_place(state: StateDirectory) -> None:
    """What cannot be read at all is put aside too, so that saving works again."""
    file_of(state).mkdir()

    assert isinstance(state.load("shop"), Unreadable)
    state.save("shop", REMEMBERED)
    assert state.load("shop") == REMEMBERED


def test_a_full_disk_leaves_what_was(state: StateDirectory) -> None:
    """When the disk is full, saving says so and what was saved before stays whole."""
    state.save("shop", REMEMBERED)
    file_of(state).with_name(".shop.json.new").symlink_to("/dev/full")

    with pytest.raises(OSError, match="No space left"):
        state.save("shop", {"newer": True})

    assert state.load("shop") == REMEMBERED
    state.save("shop", {"newer": True})
    assert state.load("shop") == {"newer": True}


SAVER = """
import sys
from pathlib import Path
from bgd.host.state import StateDirectory
state = StateDirectory(Path(sys.argv[1]))
print("started", flush=True)
number = 0
while True:
    number += 1
    state.save("shop", {"number": number, "padding": "x" * 20_000})
    print(number, flush=True)
"""


@pytest.fixture
def savers() -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """Starts a process that saves and saves; none outlives the test."""
    started: list[subprocess.Popen[str]] = []

    def start(path: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SAVER, str(path)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        end(process)


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    if process.stdout:
        process.stdout.close()


def wait_for(process: subprocess.Popen[str], said: str) -> None:
    assert process.stdout
    assert any(line.strip() == said for line in process.stdout), f"{said} was never said"


def test_killed_while_saving(tmp_path: Path, savers: Callable[[Path], subprocess.Popen[str]]) -> None:
    """A daemon that is killed at any moment leaves a whole file, the newest that it said it had saved."""
    for said in (1, 2, 7, 20, 55):
        process = savers(tmp_path)
        wait_for(process, str(said))
        end(process)
        state = StateDirectory(tmp_path)
        found = state.load("shop")
        state.close()

        assert isinstance(found, dict)
        assert found["number"] >= said


def test_a_second_daemon(tmp_path: Path, savers: Callable[[Path], subprocess.Popen[str]]) -> None:
    """A state directory has one daemon; when that ends, in whatever way, the next may have it."""
    process = savers(tmp_path)
    wait_for(process, "started")
    with pytest.raises(StateLocked, match=str(tmp_path)):
        StateDirectory(tmp_path)
    end(process)

    StateDirectory(tmp_path).close()


def test_a_child_does_not_hold_the_directory(state: StateDirectory) -> None:
    """What bgd starts does not keep the directory locked when bgd ends."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE):  # ends when its input does
        state.close()
        StateDirectory(state.path).close()


def instance_of(path: Path) -> str:
    with closing(StateDirectory(path)) as state:
        return state.instance


def test_instance(tmp_path: Path) -> None:
    """A state directory has a name that lasts, and each directory another."""
    assert instance_of(tmp_path / "a") == instance_of(tmp_path / "a") != instance_of(tmp_path / "b")


@pytest.mark.parametrize("content", [b"", b"abc", b"\xff", b"\x00" * 32])
def test_a_torn_instance(tmp_path: Path, content: bytes) -> None:
    """A torn name is replaced by a new one and does not stop the start."""
    (tmp_path / "instance").write_bytes(content)
    first = instance_of(tmp_path)

    assert len(first) == 32
    assert first == instance_of(tmp_path)
