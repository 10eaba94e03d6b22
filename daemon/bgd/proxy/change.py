"""The proxy room's door: look, flip and sync, each ending in a value and never in an exception.

Rules that live here: a flip by map never waits for a check or a reload, and one made beside a reload
is proved again after it; what stands in the file is what runs; what is already right is not touched;
what could not be proved is put back as it was. Flips that need a reload share one.
"""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from bgd.config import AppSettings, ProxySettings
from bgd.core.events import ProxyLost, ProxySeen
from bgd.core.model import Colour, Wanted
from bgd.core.reasons import Because
from bgd.ports import Failed, Post, Proved
from bgd.proxy import haproxy, proof
from bgd.proxy.blocks import NO_SERVERS, Block
from bgd.proxy.errors import WorldError
from bgd.proxy.haproxy import HAProxy, Running
from bgd.proxy.render import Renderer, backend, by_name
from bgd.proxy.runtime import RunningServer
from bgd.proxy.structure import Structure, Watcher


class Change:
    """One HAProxy on this host: what it decides, and how that is changed."""

    def __init__(
        self, settings: ProxySettings, apps: Sequence[AppSettings], node: str, observer: Watcher, log: Any
    ) -> None:
        self._settings, self._node, self._observer, self._log = settings, node, observer, log
        self._proxy = HAProxy(settings)
        self._apps = {app.name: app for app in apps}
        self._structure = Structure(settings, self._proxy, self._renderer(), observer, log)
        self._structure.remember(
            {app.name: Block(app, self._structure.servers_of_text(app.name)) for app in apps}
        )
        self._flipped: dict[str, tuple[float, Wanted]] = {}
        self._told = ""

    def reconfigure(self, apps: Sequence[AppSettings]) -> None:
        """Take new settings and read the templates anew; the next sync brings them into the proxy."""
        self._apps = {app.name: app for app in apps}
        self._structure.vetting.newest = self._renderer()

    def render(self, app: str | None = None) -> str:
        """The text of bgd's part with every app (or one), with what servers are known. Raises WorldError."""
        names = [app] if app else list(self._apps)
        return self._structure.vetting.newest.page({name: self._block(name, None) for name in names}).text

    def check(self) -> list[str]:
        """What is wrong with bgd's part when every app is in it, a sentence each."""
        try:
            failed = self._structure.judge({name: self._block(name, None) for name in self._apps})
        except WorldError as error:
            return [error.failed.detail]
        details: dict[str, list[str]] = {}
        for app, failure in failed.items():
            details.setdefault(failure.detail, []).append(app)
        return [f"app {', '.join(names)}: {detail}" for detail, names in details.items()]

    def look(self, post: Post) -> None:
        """Ask the running proxy what it decides; post ProxySeen or ProxyLost."""
        asked_s = time.monotonic()
        try:
            self._structure.finish_removals()
            running = self._proxy.running()
        except OSError as error:
            post(ProxyLost(asked_s, str(error)))
            return
        old_workers = self._proxy.old_workers()
        self._observer.old_workers(old_workers)
        post(ProxySeen(asked_s, self._decided(running), old_workers, running.version))

    def flip(self, app: str, colour: Colour, wanted: Wanted | None) -> Proved | Failed:
        """Make the proxy decide `colour` for `app`, prove it, else restore what was."""
        started_s = time.monotonic()
        try:
            via = self._flip(app, colour, wanted)
        except WorldError as error:
            return error.failed
        except OSError as error:
            return Failed(Because.PROXY_LOST, str(error))
        return Proved(via, round((time.monotonic() - started_s) * 1000, 3))

    def sync(self, wanted: Mapping[str, Wanted | None]) -> Mapping[str, Failed]:
        """Bring servers and structure in step with `wanted`; the apps that could not be, with why."""
        asked_s = time.monotonic()
        for app, want in wanted.items():
            if want is not None:
                self._structure.healthy[app] = want.healthy
        try:
            return self._structure.settle(partial(self._targets, wanted, asked_s))
        except WorldError as error:
            return dict.fromkeys(wanted, error.failed)
        except OSError as error:
            return dict.fromkeys(wanted, Failed(Because.PROXY_LOST, str(error)))

    def _renderer(self) -> Renderer:
        return Renderer(
            self._settings.templates,
            self._proxy.template,
            folder=self._proxy.folder,
            map_file=self._proxy.map_file,
            node=self._node,
        )

    def _block(self, app: str, want: Wanted | None) -> Block:
        good = self._structure.good.get(app)
        servers = {**NO_SERVERS, **(good.servers if good else {}), **(want.servers if want else {})}
        return Block(self._apps[app], {colour: frozenset(servers[colour]) for colour in Colour})

    def _targets(
        self, wanted: Mapping[str, Wanted | None], asked_s: float, good: Mapping[str, Block], running: Running
    ) -> dict[str, Block] | None:
        """Only apps that the proxy has: a sync brings in none that nobody has flipped yet.

        What a flip brought meanwhile is newer than what this sync was asked for, so a configured app
        that is not in it is kept, not taken out. An app that serves although all of bgd's files are lost
        is kept as it is wanted; while that is not known (None), nothing at all may be changed. Before the
        first flip there is nothing to do either.
        """
        targets = {}
        unknown = [app for app in self._apps if app in running.decides and app not in good]
        for app in unknown:
            if (want := wanted.get(app)) is None:
                return None
            targets[app] = self._block(app, want)
        for app, block in good.items():
            if app in self._apps:
                flipped_s, flipped_with = self._flipped.get(app, (0.0, None))
                want = flipped_with if flipped_s > asked_s else wanted.get(app)
                targets[app] = self._block(app, want)
            elif app in wanted:
                targets[app] = block
        nothing_yet = running.structure is None and not self._settings.file.exists()
        return None if nothing_yet and not targets else targets

    def _decided(self, running: Running) -> dict[str, Colour]:
        """What the map in the serving worker says; nothing when its structure is not the file's."""
        known = self._structure.is_ours(running.structure)
        expected = known or not self._structure.good
        self._tell("" if expected else f"HAProxy runs structure {running.structure}, not the file's")
        if not known:
            return {}
        pairs = {(app, colour): backend(app, colour) for app in self._structure.good for colour in Colour}
        return {app: colour for (app, colour), name in pairs.items() if running.decides.get(app) == name}

    def _tell(self, what: str) -> None:
        if what and what != self._told:
            self._log.warning("proxy runs something else", detail=what)
        self._told = what

    # A flip

    def _flip(self, app: str, colour: Colour, want: Wanted | None) -> str:
        if want is not None:
            with self._structure.servers_change:
                self._structure.healthy[app] = want.healthy
                self._flipped[app] = time.monotonic(), want
        if app in self._structure.good and self._by_map(app, colour, want):
            return "runtime"
        self._by_reload(app, colour, want)
        return "reload"

    def _by_map(self, app: str, colour: Colour, want: Wanted | None) -> bool:
        """Flip in the running worker; False when it has another structure than the file."""
        structure, name = self._structure, backend(app, colour)
        beside, begun = structure.reloads.under_way, structure.reloads.begun
        marker, servers = self._proxy.glance(name)
        if not structure.is_ours(marker) or _must_resolve(want, colour, servers):
            return False
        steps = self._steps(app, colour, want, servers)
        self._proxy.carry_out(steps)
        if _answers(want, colour):
            self._ask_beforehand(app, colour, want, rehearse=bool(steps))
        before = structure.colours.note(app, colour)
        try:
            if beside:
                structure.colours.write()
            self._proxy.point(app, name)
            if not beside:
                structure.colours.write()
            self._prove(app, colour, want)
            self._prove_after_reload(app, colour, want, begun)
        except (WorldError, OSError):
            structure.colours.put_back(app, before)
            raise
        return True

    def _ask_beforehand(self, app: str, colour: Colour, want: Wanted | None, *, rehearse: bool) -> None:
        """No request is to meet a colour that has died since its last probe.

        Servers that HAProxy's own checks hold up are not asked for an answer, which may take its time;
        that they take a connection is known at once.
        """
        if rehearse:
            self._proxy.rehearse(self._structure.good[app].settings, colour, self._structure.fronts(app))
            return
        healthy = (
            [server for server in want.servers.get(colour, ()) if server.name in want.healthy] if want else []
        )
        if proof.all_refuse(healthy):
            detail = f"every healthy server of {backend(app, colour)} refuses connections"
            raise WorldError(Because.NOT_PROVED, detail)

    def _prove_after_reload(self, app: str, colour: Colour, want: Wanted | None, begun: int) -> None:
        """A reload beside the flip may have read the map before it: what is shown after it counts."""
        reloads = self._structure.reloads
        while reloads.under_way or reloads.begun != begun:
            begun = reloads.begun
            reloads.wait_out(haproxy.RELOAD_DEADLINE_S + 2)
            self._proxy.point(app, backend(app, colour))
            self._prove(app, colour, want)

    def _steps(
        self, app: str, colour: Colour, want: Wanted | None, now: Mapping[str, RunningServer]
    ) -> list[str]:
        """What the colour's servers need before the first request comes to them."""
        if want is None:
            return []
        name, servers = backend(app, colour), frozenset(want.servers.get(colour, ()))
        missing = any(server.name not in now for server in servers)
        written = self._structure.vetting.written(self._block(app, want))[name] if missing else {}
        return [
            *haproxy.server_steps(name, written, servers, now, want.healthy),
            *haproxy.revivals(name, now, want.healthy),
        ]

    def _by_reload(self, app: str, colour: Colour, want: Wanted | None) -> None:
        before = self._structure.admit(app, self._block(app, want), colour)
        try:
            self._prove(app, colour, want)
        except (WorldError, OSError):
            if before is None:
                self._structure.expel(app)
            else:
                self._structure.colours.put_back(app, before)
            raise

    def _prove(self, app: str, colour: Colour, want: Wanted | None) -> None:
        settings, answered = self._structure.good[app].settings, _answers(want, colour)
        self._proxy.prove(settings, colour, self._structure.fronts(app), node=self._node, answered=answered)


def _answers(want: Wanted | None, colour: Colour) -> bool:
    """Whether a server of the colour must answer: one is healthy by own probes."""
    return want is not None and any(server.name in want.healthy for server in want.servers.get(colour, ()))


def _must_resolve(want: Wanted | None, colour: Colour, now: Mapping[str, RunningServer]) -> bool:
    """A host name that the worker does not have yet can only come with a reload."""
    servers = want.servers.get(colour, ()) if want else ()
    return any(by_name(server) and server.name not in now for server in servers)
