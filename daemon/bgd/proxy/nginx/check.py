"""nginx judges bgd's part within the host's own configuration, on copies, before anything stands.

Rules that live here: the exit code judges, but for a port that only root may open, which is found last and
is no fault; a server name that nginx would ignore is one, since its requests would go elsewhere; a part that
nothing loads passes no check. The words are nginx's own, of the files that will stand, with the lines meant.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bgd.config import ProxySettings
from bgd.core.reasons import Because
from bgd.proxy import command
from bgd.proxy.errors import WorldError
from bgd.proxy.machine import Machine
from bgd.proxy.nginx import host, loading
from bgd.proxy.nginx.conflicts import conflicts
from bgd.proxy.nginx.copies import Copies
from bgd.proxy.nginx.host import Source

COMMAND = "nginx -t -q -e stderr -c {main_file}"
DEADLINE_S = 30.0
STREAM_MODULE = (
    "nginx has no stream module: install the package libnginx-mod-stream, and if the main file does not "
    "include modules-enabled/*.conf, write 'load_module modules/ngx_stream_module.so;' at its top"
)
_COMPLAINT = re.compile(r"\[(warn|error|crit|alert|emerg)\] (?:\d+#\d+: )?(.*)")
_AT_LAST = re.compile(r"(bind|mkdir)\(\) .*\(13: ")
"""Refused to a plain user when all else was judged: a port, a folder that nginx was built with."""


def judge(texts: Mapping[str, str], settings: ProxySettings, machine: Machine) -> str | None:
    """The proxy's own words against these texts, or None when it is content. Raises WorldError."""
    texts = _written(texts)
    main = host.read(texts, settings, machine)
    refused = _refused(main, texts, settings, machine)
    loaded = not [*loading.lacks(main, texts, settings)]
    return refused if refused or loaded else _missing(main, texts, settings, machine)


def missing(texts: Mapping[str, str], settings: ProxySettings, machine: Machine) -> str | None:
    """What the host's configuration lacks so that these texts are loaded. Raises WorldError."""
    texts = _written(texts)
    main = host.read(texts, settings, machine)
    return _missing(main, texts, settings, machine)


def mentions(words: str, settings: ProxySettings, machine: Machine) -> bool:
    """Whether the host's own configuration holds these words anywhere. Raises WorldError."""
    return any(words in source.text for source in host.read({}, settings, machine).all())


def notes(settings: ProxySettings, machine: Machine) -> list[str]:
    """What in the host's configuration is no fault but may surprise."""
    try:
        return [*loading.cuts_short(host.read({}, settings, machine))]
    except WorldError:  # which the check has a word for
        return []


def _missing(main: Source, texts: Mapping[str, str], settings: ProxySettings, machine: Machine) -> str | None:
    lacks = [*loading.lacks(main, texts, settings)]
    if any(loading.block_of(name) == "stream" for name in texts):
        lacks += filter(None, [_lacks_stream(main, settings, machine)])
    return "; ".join(lacks) or None


def _written(texts: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in texts.items() if text}


def _refused(main: Source, texts: Mapping[str, str], settings: ProxySettings, machine: Machine) -> str | None:
    """What nginx says of the texts where they are loaded, and of the host's own file."""
    said = _said(main, texts, settings, machine)
    wrong = _fatal(said, machine) if said else []
    if wrong is None:
        return f"proxy.check: {command.brief(said)}"
    warned = said or _said(main, texts, settings, machine, spoiled=True)
    return _words(wrong or [*conflicts(warned, main)], main)


def _lacks_stream(main: Source, settings: ProxySettings, machine: Machine) -> str | None:
    """What nginx says of a `stream {}` in its main file, where it does not know it."""
    if not loading.has_stream(main):
        main = replace(main, text=f"{main.text}\nstream {{}}\n")
    return STREAM_MODULE if _knows_no_stream(_said(main, {}, settings, machine)) else None


def _said(
    main: Source,
    texts: Mapping[str, str],
    settings: ProxySettings,
    machine: Machine,
    *,
    spoiled: bool = False,
) -> str:
    """What the check says of copies, which are gone afterwards, as if of the files. Raises WorldError."""
    try:
        with machine.scratch(settings.file.parent) as scratch:
            copies = Copies(main, texts, settings=settings, machine=machine, scratch=scratch, spoiled=spoiled)
            words = command.words(
                settings.check or COMMAND,
                main_file=copies.main_file,
                folder=copies.folder,
                here=not machine.privileged,
            )
            return copies.real(machine.run(words, DEADLINE_S))
    except OSError as error:
        detail = f"cannot write a copy to check: {error.strerror or error}"
        raise WorldError(Because.CHECK_FAILED, detail) from error


def _fatal(said: str, machine: Machine) -> list[str] | None:
    """Why nginx would not start; None when these are no words of nginx."""
    complaints = [(found[1], found[2]) for found in map(_COMPLAINT.search, said.splitlines()) if found]
    fatal = [words for level, words in complaints if level == "emerg"]
    fatal = fatal or [words for level, words in complaints if level != "warn"]
    if not fatal:
        return None
    return [words for words in fatal if machine.privileged or not _AT_LAST.match(words)]


def _words(wrong: Sequence[str], main: Source) -> str | None:
    """The first complaints, each with the line that it is about, and the cure where there is one."""
    lines = {str(source.path): source.text.split("\n") for source in main.all()}
    told = [words + _line_meant(words, lines) for words in wrong][:3]
    if any(map(_knows_no_stream, told)):
        told.append(STREAM_MODULE)
    return "; ".join(told) or None


def _knows_no_stream(said: str) -> bool:
    return any(sign in said for sign in ('unknown directive "stream"', 'ngx_stream_module.so" failed'))


def _line_meant(words: str, lines: Mapping[str, list[str]]) -> str:
    place = re.search(r" in (/.*):(\d+)$", words)
    text = lines.get(place[1], []) if place else []
    return f" ({text[int(place[2]) - 1].strip()})" if place and 0 < int(place[2]) <= len(text) else ""
