"""What an operator gets who installs the wheel."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-build-isolation", "--no-deps", "--no-index", "-w", folder, ROOT)
    return next(folder.glob("bgswitch-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    pip("install", "--no-deps", "--no-index", "--target", folder, wheel)
    return folder


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def modules(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.py")}


def run(installed: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, installed / "bin" / arguments[0], *arguments[1:]]
    environment = os.environ | {"PYTHONPATH": str(installed)}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=environment)


def test_both_packages_are_in_the_one_wheel(wheel: Path) -> None:
    """Every module of the daemon and of the command is in the wheel."""
    assert modules(ROOT / "daemon") | modules(ROOT / "cli") <= names(wheel)


def test_the_shipped_templates_are_in_the_daemons_package(wheel: Path) -> None:
    """The templates that render the proxy's part come with the daemon."""
    templates = {f"bgd/templates/{path.name}" for path in (ROOT / "templates").glob("*.j2")}

    assert templates
    assert templates <= names(wheel)


def test_the_unit_is_in_the_wheel(wheel: Path) -> None:
    """The systemd unit comes with the wheel, where systemd looks below the prefix."""
    assert any(name.endswith(".data/data/lib/systemd/system/bgd.service") for name in names(wheel))


def test_nothing_else_is_in_the_wheel(wheel: Path) -> None:
    """Tests, bench and tools stay at home."""
    tops = {name.split("/")[0] for name in names(wheel)}

    assert {"bgd", "bgctl"} == {top for top in tops if not top.startswith("bgswitch-")}


@pytest.mark.parametrize("command", ["bgd", "bgctl"])
def test_the_commands_run_from_the_wheel_alone(installed: Path, tmp_path: Path, command: str) -> None:
    """An installed command shows its help, with nothing of the checkout at hand."""
    shown = run(installed, command, "--help", cwd=tmp_path)

    assert shown.returncode == 0, shown.stderr
    assert "Usage:" in shown.stdout


def test_the_installed_code_is_the_wheels(installed: Path, tmp_path: Path) -> None:
    """What runs is what was installed, not the checkout."""
    script = "import bgd, bgctl; print(bgd.__file__, bgctl.__file__)"
    command = [sys.executable, "-c", script]
    environment = os.environ | {"PYTHONPATH": str(installed)}
    told = subprocess.check_output(command, text=True, cwd=tmp_path, env=environment)

    assert all(Path(place).is_relative_to(installed) for place in told.split())
