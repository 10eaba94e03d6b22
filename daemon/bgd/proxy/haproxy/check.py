"""HAProxy judges bgd's part beside the host's own file, on copies, before anything stands.

Rules that live here: the exit code judges, the words are only for people; they name the file that
will stand, and the line that is meant.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from bgd.config import ProxySettings
from bgd.core.reasons import Because
from bgd.proxy import certificates, command
from bgd.proxy.errors import WorldError
from bgd.proxy.machine import Machine

COMMAND = "haproxy -c -f {main_file} -f {folder}"
DEADLINE_S = 30.0
_NOTHING_TO_DO = "has no error but will not start (no listener)"
"""Said of a host's file without a frontend as long as no app is in bgd's part: nobody's fault."""


def judge(text: str, settings: ProxySettings, maps: Mapping[Path, str], machine: Machine) -> str | None:
    """The proxy's own words against this text, or None when it is content. Raises WorldError."""
    try:
        with machine.scratch(settings.file.parent) as copies:
            folder = copies / "folder"
            folder.mkdir()
            main_file = settings.main_file if machine.privileged else _copy_main(settings.main_file, copies)
            _copy_part(text, settings, maps, folder)
            line, here = settings.check or COMMAND, not machine.privileged
            words = command.words(line, main_file=main_file, folder=folder, here=here)
            said = machine.run(words, DEADLINE_S)
    except OSError as error:
        detail = f"cannot write a copy to check: {error.strerror}"
        raise WorldError(Because.CHECK_FAILED, detail) from error
    if not said or _NOTHING_TO_DO in said:
        return None
    said = said.replace(str(folder), str(settings.file.parent)).replace(
        str(main_file), str(settings.main_file)
    )
    return _words(said, settings.file.name, text) or f"proxy.check: {command.brief(said)}"


def notes(settings: ProxySettings, machine: Machine) -> list[str]:
    """What in the host's own file is no fault but may surprise."""
    try:
        lines = machine.read(settings.main_file).splitlines()
    except (OSError, UnicodeDecodeError):  # which the check has a word for
        return []
    return [
        f"{settings.main_file}:{number}: {line.strip()} cuts what is open that long after a reload"
        for number, line in enumerate(lines, start=1)
        if line.split()[:1] == ["hard-stop-after"]
    ]


def _copy_main(main_file: Path, copies: Path) -> Path:
    """The host's own file itself, unless it names what bgd may not read."""
    own = _own(main_file)
    readable = certificates.with_stand_ins(own)
    if readable == own:
        return main_file
    copy = copies / main_file.name
    copy.write_text(readable)
    return copy


def _own(main_file: Path) -> str:
    try:
        return main_file.read_text()
    except (FileNotFoundError, UnicodeDecodeError):
        return ""  # which the proxy itself has a word for
    except OSError as error:
        detail = f"proxy.main_file: {main_file} cannot be read: {error.strerror}"
        raise WorldError(Because.CHECK_FAILED, detail) from error


def _copy_part(text: str, settings: ProxySettings, maps: Mapping[Path, str], folder: Path) -> None:
    """The candidate with maps of its own, since those that serve may not be there yet."""
    base = certificates.base_of(_own(settings.main_file))
    part = certificates.with_stand_ins(text, base)
    for path, held in maps.items():
        own_map = folder / path.name
        own_map.write_text(held)
        part = re.sub(rf"\({re.escape(str(path))}(?=[,)])", f"({own_map}", part)
    (folder / settings.file.name).write_text(part)


def _words(said: str, file_name: str, text: str) -> str:
    """The alerts of a check without their ceremony, with the line that each is about."""
    words = []
    for line in said.splitlines():
        alert = re.match(r"\[ALERT\]\s*\(\d+\) : (?:config : )?(.*)", line)
        if not alert or re.search(r"(Fatal errors|Error\(s\)) found", alert[1]):
            continue
        words.append(alert[1] + _line_meant(alert[1], file_name, text))
    return "; ".join(words[:3])


def _line_meant(alert: str, file_name: str, text: str) -> str:
    place = re.search(rf"{re.escape(file_name)}:(\d+)\]", alert)
    lines = text.splitlines()
    return f" ({lines[int(place[1]) - 1].strip()})" if place and int(place[1]) <= len(lines) else ""
