"""`bgd check` as an operator calls it, on both kinds of proxy."""

import subprocess
import sys
from pathlib import Path

from bgctl.demo.process import environment
from tests.integration.shop import opened

HARD_STOP = {
    "haproxy": {"global_lines": "hard-stop-after 30s"},
    "nginx": {"main": "worker_shutdown_timeout 30s;"},
}


def check(file: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bgd", "check", "--config", str(file)]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), check=False, timeout=60)


def test_what_may_surprise_is_noted(tmp_path: Path, kind: str) -> None:
    """A host that has old workers cut off is right, and told what that does to open connections."""
    with opened(tmp_path, kind=kind, start=False, main=HARD_STOP[kind]) as shop:
        ended = check(shop.bgd.file)

        assert ended.returncode == 0, ended.stderr
        assert f"{shop.proxy.main_file}:" in ended.stderr
        assert "30s; cuts" in ended.stderr or "30s cuts" in ended.stderr


def test_a_command_that_could_not_be_run_is_noted(tmp_path: Path, kind: str) -> None:
    """What notify.command names need not be there for customers to be served: a note, and no fault."""
    with opened(tmp_path, kind=kind, start=False) as shop:
        shop.bgd.file.write_text(shop.bgd.file.read_text() + '\n[notify]\ncommand = ["/no/such", "ops"]\n')
        ended = check(shop.bgd.file)

        assert ended.returncode == 0, ended.stderr
        assert "bgd: note: notify.command: /no/such is not there; correct notify.command" in ended.stderr


def test_a_part_that_nobody_loads_is_told(tmp_path: Path) -> None:
    """nginx without the include: the line that is missing and its place."""
    with opened(tmp_path, kind="nginx", start=False) as shop:
        main = shop.proxy.main_file
        include = f"include {shop.proxy.folder}/*.conf;"
        main.write_text(main.read_text().replace(include, ""))
        ended = check(shop.bgd.file)

        assert ended.returncode == 1
        assert f"write '{include}' within its http {{ }}" in ended.stderr
