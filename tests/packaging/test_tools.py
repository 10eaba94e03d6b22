"""The tools that fetch what a machine lacks: they take what is there, and say what they cannot do."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLAIN = ("bash", "cat", "dirname", "env", "head", "id", "mkdir", "mktemp", "readlink", "rm", "sed")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the tools, beside a folder of the few programs that every system has."""
    shutil.copytree(ROOT / "tools", tmp_path / "checkout" / "tools")
    (tmp_path / "bin").mkdir()
    for name in PLAIN:
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    return tmp_path / "checkout"


def run(checkout: Path, tool: str, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(checkout.parent / "bin"), "HOME": os.environ.get("HOME", "/")} | extra
    command = [str(checkout / "tools" / tool), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize(
    ("tool", "variable"),
    [
        ("get-consul", "CONSUL"),
        ("get-haproxy", "HAPROXY"),
        ("get-nginx", "NGINX"),
        ("get-docker", "DOCKERD"),
    ],
)
def test_a_program_named_by_the_environment_is_taken(checkout: Path, tool: str, variable: str) -> None:
    """A program that the environment names is used, and nothing is fetched."""
    ended = run(checkout, tool, **{variable: "/bin/true"})

    assert ended.returncode == 0
    assert not (checkout / ".parts").exists()


@pytest.mark.parametrize("name", ["consul", "haproxy"])
def test_a_program_on_path_is_taken(checkout: Path, name: str) -> None:
    """A program on PATH is used, and nothing is fetched."""
    (checkout.parent / "bin" / name).symlink_to("/bin/true")

    assert run(checkout, f"get-{name}").returncode == 0
    assert not (checkout / ".parts").exists()


@pytest.mark.parametrize("name", ["consul"])
def test_where_nothing_can_be_fetched_one_line_says_what_to_run(checkout: Path, name: str) -> None:
    """On another system the tool ends with the one line that helps."""
    ended = run(checkout, f"get-{name}")

    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert f"{name.upper()}=/path/to/{name}" in ended.stderr


def test_an_old_python_is_refused_with_the_cure(checkout: Path) -> None:
    """A Python that is too old is named, and how to name another."""
    old = checkout.parent / "bin" / "python3"
    old.write_text('#!/usr/bin/env bash\n[ "$1" != --version ] || echo Python 3.9.2\n[ "$1" = --version ]\n')
    old.chmod(0o755)

    ended = run(checkout, "get-venv")

    assert ended.returncode == 1
    assert "Python 3.9.2 is too old" in ended.stderr
    assert "PYTHON=" in ended.stderr


def test_every_verb_of_the_makefile_is_listed() -> None:
    """`make` alone shows the verbs, each with what it does."""
    shown = subprocess.check_output(["make", "-C", str(ROOT), "--no-print-directory"], text=True)

    verbs = {"setup", "parts", "demo", "test", "soak", "check", "bench", "clean"}
    assert verbs <= {line.split()[1] for line in shown.splitlines() if line.startswith("  make ")}
