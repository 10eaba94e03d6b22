"""bgd.toml → frozen settings. Every problem is found at once, each with its key path and its cure.

The file knows exactly what works: a key that is not listed in the tables below is a problem, never a
silent promise. What one value may be is said in `values`, what bind lines claim in `binds`, and what
values can get wrong together in `checks`.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bgd.config import values as value
from bgd.config.binds import bind
from bgd.config.checks import check_binds, check_claims, check_folder, check_main_file, check_names, check_tcp
from bgd.config.reading import Reading, Table, spelled
from bgd.config.settings import (
    AppSettings,
    ConsulSettings,
    FlipSettings,
    ProbeSettings,
    ProxySettings,
    Settings,
)
from bgd.config.values import Problem, shown


class ConfigProblems(Exception):
    """Everything that is wrong with a configuration."""

    def __init__(self, source: str | Path, problems: Iterable[Problem]) -> None:
        self.source = str(source)
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{self.source}: {problem}" for problem in self.problems))


_CONSUL: Table = {
    "address": ("address", value.optional(value.consul_address)),
    "token_file": ("token_file", value.optional(value.path_text)),
    "ca_file": ("ca_file", value.optional(value.path_text)),
    "cert_file": ("cert_file", value.optional(value.path_text)),
    "key_file": ("key_file", value.optional(value.path_text)),
    "prefix": ("prefix", value.prefix),
    "datacenter": ("datacenter", value.optional(value.datacenter)),
}
_PROXY: Table = {
    "kind": ("kind", value.one_of("haproxy")),
    "main_file": ("main_file", value.path),
    "file": ("file", value.part_path),
    "templates": ("templates", value.path),
    "check": ("check", value.optional(value.command)),
    "reload": ("reload", value.command),
    "runtime_socket": ("runtime_socket", value.socket_path),
    "master_socket": ("master_socket", value.socket_path),
    "unit": ("unit", value.optional(value.unit, "haproxy.service")),
    "max_old_workers": ("max_old_workers", value.number(1, 1000)),
}
_STATUS: Table = {"listen": ("listen", value.optional(value.listen))}
_STATE: Table = {"directory": ("state_directory", value.path)}
_PROBE: Table = {
    "path": ("path", value.optional(value.probe_path)),
    "host": ("host", value.optional(value.probe_host)),
    "port": ("port", value.number(0, 65535)),
    "interval": ("interval_s", value.duration("50ms", "1h")),
    "timeout": ("timeout_s", value.duration("1ms", "1h")),
    "rise": ("rise", value.number(1, 1000)),
    "fall": ("fall", value.number(1, 1000)),
    "expect": ("expect", value.expect),
    "max_latency": ("max_latency_s", value.duration("0s", "1h")),
}
_FLIP: Table = {
    "min_healthy": ("min_healthy", value.min_healthy),
    "patience": ("patience_s", value.duration("1s", "168h")),
}
_APP: Table = {
    "name": ("name", value.app_name),
    "service": ("service", value.service_name),
    "colour_by": ("colour_by", value.one_of("tag", "service", "meta")),
    "release_meta": ("release_meta", value.meta_key),
    "mode": ("mode", value.one_of("http", "tcp")),
    "bind": ("bind", value.each(bind)),
    "hosts": ("hosts", value.each(value.host)),
    "paths": ("paths", value.each(value.url_path)),
    "lines": ("lines", value.each(value.frontend_line, repeatable=True)),
}
TABLES: Mapping[str, Table] = {
    "": {"node": ("node", value.optional(value.node_name))},
    "consul": _CONSUL,
    "proxy": _PROXY,
    "status": _STATUS,
    "state": _STATE,
    "app": _APP,
    "app.probe": _PROBE,
    "app.flip": _FLIP,
}


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
    reading = Reading(TABLES)
    settings = _settings(reading, _toml(text, source))
    if reading.problems:
        raise ConfigProblems(source, reading.problems)
    return settings


_RESTART = "restart bgd"


def changed_for_reload(old: Settings, new: Settings) -> tuple[Problem, ...]:
    """What differs that a running daemon cannot take on: each is refused until bgd is restarted."""
    changes = [
        *_changed(old.consul, new.consul, _CONSUL, "consul."),
        *_changed(old.proxy, new.proxy, _PROXY, "proxy."),
        *_changed(old, new, TABLES[""], ""),
        *_changed(old, new, _STATUS, "status."),
        *_changed(old, new, _STATE, "state."),
    ]
    return tuple(Problem(place, f"was {was}, is {now}", _RESTART) for place, was, now in changes)


def _changed(old: object, new: object, table: Table, place: str) -> Iterator[tuple[str, str, str]]:
    for key, (field, _) in table.items():
        was, now = getattr(old, field), getattr(new, field)
        if was != now:
            yield place + key, _shown(was), _shown(now)


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


def _settings(reading: Reading, given: Mapping[str, Any]) -> Settings:
    top = reading.fields(given, "", "", within=("consul", "proxy", "status", "state", "app"))
    consul = ConsulSettings(**reading.inner(given, "consul", "consul", ""))
    proxy = ProxySettings(**reading.inner(given, "proxy", "proxy", ""))
    status = reading.inner(given, "status", "status", "")
    state = reading.inner(given, "state", "state", "")
    apps = _apps(reading, given.get("app"))
    for problems in (check_names(apps), check_tcp(apps), check_binds(apps), check_claims(apps)):
        reading.problems += problems
    if not any(problem.place in ("proxy.file", "proxy.main_file") for problem in reading.problems):
        reading.problems += [*check_folder(proxy), *check_main_file(apps, proxy)]
    return Settings(**top, consul=consul, proxy=proxy, **status, **state, apps=tuple(app for _, app in apps))


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
    fields = reading.fields(given, "app", f"{place}.", within=("probe", "flip"))
    if "name" not in given:
        reading.say(f"{place}.name", "is missing", 'give the app a name: name = "..."')
    if given.keys() & {"bind", "hosts", "paths", "mode"} - fields.keys():
        fields["bind"] = ()  # what it claims is not known, so nothing is said about it
    probe = ProbeSettings(**reading.inner(given, "probe", "app.probe", f"{place}."))
    flip = FlipSettings(**reading.inner(given, "flip", "app.flip", f"{place}."))
    defaults = {"name": "", "service": fields.get("name", "")}
    return place, AppSettings(**{**defaults, **fields}, probe=probe, flip=flip)
