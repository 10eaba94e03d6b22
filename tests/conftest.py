"""What holds for every test, wherever it is run from, and how the tests share a machine.

Who is started in the background is deaf to Ctrl-C, and so would be all that the tests start and interrupt.

`make test` runs two modules at a time, since most tests wait for something nearly all of their time.
"""

import os
import signal

import pytest

from bgctl.demo import process

LONG = (
    "test_fleet",
    "test_fault",
    "test_bad",
    "test_flip",
    "test_teeth",
    "test_revert",
    "test_adopting",
    "test_container",
    "test_forecast",
    "test_prepare",
    "test_drained",
    "test_bgctl_prepare",
    "test_watch",
    "test_sessions",
)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure() -> None:
    """Two at a time never draw the same port."""
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        workers = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        process.PORTS = process.PORTS[int(worker.removeprefix("gw")) :: workers]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long modules begin first."""
    items.sort(key=lambda item: not item.path.name.startswith(LONG))
