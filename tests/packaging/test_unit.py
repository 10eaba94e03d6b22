"""The unit that comes with the wheel, judged by systemd itself."""

import os
import re
import subprocess
from pathlib import Path

from tests.integration.parts import ROOT, program

UNIT = ROOT / "systemd" / "bgd.service"
FETCHED = ROOT / ".parts" / "systemd" / "lib" / "systemd" / "system"  # the targets, where systemd is not


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    """systemd finds nothing to say about the shipped unit, once its programs are there."""
    unit = tmp_path / "bgd.service"
    unit.write_text(re.sub(r"=/\S+/(bgd|kill) ", "=/bin/true ", UNIT.read_text()))
    verdict = subprocess.run(
        [program("systemd-analyze"), "verify", str(unit)],
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{FETCHED}:"},  # then its own places
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (verdict.returncode, verdict.stderr) == (0, "")
