"""What this node knows over a reboot: one file per app, written whole and checked by a digest.

Rules: a file is replaced, never edited (temp, fsync, rename, fsync of the folder); what is torn,
unreadable or of another app costs only itself and is kept aside for people; one daemon at a time has
the folder.
"""

import fcntl
import hashlib
import json
import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import attrs

_SCHEMA = 1
_NAME = re.compile(r"[a-z0-9-]+")


class StateLocked(Exception):
    """Another daemon has this state directory."""


@attrs.frozen
class Unreadable:
    """What stood on disk for an app cannot be used; `detail` says why."""

    detail: str


class StateDirectory:
    """The state directory of this node, held against any other daemon until `close`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._apps = path / "apps"
        self._apps.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(path / "lock")
        self.instance = self._instance()
        """A random name of this state directory, the same for as long as it exists."""

    @property
    def node(self) -> str:
        """This node's name as it was last known, or empty."""
        with suppress(OSError, UnicodeDecodeError):
            return (self.path / "node").read_text().strip()
        return ""

    @node.setter
    def node(self, name: str) -> None:
        with suppress(OSError):  # a full disk costs a name that lasts, not the start
            if name != self.node:
                _replace(self.path / "node", name + "\n")

    def close(self) -> None:
        """Let another daemon have it."""
        self._lock.close()

    def save(self, app: str, remembered: Mapping[str, Any]) -> None:
        """Replace what is remembered of an app; raises OSError and then leaves what was."""
        body = {"schema": _SCHEMA, "app": app, "remembered": remembered}
        _replace(self._file(app), json.dumps({**body, "sha256": _digest(body)}, allow_nan=False) + "\n")

    def load(self, app: str) -> Mapping[str, Any] | Unreadable | None:
        """What is remembered of an app, None when nothing was ever saved. Never raises."""
        file = self._file(app)
        try:
            return _remembered(app, file.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            detail = getattr(error, "strerror", None) or str(error) or type(error).__name__
        with suppress(OSError):
            os.replace(file, file.with_suffix(".json.bad"))
        return Unreadable(f"{file}: {detail}")

    def apps(self) -> tuple[str, ...]:
        """The apps that something is remembered of."""
        names = (file.stem for file in self._apps.glob("*.json"))
        return tuple(sorted(name for name in names if _NAME.fullmatch(name)))

    def forget(self, app: str) -> None:
        """Remember nothing of an app any more."""
        file = self._file(app)
        for each in (file, file.with_suffix(".json.bad")):
            each.unlink(missing_ok=True)
        _sync_folder(self._apps)

    def _file(self, app: str) -> Path:
        assert _NAME.fullmatch(app), app
        return self._apps / f"{app}.json"

    def _instance(self) -> str:
        file = self.path / "instance"
        with suppress(OSError, UnicodeDecodeError):
            found = file.read_text().strip()
            if re.fullmatch(r"[0-9a-f]{32}", found):
                return found
        new = secrets.token_hex(16)
        with suppress(OSError):  # a full disk costs a name that lasts, not the start
            _replace(file, new + "\n")
        return new


def _lock(file: Path) -> IO[str]:
    lock = file.open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise StateLocked(f"another bgd holds {file}") from None
    return lock


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _remembered(app: str, content: bytes) -> Mapping[str, Any]:
    body = json.loads(content)
    if not isinstance(body, dict):
        raise ValueError("holds no object")
    digest = body.pop("sha256", None)
    if digest != _digest(body):
        raise ValueError("its digest is wrong")
    if (body.get("schema"), body.get("app")) != (_SCHEMA, app) or not isinstance(
        body.get("remembered"), dict
    ):
        raise ValueError(f"is not what schema {_SCHEMA} remembers of {app}")
    remembered: dict[str, Any] = body["remembered"]
    return remembered


def _replace(file: Path, content: str) -> None:
    new = file.with_name(f".{file.name}.new")
    try:
        with new.open("w") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        os.replace(new, file)
    except OSError:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise
    _sync_folder(file.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
