"""The map: which colour each app is decided for, in memory, on disk and in the worker that serves.

Rules that live here: the file says what the running map says, so that a restart of the proxy agrees;
many flips at once share a write; one that was not proved is put back as far as can be.
"""

import threading
from collections.abc import Collection, Mapping
from typing import Any

from bgd.core.model import Colour
from bgd.proxy import files
from bgd.proxy.errors import WorldError
from bgd.proxy.haproxy import HAProxy
from bgd.proxy.render import backend


class ColourMap:
    """What the map is to say, and the ways to make it say so."""

    def __init__(self, proxy: HAProxy, log: Any) -> None:
        self._proxy, self._log = proxy, log
        self._file = proxy.map_file
        self._writing = threading.Lock()
        self._text = files.read(self._file) or ""
        self._colours = _read(self._text)

    def of(self, app: str) -> Colour | None:
        return self._colours.get(app)

    def others(self, apps: Collection[str]) -> dict[str, None]:
        """Apps of the map that are none of these, to be taken out."""
        return {app: None for app in self._colours.copy() if app not in apps}

    def note(self, app: str, colour: Colour | None) -> Colour | None:
        """What the map is to say of an app from now on; returns what it was to say before."""
        before = self._colours.get(app)
        if colour is None:
            self._colours.pop(app, None)
        else:
            self._colours[app] = colour
        return before

    def note_all(self, colours: Mapping[str, Colour | None]) -> dict[str, Colour | None]:
        return {app: self.note(app, colour) for app, colour in colours.items()}

    def adopt(self, apps: Collection[str], decides: Mapping[str, str]) -> None:
        """Of apps that a lost file does not tell, the map that serves does."""
        for app in apps:
            for colour in Colour:
                if app not in self._colours and decides.get(app) == backend(app, colour):
                    self._colours[app] = colour

    def write(self) -> None:
        """Write the file as it is to be, unless somebody else just has. Raises WorldError."""
        with self._writing:
            colours = sorted(self._colours.copy().items())
            text = "".join(f"{app} {backend(app, colour)}\n" for app, colour in colours)
            if text == self._text and self._file.exists():
                return
            files.write(self._file, text)
            self._text = text

    def set_again(self) -> None:
        """Make the serving worker's map say what it is to say. Raises OSError."""
        decides = self._proxy.running().decides
        for app, colour in self._colours.copy().items():
            if decides.get(app) != backend(app, colour):
                self._proxy.point(app, backend(app, colour))

    def put_back(self, app: str, before: Colour | None) -> None:
        """Decide again as before a flip that was not proved, as far as can be."""
        self.note(app, before)
        try:
            if before is None:
                self._proxy.unpoint(app)
            else:
                self._proxy.point(app, backend(app, before))
        except OSError as error:
            self._log.warning("could not point back", app=app, detail=str(error))
        try:
            self.write()
        except WorldError as error:
            self._log.warning("could not write the map back", app=app, detail=error.failed.detail)


def _read(text: str) -> dict[str, Colour]:
    found = {}
    for line in text.splitlines():
        app, _, name = line.partition(" ")
        for colour in Colour:
            if name.strip() == backend(app, colour):
                found[app] = colour
    return found
