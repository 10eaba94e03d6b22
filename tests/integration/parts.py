"""Finds the real programs that the tests talk to: in the environment, on PATH, in the checkout's .parts."""

import os
import shutil
import subprocess
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


def nginx() -> str:
    return program("nginx")


def nginx_with_stream() -> str:
    """The line that makes nginx know `stream`; empty where that is built in."""
    said = subprocess.run(
        [nginx(), "-V"], capture_output=True, text=True, env=nginx_environment(), check=True
    )
    options = said.stderr.split()
    if "--with-stream" in options:
        return ""
    beside = Path(nginx()).resolve().parents[1] / "nginx/usr/lib/nginx/modules"
    named = [Path(each.partition("=")[2]) for each in options if each.startswith("--modules-path=")]
    for module in (folder / "ngx_stream_module.so" for folder in (beside, *named)):
        if module.is_file():
            return f"load_module {module};"
    return pytest.fail("nginx has no stream module: run 'apt-get install libnginx-mod-stream'", pytrace=False)


def nginx_environment() -> dict[str, str]:
    """To us NGINX names a program, to nginx the sockets that it inherits."""
    return {key: value for key, value in os.environ.items() if key != "NGINX"}
