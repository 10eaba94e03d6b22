"""Templates (shipped, or the host's own) and blocks → the text of bgd's part.

Rules that live here: the structure of a text is all of it but the servers that can come and go at
runtime, and its digest is the marker by which a running proxy says which structure it has. The lines
of the servers are read back from the text, so that what is done at runtime is what the file says.
"""

import hashlib
import ipaddress
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
from bgd.proxy.blocks import Block, Blocks
from bgd.proxy.errors import WorldError
from bgd.proxy.quoting import quote, quote_format
from bgd.proxy.routes import frontends

SPECIMEN = Server("192.0.2.1", 1, 1)
"""Stands for the servers of a backend in its structure, so that how a server is written is part of it."""


@dataclass(frozen=True, slots=True)
class Page:
    """A rendered text, the marker of its structure, and its backends' servers: name → place and options."""

    text: str
    structure: str
    servers: Mapping[str, Mapping[str, str]]


def backend(app: str, colour: Colour) -> str:
    return f"{app}_{colour}"


def by_name(server: Server) -> bool:
    """Whether the server is a host name, which the proxy can only resolve at its start."""
    try:
        ipaddress.ip_address(server.address)
    except ValueError:
        return True
    return False


class Renderer:
    """Makes pages from blocks with the templates as they were when it was made."""

    def __init__(self, own: Path, template: str, *, folder: Path, map_file: Path, node: str) -> None:
        self._folder, self._template, self._own = folder, template, own
        self._fixed = {"node": node, "map": str(map_file), "owner": _owner(folder), "colours": list(Colour)}
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
        self._newest: tuple[Blocks, Page] | None = None
        self._newest_bare: tuple[Blocks, str] | None = None
        self._templates.filters.update(quote=quote, quote_format=quote_format)
        self._templates.globals["range"] = safe_range  # one that is far too long ends with a word

    def page(self, blocks: Blocks) -> Page:
        """Render all blocks. Raises WorldError when the template does not."""
        if self._newest is not None and self._newest[0] == blocks:
            return self._newest[1]
        if wrong := _wrong_folder(self._own):
            raise WorldError(Because.CHECK_FAILED, wrong)
        structure = self._structure({name: _bare(block) for name, block in blocks.items()})
        text = self._text(blocks, structure)
        if structure not in text:
            raise WorldError(
                Because.CHECK_FAILED, f"{self._template} has no marker: set-var proc.bgd_structure"
            )
        page = Page(text, structure, read_servers(text))
        if missing := _missing_server(blocks, page):
            raise WorldError(Because.CHECK_FAILED, f"{self._template} {missing}")
        self._newest = dict(blocks), page
        return page

    def _structure(self, bare: Blocks) -> str:
        if self._newest_bare is None or self._newest_bare[0] != bare:
            digest = hashlib.sha256(self._text(bare, "").encode()).hexdigest()[:16]
            self._newest_bare = bare, digest
        return self._newest_bare[1]

    def _text(self, blocks: Blocks, structure: str) -> str:
        ordered = [blocks[name] for name in sorted(blocks)]
        fronts = frontends([block.settings for block in ordered], self._folder)
        apps = [_app(block) for block in ordered]
        try:
            template = self._templates.get_template(self._template)
            return template.render(structure=structure, frontends=fronts, apps=apps, **self._fixed)
        except TemplateError as error:
            raise WorldError(Because.CHECK_FAILED, _template_words(error, self._template)) from error
        except Exception as error:  # whatever an expression in a template can raise
            raise WorldError(Because.CHECK_FAILED, _line_words(error, self._template)) from error


def shipped_templates() -> Path:
    """The templates inside the wheel, or the repository's."""
    packaged = Path(str(resources.files("bgd"))) / "templates"
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[3] / "templates"


def read_servers(text: str) -> dict[str, dict[str, str]]:
    """Each backend's servers as they are written: name → place and options."""
    found: dict[str, dict[str, str]] = {}
    here: dict[str, str] = {}
    for line in text.splitlines():
        match line.split(None, 2):
            case ["backend", name, *_]:
                here = found.setdefault(name, {})
            case ["frontend" | "global" | "defaults" | "listen", *_]:
                here = {}
            case ["server", name, rest]:
                here[name] = rest.strip()
    return found


def read_marker(text: str) -> str | None:
    """The marker of the structure of a text."""
    found = re.search(r"^\s*set-var proc\.bgd_structure str\((\w+)\)", text, re.MULTILINE)
    return found[1] if found else None


def _bare(block: Block) -> Block:
    named = {
        colour: frozenset({SPECIMEN, *filter(by_name, block.servers.get(colour, ()))}) for colour in Colour
    }
    return Block(block.settings, named)


def _app(block: Block) -> dict[str, Any]:
    app = block.settings
    colours = [
        {
            "colour": colour,
            "backend": backend(app.name, colour),
            "reached": reached(app.name, colour),
            "servers": [_server(server) for server in block.in_order(colour)],
        }
        for colour in Colour
    ]
    return {"name": app.name, "mode": app.mode, "check": _check(app), "colours": colours, "settings": app}


def reached(app: str, colour: Colour) -> str:
    """The variable that changes when a connection of bgd's own got through to a server of the colour."""
    return f"bgd_reached_{app.replace('-', '_')}_{colour}"


def _server(server: Server) -> dict[str, Any]:
    place = f"[{server.address}]:{server.port}" if ":" in server.address else server.name
    return {"name": server.name, "place": place, "weight": server.weight, "by_name": by_name(server)}


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


def _owner(folder: Path) -> int:
    """Who may use the proof listener: whoever owns the folder; 0 (root may anyway) is not written."""
    try:
        return folder.stat().st_uid
    except OSError:
        return 0


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
