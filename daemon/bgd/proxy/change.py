"""The proxy room's door: look, flip and sync, each ending in a value and never in an exception.

Rules that live here: a flip at runtime never waits for a check or a reload, and one made beside a reload
is proved again after it; what stands in the file is what runs; what is already right is not touched;
what could not be proved is put back as it was. Flips that need a reload share one.
"""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from bgd.config import AppSettings, ProxySettings
from bgd.core.draining import Drain
from bgd.core.events import ProxyLost, ProxySeen
from bgd.core.model import Colour, Wanted
from bgd.core.permission import Permission
from bgd.core.reasons import Because
from bgd.ports import Failed, Forecast, Post, Proved
from bgd.proxy import forecasting, knock
from bgd.proxy.adapter import Adapter, Running, RunningServer
from bgd.proxy.blocks import NO_SERVERS, Block, Servers
from bgd.proxy.draining import Draining
from bgd.proxy.errors import WorldError
from bgd.proxy.names import backend
from bgd.proxy.permitting import Permitting
from bgd.proxy.render import Renderer
from bgd.proxy.structure import Structure, Watcher
from bgd.proxy.traffic import Traffic


class Change:
    """One proxy on this host, by its adapter: what it decides, and how that is changed."""

    def __init__(
        self,
        settings: ProxySettings,
        adapter: Adapter,
        apps: Sequence[AppSettings],
        node: str,
        observer: Watcher,
        log: Any,
    ) -> None:
        self._settings, self._node, self._observer, self._log = settings, node, observer, log
        self._adapter = adapter
        self._apps = {app.name: app for app in apps}
        self._structure = Structure(settings, adapter, self._renderer(), observer, log)
        self._structure.remember(
            {app.name: Block(app, self._structure.servers_of_text(app.name)) for app in apps}
        )
        self._flipped: dict[str, tuple[float, Wanted]] = {}
        self._told = ""
        self._traffic = Traffic()
        self._uncounted = ""
        self._draining = Draining(adapter, observer, log)
        self._permitting = Permitting(adapter, log)
        self._structure.on_reloaded = self._permitting.again

    def reconfigure(self, apps: Sequence[AppSettings]) -> None:
        """Take new settings and read the templates anew; the next sync brings them into the proxy."""
        self._apps = {app.name: app for app in apps}
        self._structure.vetting.newest = self._renderer()

    def render(self, app: str | None = None) -> str:
        """The text of bgd's part with every app (or one), with what servers are known. Raises WorldError."""
        names = [app] if app else list(self._apps)
        blocks = self._structure.with_live({name: self._block(name, None) for name in names}, {})
        return "".join(self._structure.vetting.newest.page(blocks).texts.values())

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

    def notes(self) -> list[str]:
        """What is no fault but may surprise, a sentence each."""
        return self._adapter.notes()

    def look(self, post: Post) -> None:
        """Ask the running proxy what it decides and what it has answered, and post what it says."""
        asked_s = time.monotonic()
        try:
            self._structure.finish_removals()
            running = self._adapter.running()
        except OSError as error:
            post(ProxyLost(asked_s, str(error)))
            return
        self._permitting.seen(running.pid)
        old_workers = self._adapter.old_workers()
        self._observer.old_workers(old_workers)
        decided = self._decided(running)
        post(ProxySeen(asked_s, decided, old_workers, running.version))
        self._draining.look(decided, self._permitting.apps, post)
        self._count(post)

    def _count(self, post: Post) -> None:
        """Post what each colour has answered, of the apps whose traffic is judged."""
        judged = {name: app for name, app in self._apps.items() if app.revert.judges_traffic}
        if not judged:
            return
        asked_s = time.monotonic()
        try:
            counted = self._adapter.traffic(judged)
        except OSError as error:
            self._say_uncounted(str(error))
            return
        self._say_uncounted("")
        for seen in self._traffic.seen(judged, counted, asked_s=asked_s, now_s=time.monotonic()):
            post(seen)

    def permit(self, permitted: Mapping[str, Permission]) -> None:
        """From now on the proxy may leave live by itself in exactly these apps."""
        self._permitting.tell(permitted)

    def _say_uncounted(self, why: str) -> None:
        if why and why != self._uncounted:
            self._log.warning("traffic unknown", detail=why)
        self._uncounted = why

    def flip(self, app: str, colour: Colour, wanted: Wanted | None) -> Proved | Failed:
        """Make the proxy decide `colour` for `app`, prove it, else restore what was."""
        started_s = time.monotonic()
        try:
            with self._draining.flipping(app, colour):
                via = self._flip(app, colour, wanted)
        except WorldError as error:
            return error.failed
        except OSError as error:
            return Failed(Because.PROXY_LOST, str(error))
        finally:
            self._traffic.changed(app, time.monotonic())
        return Proved(via, round((time.monotonic() - started_s) * 1000, 3))

    def forecast(self, app: str, colour: Colour, wanted: Wanted | None, *, diff: bool) -> Forecast | Failed:
        """What a flip to `colour` would do now, checked by the proxy itself; nothing is changed."""
        try:
            at_runtime, block = self._can_at_runtime(app, colour, wanted), self._block(app, wanted)
            texts = forecasting.texts(self._structure, self._adapter, block, colour, reloads=not at_runtime)
        except WorldError as error:
            return error.failed
        except OSError as error:
            return Failed(Because.PROXY_LOST, str(error))
        via, by = ("runtime", f"by {self._adapter.decides_by}") if at_runtime else ("reload", "by a reload")
        left = self._draining.left(app, colour.other) if app in self._structure.good else 0
        return Forecast(via, by, left, forecasting.difference(*texts) if diff else "")

    def count(self, drains: Mapping[str, Drain]) -> None:
        """From now on each look counts what is open on these apps, and cuts what is due."""
        self._draining.tell(drains)

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
        return Renderer(self._settings.templates, self._adapter, node=self._node)

    def _block(self, app: str, want: Wanted | None) -> Block:
        """An app as it is wanted. Raises WorldError when the configuration has dropped it meanwhile."""
        settings = self._apps.get(app)
        if settings is None:
            raise WorldError(Because.CHECK_FAILED, f"{app} is not configured any more")
        good = self._structure.good.get(app)
        servers = {**NO_SERVERS, **(good.servers if good else {}), **(want.servers if want else {})}
        held = {colour: frozenset(servers[colour]) for colour in Colour}
        return Block(settings, held, self._down(held, want, good.down if good else frozenset()))

    def _down(self, held: Servers, want: Wanted | None, before: frozenset[str]) -> frozenset[str]:
        """Who is not to be asked: known to be sick, while others of the colour are known to be healthy."""
        if self._adapter.checks_health:
            return frozenset()
        found: set[str] = set()
        for servers in held.values():
            names = {server.name for server in servers}
            sick = before if want is None or not names & want.healthy else want.sick
            found |= names & sick
        return frozenset(found)

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
        """What the serving worker decides; nothing when its structure is not the file's."""
        known = self._structure.is_ours(running.structure)
        expected = known or not self._structure.good
        title = self._adapter.title
        self._tell("" if expected else f"{title} runs structure {running.structure}, not the file's")
        return self._structure.decided(running) if known else {}

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
        if app in self._structure.good and app not in self._structure.by_text:
            if self._at_runtime(app, colour, want):
                return "runtime"
            # Workers that run must not decide for a colour whose servers only the next ones have.
            self._structure.admit(app, self._block(app, want))
            if self._at_runtime(app, colour, want):
                return "reload"
        self._by_reload(app, colour, want)
        return "reload"

    def _at_runtime(self, app: str, colour: Colour, want: Wanted | None) -> bool:
        """Flip in the running workers; False when they have another structure, or cannot have the servers."""
        structure = self._structure
        beside, begun = structure.reloads.under_way, structure.reloads.begun
        marker, servers = self._adapter.glance(app, colour)
        if not structure.is_ours(marker) or self._must_reload(want, colour, servers):
            return False
        steps = self._steps(app, colour, want, servers)
        if steps:
            structure.brought[app] = self._block(app, want)
            self._adapter.carry_out(steps)
        if _answers(want, colour):
            self._ask_beforehand(app, colour, want, rehearse=bool(steps))
        before = structure.colours.note(app, colour)
        try:
            if beside:
                structure.colours.write()
            self._adapter.point(app, colour)
            if not beside:
                structure.colours.write()
            self._prove_beside(app, colour, want, begun)
        except (WorldError, OSError):
            structure.colours.put_back(app, before)
            raise
        return True

    def _can_at_runtime(self, app: str, colour: Colour, want: Wanted | None) -> bool:
        """Whether the running workers have all that a flip needs."""
        if app not in self._structure.good or app in self._structure.by_text:
            return False
        marker, servers = self._adapter.glance(app, colour)
        return self._structure.is_ours(marker) and not self._must_reload(want, colour, servers)

    def _must_reload(self, want: Wanted | None, colour: Colour, now: Mapping[str, RunningServer]) -> bool:
        """Whether the colour's servers cannot come in at runtime."""
        servers = want.servers.get(colour, frozenset()) if want else frozenset()
        return self._adapter.needs_reload(servers, now, want.healthy if want else frozenset())

    def _ask_beforehand(self, app: str, colour: Colour, want: Wanted | None, *, rehearse: bool) -> None:
        """No request is to meet a colour that has died since its last probe.

        Servers that the proxy has had for a while are not asked for an answer, which may take its time;
        that they take a connection is known at once.
        """
        if rehearse:
            self._adapter.rehearse(self._structure.good[app].settings, colour, self._structure.fronts(app))
            return
        healthy = (
            [server for server in want.servers.get(colour, ()) if server.name in want.healthy] if want else []
        )
        if knock.all_refuse(healthy):
            detail = f"every healthy server of {backend(app, colour)} refuses connections"
            raise WorldError(Because.NOT_PROVED, detail)

    def _prove_beside(self, app: str, colour: Colour, want: Wanted | None, begun: int) -> None:
        """A reload beside the flip may have read the map before it, or move what is asked: what is shown
        after it counts."""
        reloads = self._structure.reloads
        try:
            self._prove(app, colour, want)
        except (WorldError, OSError):
            if not reloads.under_way and reloads.begun == begun:
                raise
        else:
            if self._adapter.decides_over_reloads and app not in self._structure.by_text:
                return
        while reloads.under_way or reloads.begun != begun:
            begun = reloads.begun
            reloads.wait_out(self._adapter.reload_deadline_s + 2)
            self._adapter.point(app, colour)
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
            *self._adapter.joins(name, written, servers, now, want.healthy),
            *self._adapter.revivals(name, now, want.healthy),
        ]

    def _by_reload(self, app: str, colour: Colour, want: Wanted | None) -> None:
        before = self._structure.admit(app, self._block(app, want), colour)
        try:
            self._prove(app, colour, want)
        except (WorldError, OSError):
            self._structure.put_back(app, before)
            raise

    def _prove(self, app: str, colour: Colour, want: Wanted | None) -> None:
        settings, answered = self._structure.good[app].settings, _answers(want, colour)
        self._adapter.prove(settings, colour, self._structure.fronts(app), node=self._node, answered=answered)


def _answers(want: Wanted | None, colour: Colour) -> bool:
    """Whether a server of the colour must answer: one is healthy by own probes."""
    return want is not None and any(server.name in want.healthy for server in want.servers.get(colour, ()))
