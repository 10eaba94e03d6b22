"""The machine that the proxy runs on: whom a pid file may name."""

import subprocess
from pathlib import Path

import pytest

from bgd.proxy.machine import Here


def test_only_nginx_is_taken_for_nginx(tmp_path: Path) -> None:
    """A pid file left behind may name somebody else by now: who is no nginx is not signalled, nor alive."""
    stale = tmp_path / "stale.pid"
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            stale.write_text(f"{other.pid}\n")

            assert not Here().alive(stale)
            with pytest.raises(ProcessLookupError, match="is no nginx"):
                Here().process(stale)
        finally:
            other.kill()
