"""An app's block: the settings and servers that its share of the configuration is made from.

The last good block of every app is kept on disk, so that one app that is refused can stay as it was
while the others go on, also after a restart.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cattrs.preconf.json import make_converter

from bgd.config import AppSettings
from bgd.core.model import Colour, Server
from bgd.proxy import files

Servers = Mapping[Colour, frozenset[Server]]

_CONVERTER = make_converter()

NO_SERVERS: Servers = {colour: frozenset() for colour in Colour}


@dataclass(frozen=True, slots=True)
class Block:
    """What one app's share of the proxy's configuration is made from."""

    settings: AppSettings
    servers: Servers
    down: frozenset[str] = frozenset()
    """Servers not to be asked, by name, where the proxy does not find that out by itself."""
    live: Colour | None = None
    """The live colour, where the text itself names it: then a flip is a change of the text."""

    def with_settings(self, settings: AppSettings) -> "Block":
        return replace(self, settings=settings)

    def with_live(self, live: Colour | None) -> "Block":
        return self if self.live is live else replace(self, live=live)

    def in_order(self, colour: Colour) -> list[Server]:
        """The same servers always make the same text."""
        return sorted(self.servers.get(colour, frozenset()))

    def names(self) -> dict[Colour, set[str]]:
        """Which servers there are, whatever their weight."""
        return {colour: {server.name for server in self.servers.get(colour, ())} for colour in Colour}


Blocks = Mapping[str, Block]


def save(path: Path, blocks: Blocks) -> None:
    """Write every app's block. Raises OSError."""
    files.replace(path, json.dumps({"schema": 1, "apps": _CONVERTER.unstructure(dict(blocks))}))


def load(path: Path) -> dict[str, Block]:
    """Every app's block that can be read; one that cannot costs that app its last good block only."""
    try:
        apps = dict(json.loads(files.read(path) or "{}")["apps"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return {}
    return {name: block for name, saved in apps.items() if (block := _block(saved)) is not None}


def _block(saved: object) -> Block | None:
    try:
        return _CONVERTER.structure(saved, Block)
    except Exception:  # whatever is wrong with it, it is no block
        return None
