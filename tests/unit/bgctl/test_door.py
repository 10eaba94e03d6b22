"""How bgctl's process ends."""

import subprocess
import sys
from pathlib import Path

from bgctl.demo.process import environment

INTERRUPTED = """\
import bgctl.commands, bgctl.__main__
def run(arguments, heeded):
    try:
        exec("raise KeyboardInterrupt")  # as where a module with a dataclass is loaded
    except KeyboardInterrupt:
        return 130
bgctl.commands.run = run
bgctl.__main__.main([])
"""


def test_a_ctrl_c_that_was_told_of_ends_with_its_code(tmp_path: Path) -> None:
    """Wherever Ctrl-C met it, bgctl ends with 130, and not by the signal."""
    (tmp_path / "door.py").write_text(INTERRUPTED)
    ended = subprocess.run([sys.executable, "-m", "door"], cwd=tmp_path, env=environment(), check=False)

    assert ended.returncode == 130
