"""The unit that comes with the wheel, judged by systemd itself."""

import subprocess
from pathlib import Path

from tests.integration.parts import ROOT, program

UNIT = ROOT / "systemd" / "bgd.service"


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    """systemd finds nothing to say about the shipped unit, once its program is there."""
    unit = tmp_path / "bgd.service"
    unit.write_text(UNIT.read_text().replace("/usr/bin/bgd ", "/bin/true "))
    command = [program("systemd-analyze"), "verify", str(unit)]
    verdict = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (verdict.returncode, verdict.stderr) == (0, "")
