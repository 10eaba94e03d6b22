"""The flags: a file per app that is there while green is live. Workers look for it with each request.

Rules that live here: a flag stands on the disk that outlives a reboot; an app without one is blue.
"""

import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

from bgd.core.model import Colour
from bgd.proxy import files

SUFFIX = ".green"


class Flags:
    """The flags in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._one_at_a_time = threading.Lock()
        self._changed = True

    def path(self, app: str) -> Path:
        return self._folder / f"{app}{SUFFIX}"

    def colours(self, apps: Iterable[str]) -> dict[str, Colour]:
        """What is decided for these apps, and for whoever else has a flag. Raises OSError."""
        return {**dict.fromkeys(apps, Colour.BLUE), **dict.fromkeys(self._flagged(), Colour.GREEN)}

    def put(self, app: str, colour: Colour | None) -> None:
        """Decide for a colour (or for none any more) from the next request on. Raises WorldError."""
        try:
            with self._one_at_a_time:
                self._put(app, colour)
        except OSError as error:
            raise files.cannot_write(self.path(app), error) from error

    def settle(self, colours: Mapping[str, Colour]) -> None:
        """Have exactly these stand on disk, also after a loss of power. Raises WorldError.

        Each is read at the moment in which it is put, so that no flip made meanwhile is undone.
        """
        try:
            with self._one_at_a_time:
                flagged = self._flagged()
                for app in flagged | set(colours):
                    if (app in flagged) is not (colours.get(app) is Colour.GREEN):
                        self._put(app, colours.get(app))
                changed, self._changed = self._changed, False
            if changed and self._folder.exists():
                files.settle(self._folder)
        except OSError as error:
            raise files.cannot_write(self._folder, error) from error

    def _put(self, app: str, colour: Colour | None) -> None:
        self._changed = True
        if colour is Colour.GREEN:
            if not self._folder.exists():
                self._folder.mkdir(parents=True)
                self._folder.chmod(0o755)  # nginx's workers look into it, whatever bgd's umask
            self.path(app).touch(mode=0o644)
        else:
            self.path(app).unlink(missing_ok=True)

    def _flagged(self) -> set[str]:
        try:
            names = os.listdir(self._folder)
        except FileNotFoundError:
            return set()
        return {name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX)}
