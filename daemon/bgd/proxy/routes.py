"""Which frontend an app is in, and which request is whose.

Rules that live here: binds that are claimed by the same apps make one frontend; an exact host wins
over none, then the longest path; a path counts by whole segments ("/shop" is "/shop" and "/shop/…").
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from bgd.config import AppSettings
from bgd.core.model import Colour
from bgd.proxy.quoting import quote

NOBODY = "bgd.invalid"
"""A host name that no app can claim, for an app that takes every host."""


@dataclass(frozen=True, slots=True)
class Route:
    """Requests of this host (empty: any) beneath this path (empty: any) are the app's."""

    app: str
    host: str
    path: str

    def takes(self, host: str, path: str) -> bool:
        beneath = not self.path or path == self.path or path.startswith(self.path + "/")
        return beneath and self.host in ("", host)

    @property
    def condition(self) -> str:
        """The route as HAProxy's condition; the first route that matches counts."""
        host = f"{{ req.hdr(host),host_only -m str -- {quote(self.host)} }}" if self.host else ""
        if not self.path:
            return host
        exact, beneath = quote(self.path), quote(self.path + "/")
        return f"{host} {{ path -m str -- {exact} }} || {host} {{ path -m beg -- {beneath} }}".strip()


@dataclass(frozen=True)
class Frontend:
    """One frontend: its binds, bgd's own listener in it, and the apps behind it."""

    name: str
    mode: str
    binds: tuple[str, ...]
    socket: Path
    members: tuple[AppSettings, ...]
    number: int = 0
    """Its place among all the frontends of a text, from 1."""

    @property
    def apps(self) -> tuple[str, ...]:
        return tuple(app.name for app in self.members)

    @cached_property
    def routes(self) -> list[Route]:
        """Last the one that takes the most, so that the first that matches is the right one."""
        if not self.binds:
            return [Route(app.name, "", "") for app in self.members]
        found = [route for app in self.members for route in _routes(app)]
        return sorted(found, key=lambda route: (not route.host, -len(route.path), route.app, route.host))

    @property
    def tcp_lines(self) -> list[str]:
        """HAProxy asks these before any other rule, wherever they stand, and warns if not written so."""
        return [line for line in self._all_lines() if line.startswith("tcp-request")]

    @property
    def lines(self) -> list[str]:
        return [line for line in self._all_lines() if not line.startswith("tcp-request")]

    def rehearsal(self, colour: Colour) -> Path:
        """A listener that leads to the colour whatever the map says, for an app without headers."""
        return self.socket.with_name(f"{self.name}_{colour}.sock")

    def door(self, app: AppSettings) -> tuple[str, str]:
        """A host and a path that this frontend takes as the app's; its probe's path where that is one."""
        paths = [path for path in (app.probe.path, *app.paths, "/") if path]
        hosts = [host.lower() for host in app.hosts] or [NOBODY]
        doors = [(host, path) for host in hosts for path in paths]
        return next((door for door in doors if self._owner(*door) == app.name), doors[0])

    def _owner(self, host: str, path: str) -> str:
        bare = path.partition("?")[0]
        return next((route.app for route in self.routes if route.takes(host, bare)), "")

    def _all_lines(self) -> Iterable[str]:
        return (line.strip() for app in self.members for line in app.lines)


def frontends(apps: Sequence[AppSettings], folder: Path) -> list[Frontend]:
    """Every frontend that these apps need, in a lasting order."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for bind, names in _claims(apps).items():
        groups.setdefault(tuple(names), []).append(bind)
    settings = {app.name: app for app in apps}
    made: list[Frontend] = []
    for members, binds in sorted(groups.items()):
        made.append(_frontend([settings[name] for name in members], binds, folder, made))
    alone = [app for app in apps if not app.bind]
    made += [_frontend([app], [], folder, made) for app in sorted(alone, key=lambda app: app.name)]
    return [replace(front, number=number) for number, front in enumerate(made, start=1)]


def _claims(apps: Sequence[AppSettings]) -> dict[str, list[str]]:
    claims: dict[str, list[str]] = {}
    for app in sorted(apps, key=lambda app: app.name):
        for bind in sorted(set(app.bind)):
            claims.setdefault(bind, []).append(app.name)
    return claims


def _frontend(
    members: Sequence[AppSettings], binds: Sequence[str], folder: Path, made: Sequence[Frontend]
) -> Frontend:
    earlier = sum(front.members[0].name == members[0].name for front in made)
    name = f"bgd_{members[0].name}" + (f"_{earlier + 1}" if earlier else "")
    return Frontend(name, members[0].mode, tuple(binds), folder / f"{name}.sock", tuple(members))


def _routes(app: AppSettings) -> list[Route]:
    paths = [path.rstrip("/") for path in app.paths] or [""]
    return [
        Route(app.name, host, path)
        for host in sorted({host.lower() for host in app.hosts}) or [""]
        for path in sorted(set(paths))
    ]
