"""bgd.toml → frozen settings. Every problem is found at once, each with its key path and its cure.

Which keys there are is said in `tables`, what one value may be in `values`, what differs between the
proxies in `kinds`, and what values can get wrong together in `checks`.
"""

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from bgd.config.checks import check_binds, check_claims, check_folder, check_names, check_tcp
from bgd.config.kinds import KINDS, Kind
from bgd.config.reading import Reading, spelled
from bgd.config.settings import (
    AppSettings,
    ConsulSettings,
    FlipSettings,
    ProbeSettings,
    RevertSettings,
    Settings,
)
from bgd.config.tables import TABLES, tables
from bgd.config.values import Problem, shown


class ConfigProblems(Exception):
    """Everything that is wrong with a configuration."""

    def __init__(self, source: str | Path, problems: Iterable[Problem]) -> None:
        self.source = str(source)
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{self.source}: {problem}" for problem in self.problems))


def load(path: Path) -> Settings:
    """The settings of a file; raises ConfigProblems with all that is wrong."""
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
        raise ConfigProblems(path, [Problem("file", what, "name a readable file with --config")]) from error
    except UnicodeDecodeError as error:
        what = f"byte {error.start} is not UTF-8"
        raise ConfigProblems(path, [Problem("file", what, "save the file as UTF-8")]) from error
    return parse(text, path)


def parse(text: str, source: str | Path) -> Settings:
    """The settings of a text; raises ConfigProblems with all that is wrong."""
    given = _toml(text, source)
    kind = _kind(given.get("proxy"))
    reading = Reading(tables(kind))
    settings = _settings(reading, given, kind)
    if reading.problems:
        raise ConfigProblems(source, reading.problems)
    return settings


_RESTART = "restart bgd"


def changed_for_reload(old: Settings, new: Settings) -> tuple[Problem, ...]:
    """What differs that a running daemon cannot take on: each is refused until bgd is restarted."""
    changes = [
        *_changed(old.consul, new.consul, "consul"),
        *_changed(old.proxy, new.proxy, "proxy"),
        *_changed(old, new, ""),
        *_changed(old, new, "status"),
        *_changed(old, new, "state"),
    ]
    return tuple(Problem(place, f"was {was}, is {now}", _RESTART) for place, was, now in changes)


def _changed(old: object, new: object, table: str) -> Iterator[tuple[str, str, str]]:
    for key, (field, _) in TABLES[table].items():
        was, now = getattr(old, field), getattr(new, field)
        if was != now:
            yield f"{table}.{key}" if table else key, _shown(was), _shown(now)


def _shown(setting: object) -> str:
    return shown(str(setting) if isinstance(setting, Path) else setting)


def _toml(text: str, source: str | Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.fullmatch(r"(.*) \(at (.*)\)", str(error), re.DOTALL)
        what, place = (found[1], found[2]) if found else (str(error), "end of document")
        place = place.replace("end of document", f"line {text.count(chr(10)) + 1}, end of document")
    except (ValueError, RecursionError):
        what, place = "a number or a nesting is beyond all bounds", "file"
    problem = Problem(place, f"is not TOML: {what}", "write it as in https://toml.io")
    raise ConfigProblems(source, [problem])


def _kind(proxy: object) -> Kind:
    """The proxy that is meant; of a word that is none, the nearest, so that the rest is judged by it."""
    written = proxy.get("kind", "") if isinstance(proxy, dict) else ""
    near = difflib.get_close_matches(str(written)[:20].lower(), KINDS, n=1)
    return KINDS[near[0] if near else "haproxy"]


def _settings(reading: Reading, given: Mapping[str, Any], kind: Kind) -> Settings:
    top = reading.fields(given, "", "", within=("consul", "proxy", "status", "state", "notify", "app"))
    settings = Settings(
        **top,
        consul=ConsulSettings(**reading.inner(given, "consul", "consul", "")),
        proxy=attrs.evolve(kind.defaults, **reading.inner(given, "proxy", "proxy", "")),
        **reading.inner(given, "status", "status", ""),
        **reading.inner(given, "state", "state", ""),
        **reading.inner(given, "notify", "notify", ""),
    )
    apps = _apps(reading, given.get("app"))
    reading.problems += [
        *check_names(apps),
        *check_tcp(apps),
        *check_binds(apps, kind.parse_bind),
        *check_claims(apps, kind.parse_bind),
    ]
    if not any(problem.place in ("proxy.file", "proxy.main_file") for problem in reading.problems):
        reading.problems += check_folder(settings.proxy)
        for check in kind.checks:
            reading.problems += check(apps, settings)
    return attrs.evolve(settings, apps=tuple(app for _, app in apps))


def _apps(reading: Reading, given: object) -> list[tuple[str, AppSettings]]:
    if isinstance(given, dict):
        reading.say("app", "is one table", "write [[app]], with two brackets")
        given = [given]
    if given is None or given == []:
        reading.say("app", "there is none", 'write [[app]] and below it name = "..."')
        return []
    if not isinstance(given, list):
        reading.say("app", f"{shown(given)} is not an array of tables", "write [[app]] with its keys below")
        return []
    return [_app(reading, number, table) for number, table in enumerate(given, start=1)]


def _app(reading: Reading, number: int, given: object) -> tuple[str, AppSettings]:
    if not isinstance(given, dict):
        reading.say(f"app[#{number}]", f"{shown(given)} is not a table", "write [[app]] with its keys below")
        return f"app[#{number}]", AppSettings(name="", service="", bind=())
    name = given.get("name")
    place = f"app[{spelled(name)}]" if isinstance(name, str) and name else f"app[#{number}]"
    fields = reading.fields(given, "app", f"{place}.", within=("probe", "flip", "revert"))
    if "name" not in given:
        reading.say(f"{place}.name", "is missing", 'give the app a name: name = "..."')
    probe = ProbeSettings(**reading.inner(given, "probe", "app.probe", f"{place}."))
    flip = FlipSettings(**reading.inner(given, "flip", "app.flip", f"{place}."))
    revert = RevertSettings(**reading.inner(given, "revert", "app.revert", f"{place}."))
    if given.keys() & {"bind", "hosts", "paths", "mode"} - fields.keys():
        # what it claims is not known, so nothing is said about it
        fields["bind"], revert = (), RevertSettings()
    defaults = {"name": "", "service": fields.get("name", "")}
    return place, AppSettings(**{**defaults, **fields}, probe=probe, flip=flip, revert=revert)
