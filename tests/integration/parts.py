"""Finds the real programs that the tests talk to: in the environment, on PATH, in the checkout's .parts."""

import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def program(name: str) -> str:
    """The path of a program, or a failed test that names the line that gets it."""
    fetched = ROOT / ".parts" / "bin"
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", str(fetched)])
    found = os.environ.get(name.upper()) or shutil.which(name, path=path)
    if not found:
        pytest.fail(f"{name} is not on this machine: run 'make parts'", pytrace=False)
    return found


def consul() -> str:
    return program("consul")


def haproxy() -> str:
    return program("haproxy")
