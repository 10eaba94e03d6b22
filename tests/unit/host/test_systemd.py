"""What systemd hears, over real sockets."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bgd.host.systemd import ServiceManager


@pytest.fixture(params=["path", "abstract"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "notify") if request.param == "path" else f"@bgd-test-{os.getpid()}"


@pytest.fixture
def heard(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(address.replace("@", "\0", 1) if address.startswith("@") else address)
        sock.settimeout(5)
        yield sock


def test_what_is_said(address: str, heard: socket.socket) -> None:
    """Each state is told in systemd's words, in one message, whatever kind of socket it listens on."""
    manager = ServiceManager({"NOTIFY_SOCKET": address})

    assert manager.ready("2 apps\nMAINPID=1")
    assert heard.recv(1000) == b"READY=1\nSTATUS=2 apps MAINPID=1"
    assert manager.stopping()
    assert heard.recv(1000) == b"STOPPING=1"
    assert manager.status("shop: green")
    assert heard.recv(1000) == b"STATUS=shop: green"
    assert manager.alive()
    assert heard.recv(1000) == b"WATCHDOG=1"


def test_reloading_says_when(address: str, heard: socket.socket) -> None:
    """A reload is told with the kernel's monotonic time, by which systemd knows its order."""
    assert ServiceManager({"NOTIFY_SOCKET": address}).reloading()
    state, stamp = heard.recv(1000).decode().split("\n")

    assert state == "RELOADING=1"
    assert stamp.startswith("MONOTONIC_USEC=")
    assert stamp.removeprefix("MONOTONIC_USEC=").isdecimal()


def test_children_speak_for_themselves() -> None:
    """What systemd gave to this process is not handed on."""
    environment = {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "PATH": "/bin"}
    ServiceManager(environment)

    assert environment == {"PATH": "/bin"}


@pytest.mark.parametrize(
    ("environment", "watchdog_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_watchdog(environment: dict[str, str], watchdog_s: float | None) -> None:
    """The watchdog's interval is known when it is meant for this process."""
    assert ServiceManager(environment).watchdog_s == watchdog_s


@pytest.mark.parametrize("address", ["", "/nonexistent/notify", "@nobody-listens-here", "x\0y"])
def test_nobody_listens(address: str) -> None:
    """Without a service manager nothing is said and nothing fails."""
    assert not ServiceManager({"NOTIFY_SOCKET": address} if address else {}).ready()


def test_a_service_manager_that_does_not_read(tmp_path: Path) -> None:
    """A service manager that never reads does not stop bgd."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        manager = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "notify")})

        assert not all(manager.alive() for _ in range(100_000))
