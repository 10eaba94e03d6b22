"""The file and the map: what stands there, what may, and how the running proxy is brought to it.

Rules that live here: servers come and go at runtime and then in the file; only another structure is
reloaded; a reload that fails is undone, and if several apps shared it each is tried alone; one change
of structure at a time, while colours change beside it.
"""

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from bgd.config import ProxySettings
from bgd.core.model import Colour, Server
from bgd.core.reasons import Because
from bgd.ports import Failed
from bgd.proxy import binds, blocks, files
from bgd.proxy.blocks import Block, Blocks
from bgd.proxy.colour_map import ColourMap
from bgd.proxy.errors import WorldError
from bgd.proxy.haproxy import HAProxy, Running, server_steps, suppressions
from bgd.proxy.reloads import Reloads
from bgd.proxy.render import Page, Renderer, backend, by_name, read_marker, read_servers
from bgd.proxy.routes import Frontend, frontends
from bgd.proxy.vet import Vetted, Vetting, faults, vet

TRIES = 3
NOBODY_HEALTHY: frozenset[str] = frozenset()


class Watcher(Protocol):
    """Who is told of reloads and old workers. Never blocks."""

    def reloaded(self, result: str) -> None: ...
    def old_workers(self, count: int | None) -> None: ...


@dataclass(slots=True)
class _Ticket:
    """A flip that waits for the reload that carries it out, perhaps with others."""

    block: Block
    colour: Colour
    failed: Failed | None = None
    done: bool = False


class _Overtaken(Exception):
    """A flip came while a change of servers was being checked."""


class Structure:
    """bgd's part on disk and in the running proxy."""

    def __init__(
        self, settings: ProxySettings, proxy: HAProxy, renderer: Renderer, watcher: Watcher, log: Any
    ) -> None:
        self._settings, self._proxy, self._watcher, self._log = settings, proxy, watcher, log
        self.vetting = Vetting(renderer, proxy.check)
        self.colours = ColourMap(proxy, log)
        self.reloads = Reloads()
        self.healthy: dict[str, frozenset[str]] = {}
        self._blocks_file = proxy.folder / "blocks.json"
        self._one_at_a_time = threading.Lock()
        self.servers_change = threading.Lock()
        """Held for the moment in which servers change, or a flip says which it wants: either the flip
        finds them gone and brings them back, or the change finds the flip and is made anew."""
        self._tickets: dict[str, _Ticket] = {}
        self._leaving: set[tuple[str, str]] = set()
        text = files.read(settings.file) or ""
        self._markers = frozenset({read_marker(text)})
        self.good: dict[str, Block] = {}
        self._fronts: dict[str, list[Frontend]] = {}
        self._remembered = blocks.load(self._blocks_file)
        self._written = read_servers(text)

    def remember(self, blocks_of_text: Blocks) -> None:
        """Which apps the file has, by what was kept of them or else by the file itself."""
        lost = self._markers == {None}
        self.good = {
            app: self._remembered.get(app, block)
            for app, block in blocks_of_text.items()
            if backend(app, Colour.BLUE) in self._written or (lost and app in self._remembered)
        }
        self._fronts = self._make_fronts()

    def servers_of_text(self, app: str) -> blocks.Servers:
        """An app's servers as the file had them at the start."""
        return {
            colour: frozenset(
                server
                for each in self._written.get(backend(app, colour), {}).items()
                if (server := _server(*each)) is not None
            )
            for colour in Colour
        }

    def fronts(self, app: str) -> Sequence[Frontend]:
        """The frontends of an app, as they stand in the file."""
        return self._fronts.get(app, ())

    def is_ours(self, marker: str | None) -> bool:
        """Whether a worker with this marker has the structure that stands in the file."""
        return marker is not None and marker in self._markers

    # Structure

    def settle(self, wish: Callable[[Blocks, Running], dict[str, Block] | None]) -> dict[str, Failed]:
        """Bring file and proxy to what is wished, seeing what is good and what runs.

        Returns what could not be, with why. A wish of None: leave all as it is. A wish that a flip has
        changed while it was being checked is not carried out: the colour's servers may be in use by now.
        """
        with self._one_at_a_time:
            for _ in range(TRIES):
                running = self._proxy.running(servers_too=True)
                targets = wish(self.good, running)
                if targets is None:
                    return {}
                unchanged = partial(_same, wish, dict(self.good), running, targets)
                try:
                    return self._settle(targets, {}, running, spare=True, unchanged=unchanged)
                except _Overtaken:
                    continue
        return {}  # flips without a pause; the next sync comes soon

    def admit(self, app: str, block: Block, colour: Colour) -> Colour | None:
        """Bring an app in with its colour, sharing a reload with others that wait; its colour before."""
        before = self.colours.of(app)
        ticket = self._tickets[app] = _Ticket(block, colour)
        with self._one_at_a_time:
            if not ticket.done:
                self._carry_out_tickets()
        if ticket.failed:
            raise WorldError(ticket.failed.because, ticket.failed.detail)
        return before

    def expel(self, app: str) -> None:
        """Take out an app that was brought in and then not proved, as far as can be."""
        try:
            with self._one_at_a_time:
                self._settle({name: block for name, block in self.good.items() if name != app}, {})
        except (WorldError, OSError) as error:
            self._log.warning("could not take out again", app=app, detail=str(error))

    def judge(self, targets: Blocks) -> dict[str, Failed]:
        """What the proxy has against these blocks, without changing anything. Raises WorldError."""
        ill = faults(targets, self._proxy.folder)
        fine = {app: block for app, block in targets.items() if app not in ill}
        vetted = vet(fine, {}, render=self.vetting.newest.page, check=self._proxy.check, standing=None)
        return {**ill, **vetted.failed}

    def finish_removals(self) -> None:
        """Delete servers whose last connection has ended by now. Raises OSError."""
        if not self._leaving or not self._one_at_a_time.acquire(blocking=False):
            return
        try:
            self._leaving = self._proxy.remove(self._leaving)
        finally:
            self._one_at_a_time.release()

    def _carry_out_tickets(self) -> None:
        tickets = {app: self._tickets.pop(app) for app in list(self._tickets)}
        colours = {app: ticket.colour for app, ticket in tickets.items()}
        targets = {**self.good, **{app: ticket.block for app, ticket in tickets.items()}}
        failed: Mapping[str, Failed]
        try:
            failed = self._settle(targets, colours)
        except WorldError as error:
            failed = dict.fromkeys(tickets, error.failed)
        except OSError as error:
            failed = dict.fromkeys(tickets, Failed(Because.PROXY_LOST, str(error)))
        for app, ticket in tickets.items():
            ticket.failed, ticket.done = failed.get(app), True

    def _settle(
        self,
        targets: Blocks,
        colours: Mapping[str, Colour],
        running: Running | None = None,
        *,
        spare: bool = False,
        sick_too: bool = False,
        unchanged: Callable[[], bool] = lambda: True,
    ) -> dict[str, Failed]:
        ill = faults(targets, self._proxy.folder)
        targets = {
            app: self.good[app] if app in ill else block
            for app, block in targets.items()
            if app not in ill or app in self.good
        }
        running = running or self._proxy.running(servers_too=True)
        self.colours.adopt(targets, running.decides)
        failed, targets = self._spare(targets, running) if spare else ({}, targets)
        standing = files.standing(self._settings.file)
        vetted = self.vetting.vet(targets, self.good, standing)
        failed = {**ill, **failed, **vetted.failed}
        colours = {app: colour for app, colour in colours.items() if app in vetted.blocks}
        if vetted.page.structure == running.structure:
            return {**failed, **self._at_runtime(vetted, running, colours, standing, unchanged)}
        if not vetted.fit:
            return failed
        if not unchanged():
            raise _Overtaken
        well = {app: self._well(app, block) for app, block in vetted.blocks.items()}
        if sick_too or well == vetted.blocks:
            return {**failed, **self._anew(vetted, running, colours, standing)}
        refused = self._settle(well, colours, unchanged=unchanged)
        later = {} if refused else self._settle(vetted.blocks, {}, sick_too=True, unchanged=unchanged)
        return {**failed, **refused, **later}

    def _well(self, app: str, block: Block) -> Block:
        """A new worker takes every server for up: the sick join it afterwards, when they can be put down."""
        healthy = self.healthy.get(app, NOBODY_HEALTHY)
        servers = {
            colour: frozenset(each for each in block.servers[colour] if each.name in healthy or by_name(each))
            for colour in Colour
        }
        kept = {colour: well or block.servers[colour] for colour, well in servers.items()}
        return Block(block.settings, kept)

    def _spare(self, targets: Blocks, running: Running) -> tuple[dict[str, Failed], dict[str, Block]]:
        """Above the budget of old workers only what traffic needs is reloaded: settings wait."""
        changed = [app for app, block in targets.items() if self._other_settings(app, block)]
        if not changed or not self.is_ours(running.structure):
            return {}, dict(targets)
        old_workers, most = self._proxy.old_workers(), self._settings.max_old_workers
        if old_workers is None or old_workers <= most:
            return {}, dict(targets)
        detail = f"{old_workers} old workers still finish what they have, at most {most} may for a reload"
        failed = dict.fromkeys(changed, Failed(Because.TOO_MANY_OLD_WORKERS, detail))
        return failed, {
            **targets,
            **{app: targets[app].with_settings(self.good[app].settings) for app in changed},
        }

    def _other_settings(self, app: str, block: Block) -> bool:
        return app in self.good and self.good[app].settings != block.settings

    # At runtime

    def _at_runtime(
        self,
        vetted: Vetted,
        running: Running,
        colours: Mapping[str, Colour],
        standing: str | None,
        unchanged: Callable[[], bool],
    ) -> dict[str, Failed]:
        """The structure serves already: only servers, colours and the file can differ."""
        steps, leaving = self._server_changes(vetted, running)
        with self.servers_change:
            if not unchanged():
                raise _Overtaken
            refused = self._proxy.carry_out(steps)
            self._leaving = self._proxy.remove(leaving)
        if refused:
            self._log.warning("servers need a reload", detail=refused[0])
            return self._anew(vetted, running, colours, standing) if vetted.fit else {}
        for app, colour in colours.items():
            self.colours.note(app, colour)
            self._proxy.point(app, backend(app, colour))
        if vetted.fit:
            self._take(vetted, standing)
        return {}

    def _server_changes(self, vetted: Vetted, running: Running) -> tuple[list[str], set[tuple[str, str]]]:
        steps: list[str] = []
        leaving: set[tuple[str, str]] = set()
        for app, block in vetted.blocks.items():
            for colour in Colour:
                name = backend(app, colour)
                now, written = running.servers.get(name, {}), vetted.page.servers.get(name, {})
                healthy = self.healthy.get(app, NOBODY_HEALTHY)
                steps += server_steps(name, written, block.servers[colour], now, healthy)
                gone = now.keys() - written.keys()
                steps += [
                    f"set server {name}/{each} state maint"
                    for each in sorted(gone)
                    if not now[each].taken_out
                ]
                leaving |= {(name, each) for each in gone}
        return steps, leaving

    def _take(self, vetted: Vetted, standing: str | None) -> None:
        """This is now what stands and what serves. Raises WorldError."""
        self.colours.note_all(self.colours.others(vetted.blocks))
        self.colours.write()
        if vetted.page.text != standing:
            files.write(self._settings.file, vetted.page.text)
        self.vetting.took()
        self._markers = frozenset({vetted.page.structure})
        changed, self.good = vetted.blocks != self.good, dict(vetted.blocks)
        if changed:
            self._fronts = self._make_fronts()
            try:
                blocks.save(self._blocks_file, self.good)
            except OSError as error:
                raise files.cannot_write(self._blocks_file, error) from error

    def _make_fronts(self) -> dict[str, list[Frontend]]:
        found: dict[str, list[Frontend]] = {}
        for front in frontends([block.settings for block in self.good.values()], self._proxy.folder):
            for app in front.apps:
                found.setdefault(app, []).append(front)
        return found

    # Anew

    def _anew(
        self, vetted: Vetted, running: Running, colours: Mapping[str, Colour], standing: str | None
    ) -> dict[str, Failed]:
        """Another structure: swap the file, reload, and set again what the new worker does not know."""
        try:
            with self.reloads.one():
                self._reload_into(vetted, running, colours, standing)
        except WorldError as error:
            if error.failed.because is Because.RELOAD_FAILED:
                self._watcher.reloaded("failed")
            self._log.warning(
                "structure not changed", because=error.failed.because, detail=error.failed.detail
            )
            return self._each_alone(vetted, colours, error.failed)
        self._watcher.reloaded("done")
        self._log.info("reloaded", structure=vetted.page.structure)
        return {}

    def _reload_into(
        self, vetted: Vetted, running: Running, colours: Mapping[str, Colour], standing: str | None
    ) -> None:
        if cannot := binds.refused(vetted.page.text, standing or ""):
            raise WorldError(Because.RELOAD_FAILED, cannot)
        markers = self._markers
        self._markers = markers | {vetted.page.structure}
        before = self.colours.note_all({**self.colours.others(vetted.blocks), **colours})
        try:
            self.colours.write()
            if vetted.page.text != standing:
                _keep(self._settings)
                files.write(self._settings.file, vetted.page.text)
            self._proxy.reload(vetted.page.structure, running)
        except WorldError:
            self._markers = markers
            self._restore(before, vetted.page, standing)
            raise
        self._take(vetted, vetted.page.text)
        self._leaving = set()
        self._set_again(vetted)

    def _restore(self, before: Mapping[str, Colour | None], page: Page, standing: str | None) -> None:
        self.colours.note_all(before)
        try:
            self.colours.write()
            if standing is None:
                self._settings.file.unlink(missing_ok=True)
            elif standing != page.text:
                files.write(self._settings.file, standing)
        except (WorldError, OSError) as error:
            self._log.error("could not restore the last good file", detail=str(error))

    def _set_again(self, vetted: Vetted) -> None:
        """Flips made meanwhile, and which servers are not healthy: a new worker knows neither."""
        steps = [
            step
            for app, block in vetted.blocks.items()
            for colour in Colour
            for step in suppressions(
                backend(app, colour), block.servers[colour], self.healthy.get(app, NOBODY_HEALTHY)
            )
        ]
        try:
            self._proxy.carry_out(steps)
            self.colours.set_again()
        except OSError as error:
            raise WorldError(Because.PROXY_LOST, str(error)) from error

    def _each_alone(self, vetted: Vetted, colours: Mapping[str, Colour], failed: Failed) -> dict[str, Failed]:
        """The one that the proxy cannot start with must not hold up the others."""
        changed = [app for app, block in vetted.blocks.items() if self._needs_reload(app, block)]
        if len(changed) < 2 or failed.because is not Because.RELOAD_FAILED:
            return dict.fromkeys(changed or vetted.blocks, failed)
        found: dict[str, Failed] = {}
        for app in changed:
            own = {app: colours[app]} if app in colours else {}
            found |= self._settle({**self.good, app: vetted.blocks[app]}, own)
        return found

    def _needs_reload(self, app: str, block: Block) -> bool:
        good = self.good.get(app)
        if good is None or good.settings != block.settings:
            return True
        return any(
            set(filter(by_name, good.servers[c])) != set(filter(by_name, block.servers[c])) for c in Colour
        )


def _same(
    wish: Callable[[Blocks, Running], dict[str, Block] | None],
    good: Blocks,
    running: Running,
    targets: Blocks,
) -> bool:
    return wish(good, running) == targets


def _server(name: str, written: str) -> Server | None:
    """A server of bgd's own; None for one that a template of the host adds."""
    found = re.fullmatch(r"(\S+):([0-9]{1,5})", name)
    weight = re.search(r"(?:^| )weight ([0-9]{1,3})(?: |$)", written)
    return Server(found[1], int(found[2]), int(weight[1]) if weight else 100) if found else None


def _keep(settings: ProxySettings) -> None:
    try:
        files.keep(settings.file, settings.file.with_suffix(".good"))
    except OSError as error:
        raise files.cannot_write(settings.file, error) from error
