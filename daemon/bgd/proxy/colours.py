"""Which colour each app is decided for: what the proxy is to say, on disk and in the workers that serve.

Rules that live here: the disk says what the running proxy says, so that a restart of it agrees; many
flips at once share a write; one that was not proved is put back as far as can be.
"""

import threading
from collections.abc import Collection, Mapping
from typing import Any

from bgd.core.model import Colour
from bgd.proxy.adapter import Adapter
from bgd.proxy.errors import WorldError


class Colours:
    """What is to be decided, and the ways to have it decided."""

    def __init__(self, adapter: Adapter, log: Any) -> None:
        self._adapter, self._log = adapter, log
        self._writing = threading.Lock()
        self._colours = adapter.kept()

    def of(self, app: str) -> Colour | None:
        return self._colours.get(app)

    def others(self, apps: Collection[str]) -> dict[str, None]:
        """Apps with a colour that are none of these, to be taken out."""
        return {app: None for app in self._colours.copy() if app not in apps}

    def note(self, app: str, colour: Colour | None) -> Colour | None:
        """What is to be decided for an app from now on; returns what was to be before."""
        before = self._colours.get(app)
        if colour is None:
            self._colours.pop(app, None)
        else:
            self._colours[app] = colour
        return before

    def note_all(self, colours: Mapping[str, Colour | None]) -> dict[str, Colour | None]:
        return {app: self.note(app, colour) for app, colour in colours.items()}

    def adopt(self, apps: Collection[str], decides: Mapping[str, Colour]) -> None:
        """Of apps that a lost file does not tell, the proxy that serves does."""
        for app in apps:
            if app not in self._colours and app in decides:
                self._colours[app] = decides[app]

    def write(self) -> None:
        """Write to disk what is to be, unless somebody else just has. Raises WorldError."""
        with self._writing:
            self._adapter.keep(self._colours)

    def set_again(self, by_text: Collection[str]) -> None:
        """Make the workers that serve decide what is to be, but where the text does.

        Raises OSError or WorldError.
        """
        decides = self._adapter.running().decides
        for app in decides.keys() - self._colours.keys():
            self._adapter.unpoint(app)
        for app, colour in self._colours.copy().items():
            if app not in by_text and decides.get(app) is not colour:
                self._adapter.point(app, colour)

    def put_back(self, app: str, before: Colour | None) -> None:
        """Decide again as before a flip that was not proved, as far as can be."""
        self.note(app, before)
        try:
            if before is None:
                self._adapter.unpoint(app)
            else:
                self._adapter.point(app, before)
        except (WorldError, OSError) as error:
            self._log.warning("could not point back", app=app, detail=str(error))
        try:
            self.write()
        except WorldError as error:
            self._log.warning("could not write it back", app=app, detail=error.failed.detail)
