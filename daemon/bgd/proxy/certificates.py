"""Certificates that bgd may not read are replaced by a stand-in, in the copies that the proxy checks.

A key is often root's only, while bgd and so its check run as a plain user. The stand-in is a
certificate of nobody, with a key that everybody knows; no proxy ever serves it. Whether the real one
is fit is judged by the reload, which reads it as root.
"""

import os
import re
from pathlib import Path

STAND_IN = Path(__file__).with_name("stand_in.pem")
_CRT = re.compile(r"(?<=\scrt\s)(?P<blanks>\s*)(?P<path>[^\s#]+)")
_BASE = re.compile(r"^\s*crt-base\s+(\S+)", re.MULTILINE)


def with_stand_ins(text: str, base: str = "") -> str:
    """The text with a stand-in for each certificate that is not for bgd to read."""
    here = Path(base_of(text) or base)
    return _CRT.sub(lambda found: _path(found["blanks"], found["path"], here), text)


def base_of(text: str) -> str:
    """The folder that certificates without one are in."""
    found = _BASE.search(text)
    return found[1] if found else ""


def readable(path: Path) -> bool:
    """Whether the file, or every file of the folder, may be read."""
    if path.is_dir():
        return os.access(path, os.R_OK | os.X_OK) and all(os.access(each, os.R_OK) for each in path.iterdir())
    return os.access(path, os.R_OK)


def hidden(path: Path) -> bool:
    """Not to be read, though it may well be there: a path that is plainly wrong is the proxy's to tell."""
    try:
        path.stat()
        return not readable(path)
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False


def _path(blanks: str, written: str, base: Path) -> str:
    return blanks + (str(STAND_IN) if hidden(base / written) else written)
