"""What answers on the runtime socket may not be HAProxy."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from bgd.proxy.haproxy import runtime


@contextmanager
def somebody(path: Path, answer: bytes, *, forever: bool = False) -> Iterator[None]:
    """Something that listens at a path and gives one answer, or the same without end."""

    def talk() -> None:
        with suppress(OSError):
            caller, _ = listener.accept()
            with caller:
                caller.recv(4096)
                caller.sendall(answer)
                while forever:
                    caller.sendall(answer)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        yield
    thread.join(5)


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"\xff\xfe\x00", b"\n> only one"]
)
def test_another_program_at_the_socket(tmp_path: Path, answer: bytes) -> None:
    """Answers that are not HAProxy's are its silence, with the socket's name."""
    path = tmp_path / "s"
    with (
        somebody(path, answer),
        pytest.raises(OSError, match=r"s answered . of 2 commands: is it the runtime"),
    ):
        runtime.ask(path, ["show info", "show map x"])


def test_a_socket_that_never_stops_talking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer has an end, in time and in length."""
    monkeypatch.setattr(runtime, "LONGEST", 1 << 20)
    path = tmp_path / "s"
    with somebody(path, b"x" * 100_000, forever=True), pytest.raises(OSError, match="does not stop talking"):
        runtime.ask(path, ["show info"])


def test_states_that_are_none_are_left_out() -> None:
    """A line that does not read as a server's state says nothing."""
    assert runtime.servers("# head\n1 shop_blue 1 a b 2 c d\nnonsense\n") == {}
