"""Templates (shipped, or the host's own) and blocks → the texts of bgd's part.

Rules that live here: the structure of a text is all of it but what can change at runtime, and its digest
is the marker by which a running proxy says which structure it has. What is done at runtime is read back
from the text, so that it is what the file says. A text that names an app's live colour is another
structure with the other colour.
"""

import copy
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import (
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PrefixLoader,
    StrictUndefined,
    TemplateError,
    TemplateNotFound,
)
from jinja2.sandbox import safe_range

from bgd.config import AppSettings
from bgd.core.model import Colour, Server
from bgd.core.reasons import Because
from bgd.proxy.adapter import Adapter, Texts, Written
from bgd.proxy.blocks import Block, Blocks
from bgd.proxy.errors import WorldError
from bgd.proxy.names import backend, by_name
from bgd.proxy.quoting import quote, quote_format
from bgd.proxy.routes import frontends


@dataclass(frozen=True, slots=True)
class Page:
    """Rendered texts, the marker of their structure, and their backends' servers."""

    texts: Texts
    structure: str
    servers: Written


Places = Mapping[str, str]
"""Where servers are that the text must not name by their own names: name → place."""


@dataclass(frozen=True, slots=True)
class Outside:
    """What a text depends on beside its blocks and its templates."""

    places: Places
    dialect: str


class Renderer:
    """Makes pages from blocks with the templates as they were when it was made.

    May be used from several threads: what it remembers is replaced whole.
    """

    def __init__(self, own: Path, adapter: Adapter, *, node: str) -> None:
        self._adapter, self._own = adapter, own
        self._main_template = list(adapter.templates.values())[-1]
        self._fixed = {"node": node, "colours": list(Colour)}
        shipped = FileSystemLoader(shipped_templates())
        self._templates = Environment(
            loader=ChoiceLoader([FileSystemLoader(own), shipped, PrefixLoader({"shipped": shipped})]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            auto_reload=False,
            autoescape=False,  # noqa: S701  the text is no HTML; words are quoted for the proxy
        )
        self._newest: tuple[Blocks, Outside, Page] | None = None
        self._newest_bare: tuple[Blocks, Outside, str, frozenset[str]] | None = None
        self._templates.filters.update(quote=quote, quote_format=quote_format)
        self._templates.globals["range"] = safe_range  # one that is far too long ends with a word

    def page(self, blocks: Blocks) -> Page:
        """Render all blocks. Raises WorldError when a template does not."""
        outside, newest = self._outside(blocks), self._newest
        if newest is not None and newest[:2] == (blocks, outside):
            return newest[2]
        structure, _ = self._structure(blocks, outside)
        texts = self._texts(blocks, outside.places, structure, set())
        if self._adapter.marker(texts) != structure:
            lost = f"{self._main_template} has no marker any more"
            cure = "keep {{ structure }} where the shipped one has it"
            raise WorldError(Because.CHECK_FAILED, f"{lost}; {cure}")
        page = Page(texts, structure, self._adapter.written(texts))
        if missing := _missing_server(blocks, page):
            raise WorldError(Because.CHECK_FAILED, f"{self._main_template} {missing}")
        self._newest = dict(blocks), outside, page
        return page

    def aside(self) -> "Renderer":
        """The same, with a memory that may go its own way: what is only tried must not cost this one its."""
        return copy.copy(self)

    def names_live(self, blocks: Blocks) -> frozenset[str]:
        """The apps whose live colour the text itself names. Raises WorldError."""
        return self._structure(blocks, self._outside(blocks))[1]

    def _outside(self, blocks: Blocks) -> Outside:
        servers = (each for block in blocks.values() for colour in Colour for each in block.in_order(colour))
        return Outside(self._adapter.places(list(servers)), self._adapter.dialect)

    def _structure(self, blocks: Blocks, outside: Outside) -> tuple[str, frozenset[str]]:
        bare = {name: self._adapter.structural(block) for name, block in blocks.items()}
        newest = self._newest_bare
        if newest is None or newest[:2] != (bare, outside):
            if wrong := _wrong_folder(self._own):
                raise WorldError(Because.CHECK_FAILED, wrong)
            asked: set[str] = set()
            texts = self._texts(bare, outside.places, "", asked)
            digest = hashlib.sha256("\0".join(texts.values()).encode()).hexdigest()[:16]
            newest = self._newest_bare = bare, outside, digest, frozenset(asked)
        return newest[2:]

    def _texts(self, blocks: Blocks, places: Places, structure: str, asked: set[str]) -> dict[str, str]:
        ordered = [blocks[name] for name in sorted(blocks)]
        apps = {block.settings.name: _App(_told(block, places), asked) for block in ordered}
        fronts = frontends([block.settings for block in ordered], self._adapter.folder)
        told = {
            "structure": structure,
            "frontends": fronts,
            "apps": list(apps.values()),
            "named": apps.__getitem__,
            "live": lambda name: apps[name]["live"],
            **self._fixed,
            **self._adapter.words(structure, fronts),
        }
        texts = {name: self._text(template, told) for name, template in self._adapter.templates.items()}
        return {name: text for name, text in texts.items() if text.strip()}

    def _text(self, template: str, told: Mapping[str, Any]) -> str:
        try:
            return self._templates.get_template(template).render(told)
        except TemplateError as error:
            raise WorldError(Because.CHECK_FAILED, _template_words(error, template)) from error
        except Exception as error:  # whatever an expression in a template can raise
            raise WorldError(Because.CHECK_FAILED, _line_words(error, template)) from error


class _App(dict[str, Any]):
    """An app as a template sees it. One that asks for the live colour is noted: its text depends on it."""

    def __init__(self, told: Mapping[str, Any], asked: set[str]) -> None:
        super().__init__(told)
        self._asked = asked

    def __getitem__(self, key: str) -> Any:
        if key == "live":
            self._asked.add(self["name"])
        return super().__getitem__(key)


def shipped_templates() -> Path:
    """The templates inside the wheel, or the repository's."""
    packaged = Path(str(resources.files("bgd"))) / "templates"
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[3] / "templates"


def _told(block: Block, places: Places) -> dict[str, Any]:
    app = block.settings
    colours = [
        {
            "colour": colour,
            "backend": backend(app.name, colour),
            "servers": [_server(server, block.down, places) for server in block.in_order(colour)],
        }
        for colour in Colour
    ]
    live = block.live or Colour.BLUE
    return {
        "name": app.name,
        "mode": app.mode,
        "live": live,
        "check": _check(app),
        "colours": colours,
        "settings": app,
    }


def _server(server: Server, down: frozenset[str], places: Places) -> dict[str, Any]:
    own = f"[{server.address}]:{server.port}" if ":" in server.address else server.name
    return {
        "name": server.name,
        "place": places.get(server.name, own),
        "weight": server.weight,
        "by_name": by_name(server),
        "down": server.name in down,
    }


def _check(app: AppSettings) -> dict[str, Any]:
    probe = app.probe
    return {
        "path": probe.path,
        "host": probe.host,
        "port": probe.port,
        "interval_ms": round(probe.interval_s * 1000),
        "timeout_ms": round(probe.timeout_s * 1000),
        "rise": probe.rise,
        "fall": probe.fall,
        "expect": ",".join(str(a) if a == b else f"{a}-{b}" for a, b in probe.expect),
    }


def _wrong_folder(own: Path) -> str:
    """Why the host's own templates cannot be looked for: they must not be passed over in silence."""
    try:
        if not own.exists() or (own.is_dir() and os.access(own, os.R_OK | os.X_OK)):
            return ""
    except OSError as error:
        return f"proxy.templates: {own} cannot be read: {error.strerror}"
    return f"proxy.templates: {own} is no folder that bgd's user may read; make it one, or take it away"


def _missing_server(blocks: Blocks, page: Page) -> str:
    """Which server the template left out: bgd finds each again by its line."""
    for app, block in blocks.items():
        for colour in Colour:
            name = backend(app, colour)
            for server in block.servers.get(colour, ()):
                if server.name not in page.servers.get(name, {}):
                    return f"has no line 'server {server.name} ...' in backend {name}"
    return ""


def _template_words(error: TemplateError, template: str) -> str:
    if isinstance(error, TemplateNotFound):
        words = "there is no template of this name in proxy.templates, nor among the shipped ones"
        return f"{_line_words(error, template)}: {words}"
    line, name = getattr(error, "lineno", None), getattr(error, "name", None) or template
    return f"{name}, line {line}: {error.message}" if line else _line_words(error, template)


def _line_words(error: Exception, template: str) -> str:
    """The last line of a template that the error came through."""
    trace, place = error.__traceback__, template
    while trace is not None:
        if re.search(r"\.j2$", trace.tb_frame.f_code.co_filename):
            place = f"{Path(trace.tb_frame.f_code.co_filename).name}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return f"{place}: {str(error) or type(error).__name__}"
