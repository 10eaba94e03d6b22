"""The copies of a host's configuration that its check runs on: of each file that needs one, and of no other.

bgd mostly runs as a plain user, and a check must leave nothing behind. Rules that live here: only what
such a user may not touch is exchanged, and nothing that is plainly wrong, which is the proxy's to tell; each
line stays where it is; what is relative to the main file's folder stays so.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from bgd.config import ProxySettings
from bgd.config.directives import Directive, quoted
from bgd.proxy.certificates import STAND_IN, hidden
from bgd.proxy.machine import Machine
from bgd.proxy.nginx.host import Source

Edit = tuple[int, int, str]
"""From where to where, and what stands there instead."""

_LOGS = frozenset({"access_log", "error_log"})
_NO_FILES = ("off", "stderr", "syslog:", "memory:")
_FOLDERS = frozenset(
    f"{of}_{kind}"
    for of in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    for kind in ("temp_path", "cache_path")
)
_OF = ("", "proxy_", "grpc_", "uwsgi_")
_PAIRS = frozenset(f"{of}ssl_certificate{key}" for of in _OF for key in ("", "_key"))
"""Certificates and keys: they must fit, wherever each is inherited from, so all are exchanged or none."""
_TRUSTED = frozenset({"ssl_client_certificate", *(f"{of}ssl_trusted_certificate" for of in _OF)})
_WITHHELD = frozenset(
    {
        "ssl_dhparam",
        "ssl_session_ticket_key",
        "ssl_stapling_file",
        *(f"{of}{name}" for of in _OF for name in ("ssl_crl", "ssl_password_file")),
    }
)
"""Files for which a certificate is no stand-in: their lines are left out."""
_FILES = _LOGS | _FOLDERS | _PAIRS | _TRUSTED | _WITHHELD
_NO_PATHS = ("data:", "engine:", "store:")


class Copies:
    """The copies of one configuration in a scratch folder: the main file, and the folder of bgd's part.

    `spoiled`: they fail behind their last directive, so that the proxy tells its warnings too.
    """

    def __init__(
        self,
        main: Source,
        texts: Mapping[str, str],
        *,
        settings: ProxySettings,
        machine: Machine,
        scratch: Path,
        spoiled: bool = False,
    ) -> None:
        self._main, self._settings, self._machine, self._scratch = main, settings, machine, scratch
        self._originals: dict[str, str] = {}
        self._exchanged: dict[str, Path] = {}
        self._pid = self._pid_file(spoiled)
        self.folder = self._folder("part", settings.file.parent)
        for name, text in texts.items():  # where a check command of the host's own may look for them
            (self.folder / name).write_text(text)
        self._pairs_too = any(self._hides(each) for source in main.all() for each in source.says)
        self.main_file = self._copy_main()

    def real(self, said: str) -> str:
        """The proxy's words about the copies, as if they were about what is copied."""
        for copy in sorted(self._originals, key=len, reverse=True):
            said = said.replace(copy, self._originals[copy])
        return said

    def _pid_file(self, spoiled: bool) -> Path | None:
        """Where a check may write it. In a container it may where the proxy does, and perhaps only there."""
        if spoiled:
            return self._scratch / "gone" / "nginx.pid"
        return None if self._machine.privileged else self._scratch / "nginx.pid"

    def _copy_main(self) -> Path:
        """Beside links to its neighbours, which it may name without a folder."""
        original = self._main.path
        folder = self._folder("main", original.parent)
        for each in self._machine.find(f"{original.parent}/*"):
            if each.name != original.name:
                (folder / each.name).symlink_to(each)
        copy = folder / original.name
        copy.write_text(_edited(self._main.text, [*self._edits(self._main), *self._own_pid()]))
        return copy

    def _copy(self, source: Source) -> Path:
        """The file's copy, or itself when it needs none."""
        edits = self._edits(source)
        if not edits and not source.part:
            return source.path
        folder = self.folder if source.part else self._scratch / f"copy-{len(self._originals)}"
        folder.mkdir(exist_ok=True)
        copy = folder / source.path.name
        copy.write_text(_edited(source.text, edits))
        self._originals.setdefault(str(copy), str(source.path))
        return copy

    def _edits(self, source: Source) -> list[Edit]:
        edits = [edit for each in source.includes for edit in self._included(source, each)]
        if self._pid:
            edits += [_value(each, self._pid) for each in source.says if _is_pid(each)]
        return edits if self._machine.privileged else [*edits, *self._withdrawn(source)]

    def _included(self, source: Source, directive: Directive) -> Iterator[Edit]:
        include = source.includes[directive]
        copies = {each.path: self._copy(each) for each in include.sources}
        if include.ours and not include.found:
            yield _value(directive, self.folder / include.pattern.name)
        elif any(path != copy for path, copy in copies.items()):
            loaded = "; ".join(f"include {quoted(str(copies.get(path, path)))}" for path in include.found)
            yield directive.spans[0][0], directive.spans[-1][1], loaded

    def _own_pid(self) -> Iterator[Edit]:
        """In place of the one that nginx was built with."""
        if self._pid and not any(_is_pid(each) for source in self._main.all() for each in source.says):
            yield 0, 0, f"pid {quoted(str(self._pid))}; "

    def _withdrawn(self, source: Source) -> Iterator[Edit]:
        """What a plain user may not open, each in its own way."""
        for each in source.says:
            if each.name == "http" and each.opens:
                yield each.end, each.end, " access_log off;"  # in place of the one that nginx was built with
            elif each.name in _FILES and each.values and "$" not in each.values[0]:
                yield from self._file(each)
                yield from self._certificate(each)

    def _file(self, directive: Directive) -> Iterator[Edit]:
        path = directive.values[0]
        log = directive.name in _LOGS and not path.startswith(_NO_FILES) and _closed_log(Path(path))
        if log or (directive.name in _FOLDERS and _closed_folder(Path(path))):
            yield _value(directive, self._exchange(path))

    def _certificate(self, directive: Directive) -> Iterator[Edit]:
        path = self._settings.main_file.parent / directive.values[0]
        pair = directive.name in _PAIRS and not directive.values[0].startswith(_NO_PATHS)
        trusted = directive.name in _TRUSTED and hidden(path)
        if trusted or (pair and self._pairs_too and _there(path)):
            yield _value(directive, STAND_IN)
        elif directive.name in _WITHHELD and hidden(path):
            yield directive.spans[0][0], directive.end, ""

    def _hides(self, directive: Directive) -> bool:
        """Whether it is a certificate or a key that bgd may not read."""
        path = directive.values[0] if directive.name in _PAIRS and directive.values else "$"
        plain = "$" not in path and not path.startswith(_NO_PATHS)
        return plain and hidden(self._settings.main_file.parent / path)

    def _exchange(self, path: str) -> Path:
        """One place for one path: nginx compares what is said of the same log or folder."""
        if path not in self._exchanged:
            self._exchanged[path] = self._scratch / f"x{len(self._exchanged)}"
            self._originals[str(self._exchanged[path])] = path
        return self._exchanged[path]

    def _folder(self, name: str, original: Path) -> Path:
        folder = self._scratch / name
        folder.mkdir()
        self._originals[str(folder)] = str(original)
        return folder


def _is_pid(directive: Directive) -> bool:
    return directive.name == "pid" and not directive.within and bool(directive.values)


def _edited(text: str, edits: list[Edit]) -> str:
    """The text with its edits, and as many lines as before."""
    pieces, at = [], 0
    for start, end, instead in sorted(edits):
        lost = text.count("\n", start, end) - instead.count("\n")
        pieces += [text[at:start], instead, "\n" * lost]
        at = end
    return "".join([*pieces, text[at:]])


def _value(directive: Directive, path: Path) -> Edit:
    return (*directive.spans[1], quoted(str(path)))


def _closed_log(path: Path) -> bool:
    """A log that bgd may not write, or that a check would begin. One without a folder is a fault."""
    if not path.is_absolute():
        return True  # within a folder that nginx was built with
    return not os.access(path, os.W_OK) if _there(path) else _there(path.parent)


def _closed_folder(path: Path) -> bool:
    """A folder that nginx would make at its start. One that is there is nobody's trouble."""
    return not path.is_absolute() or (not _there(path) and _there(path.parent))


def _there(path: Path) -> bool:
    """Whether it is there, or may be: what bgd cannot see may be."""
    try:
        path.stat()
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return True
