"""bgd's part on disk: what stands there, what may, and how the running proxy is brought to it.

Rules that live here: servers come and go at runtime and then in the file, where the proxy can; only
another structure is reloaded; a reload that fails is undone, and if several apps shared it each is tried
alone; one change of structure at a time, while colours change beside it.
"""

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

from bgd.config import ProxySettings
from bgd.core.model import Colour, Server
from bgd.core.reasons import Because
from bgd.ports import Failed
from bgd.proxy import blocks, files, membership, tickets
from bgd.proxy.adapter import Adapter, Running, Texts
from bgd.proxy.blocks import Block, Blocks
from bgd.proxy.colours import Colours
from bgd.proxy.errors import WorldError
from bgd.proxy.membership import NOBODY
from bgd.proxy.names import backend
from bgd.proxy.part import Part
from bgd.proxy.reloads import Reloads
from bgd.proxy.render import Page, Renderer
from bgd.proxy.routes import Frontend, frontends
from bgd.proxy.tickets import Tickets
from bgd.proxy.vet import Vetted, Vetting, vet

TRIES = 3


class Watcher(Protocol):
    """Who is told of reloads, old workers and what was cut. Never blocks."""

    def reloaded(self, result: str) -> None: ...
    def old_workers(self, count: int | None) -> None: ...
    def cut(self, app: str, count: int) -> None: ...


class _Overtaken(Exception):
    """A flip came while a change was being checked: it may have other servers, or another colour."""

    def __str__(self) -> str:
        return "other flips came meanwhile"


class Structure:
    """bgd's part on disk and in the running proxy."""

    def __init__(
        self, settings: ProxySettings, adapter: Adapter, renderer: Renderer, watcher: Watcher, log: Any
    ) -> None:
        self._settings, self._adapter, self._watcher, self._log = settings, adapter, watcher, log
        self.vetting = Vetting(renderer, adapter.check)
        self.colours = Colours(adapter, log)
        self.reloads = Reloads()
        self.healthy: dict[str, frozenset[str]] = {}
        self.brought: dict[str, Block] = {}
        """What flips made at runtime have brought in, as long as the file may lack it."""
        self._blocks_file = adapter.folder / "blocks.json"
        self._one_at_a_time = threading.Lock()
        self.servers_change = threading.Lock()
        """Held for the moment in which servers change, or a flip says which it wants: either the flip
        finds them gone and brings them back, or the change finds the flip and is made anew."""
        self.on_reloaded: Callable[[], None] = lambda: None
        """Called when new workers serve, before anything else is done: they know nothing but the text."""
        self._tickets = Tickets()
        self._leaving: set[tuple[str, str]] = set()
        self._part = Part(adapter)
        texts = self._part.texts()
        self._markers = frozenset({adapter.marker(texts)})
        self.good: dict[str, Block] = {}
        self._coming: frozenset[str] = frozenset()
        self._fronts: dict[str, list[Frontend]] = {}
        self._remembered = blocks.load(self._blocks_file)
        self._written = adapter.written(texts)

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

    @property
    def by_text(self) -> frozenset[str]:
        """Apps whose colour the text names, or is just coming to: the proxy decides as the file says."""
        return self._coming | {app for app, block in self.good.items() if block.live is not None}

    def decided(self, running: Running) -> dict[str, Colour]:
        """What a proxy that has the file's structure decides for each app."""
        found = {app: self.good[app].live or running.decides.get(app) for app in self.good}
        return {app: colour for app, colour in found.items() if colour is not None}

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
                brought = self.brought.copy()
                running = self._adapter.running(servers_too=True)
                targets = wish(self.good, running)
                if targets is None:
                    return {}
                unchanged = partial(_same, wish, dict(self.good), running, targets)
                try:
                    failed = self._settle(targets, {}, running, spare=True, unchanged=unchanged)
                except _Overtaken:
                    continue
                self._has(brought)
                return failed
        return {}  # flips without a pause; the next sync comes soon

    def _has(self, brought: Blocks) -> None:
        """What these flips brought in is in the file, or was changed by a later wish."""
        for app, block in brought.items():
            if self.brought.get(app) is block:
                del self.brought[app]

    def admit(self, app: str, block: Block, colour: Colour | None = None) -> Colour | None:
        """Bring an app's block in, and its colour if one is given, sharing a reload with others that wait.

        Returns the colour before.
        """
        before = self.colours.of(app)
        ticket = self._tickets.draw(app, block, colour)
        with self._one_at_a_time:
            if not ticket.done:
                self._carry_out(self._tickets.take())
        ticket.redeem()
        return before

    def put_back(self, app: str, before: Colour | None) -> None:
        """Undo a flip that was not proved, as far as can be: the colour before, or the app out again."""
        try:
            if before is None:
                self._expel(app)
            elif app in self.by_text:
                with self._one_at_a_time:
                    self._settle(self.good, {app: before})
            else:
                self.colours.put_back(app, before)
        except (WorldError, OSError, _Overtaken) as error:
            self._log.warning("could not put back", app=app, detail=str(error))

    def _expel(self, app: str) -> None:
        with self._one_at_a_time:
            self._settle({name: block for name, block in self.good.items() if name != app}, {})

    def judge(self, targets: Blocks) -> dict[str, Failed]:
        """What the proxy has against these blocks, without changing anything. Raises WorldError."""
        ill = self._adapter.faults(targets)
        fine = self.with_live({app: block for app, block in targets.items() if app not in ill}, {})
        vetted = vet(fine, {}, render=self.vetting.newest.page, check=self._adapter.check, standing={})
        return {**ill, **vetted.failed}

    def standing(self) -> tuple[Texts, Blocks]:
        """bgd's part as it stands between two changes, and what a reload would be made from.

        Raises WorldError when what stands could not be put back.
        """
        with self._one_at_a_time:
            return self._part.standing(), self._to_stand()

    def with_live(
        self, targets: Blocks, colours: Mapping[str, Colour], vetting: Vetting | None = None
    ) -> dict[str, Block]:
        """The blocks with their live colour, where a template's text depends on it."""
        named = (vetting or self.vetting).names_live(targets)
        return {
            app: block.with_live(self._live(app, colours) if app in named else None)
            for app, block in targets.items()
        }

    def _live(self, app: str, colours: Mapping[str, Colour]) -> Colour:
        """The colour that a text is to name: the one wished, the one it names, or what the proxy decides."""
        standing = self.good[app].live if app in self.good else None
        return colours.get(app) or standing or self.colours.of(app) or Colour.BLUE

    def _names_rightly(self, vetted: Vetted, colours: Mapping[str, Colour]) -> bool:
        """Whether the colours that the text names are still the right ones: a flip may have come."""
        return all(block.live in (None, self._live(app, colours)) for app, block in vetted.blocks.items())

    def finish_removals(self) -> None:
        """Delete servers whose last connection has ended by now. Raises OSError."""
        if not self._leaving or not self._one_at_a_time.acquire(blocking=False):
            return
        try:
            self._leaving = self._adapter.remove(self._leaving)
        finally:
            self._one_at_a_time.release()

    def _to_stand(self) -> dict[str, Block]:
        """What is good, with what flips at runtime have brought in since."""
        brought = {app: block for app, block in self.brought.copy().items() if app in self.good}
        return {**self.good, **brought}

    def _carry_out(self, waiting: Mapping[str, tickets.Ticket]) -> None:
        colours = {app: ticket.colour for app, ticket in waiting.items() if ticket.colour}
        targets = {**self._to_stand(), **{app: ticket.block for app, ticket in waiting.items()}}
        failed: Mapping[str, Failed] = {}
        for _ in range(TRIES):
            try:
                failed = self._settle(targets, colours)
            except _Overtaken as error:
                failed = dict.fromkeys(waiting, Failed(Because.RELOAD_FAILED, str(error)))
                continue
            except WorldError as error:
                failed = dict.fromkeys(waiting, error.failed)
            except OSError as error:
                failed = dict.fromkeys(waiting, Failed(Because.PROXY_LOST, str(error)))
            break
        tickets.settle(waiting, failed)

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
        ill = self._adapter.faults(targets)
        targets = {
            app: self.good[app] if app in ill else block
            for app, block in targets.items()
            if app not in ill or app in self.good
        }
        running = running or self._adapter.running(servers_too=True)
        self.colours.adopt(targets, running.decides)
        failed, targets = self._spare(targets, running) if spare else ({}, targets)
        targets = self.with_live(targets, colours)
        standing = self._part.standing()
        vetted = self.vetting.vet(targets, self.good, standing)
        failed = {**ill, **failed, **vetted.failed}
        colours = {app: colour for app, colour in colours.items() if app in vetted.blocks}
        if vetted.page.structure == running.structure:
            return {**failed, **self._at_runtime(vetted, running, colours, standing, unchanged)}
        if not vetted.fit:
            return failed
        well = {
            app: membership.well(block, self.healthy.get(app, NOBODY)) for app, block in vetted.blocks.items()
        }
        if sick_too or not self._adapter.checks_health or well == vetted.blocks:
            return {**failed, **self._anew(vetted, running, colours, standing, unchanged)}
        refused = self._settle(well, colours, unchanged=unchanged)
        later = {} if refused else self._settle(vetted.blocks, {}, sick_too=True, unchanged=unchanged)
        return {**failed, **refused, **later}

    def _spare(self, targets: Blocks, running: Running) -> tuple[dict[str, Failed], dict[str, Block]]:
        """Above the budget of old workers only what traffic needs is reloaded: the rest waits."""
        checks = self._adapter.checks_health
        spared = {
            app: membership.spared(block, self.good.get(app), checks_health=checks)
            for app, block in targets.items()
        }
        changed = [app for app, block in targets.items() if spared[app] != block]
        if not changed or not self.is_ours(running.structure):
            return {}, dict(targets)
        old_workers, most = self._adapter.old_workers(), self._settings.max_old_workers
        if old_workers is None or old_workers <= most:
            return {}, dict(targets)
        detail = f"{old_workers} old workers still finish what they have, at most {most} may for a reload"
        return dict.fromkeys(changed, Failed(Because.TOO_MANY_OLD_WORKERS, detail)), spared

    # At runtime

    def _at_runtime(
        self,
        vetted: Vetted,
        running: Running,
        colours: Mapping[str, Colour],
        standing: Texts,
        unchanged: Callable[[], bool],
    ) -> dict[str, Failed]:
        """The structure serves already: only servers, colours and the file can differ."""
        moves = membership.moves(self._adapter, vetted, running, self.healthy)
        with self.servers_change:
            if not unchanged():
                raise _Overtaken
            refused = self._adapter.carry_out(moves.steps)
            self._leaving = self._adapter.remove(moves.leaving)
        if refused:
            self._log.warning("servers need a reload", detail=refused[0])
            return self._anew(vetted, running, colours, standing, unchanged) if vetted.fit else {}
        for app, colour in colours.items():
            self.colours.note(app, colour)
            if vetted.blocks[app].live is None:
                self._adapter.point(app, colour)
        if vetted.fit:
            self._take(vetted, standing)
        return {}

    def _take(self, vetted: Vetted, standing: Texts) -> None:
        """This is now what stands and what serves. Raises WorldError."""
        self.colours.note_all(self.colours.others(vetted.blocks))
        self.colours.write()
        self._part.swap(vetted.page.texts, standing)
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
        for front in frontends([block.settings for block in self.good.values()], self._adapter.folder):
            for app in front.apps:
                found.setdefault(app, []).append(front)
        return found

    # Anew

    def _anew(
        self,
        vetted: Vetted,
        running: Running,
        colours: Mapping[str, Colour],
        standing: Texts,
        unchanged: Callable[[], bool],
    ) -> dict[str, Failed]:
        """Another structure: swap the file, reload, and set again what the new worker does not know."""
        try:
            with self.reloads.one(), self._naming(vetted):
                self._reload_into(vetted, running, colours, standing, unchanged)
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

    @contextmanager
    def _naming(self, vetted: Vetted) -> Iterator[None]:
        """From now on these apps' colours are in the text: a flip of theirs waits for its turn."""
        self._coming = frozenset(app for app, block in vetted.blocks.items() if block.live is not None)
        try:
            yield
        finally:
            self._coming = frozenset()

    def _reload_into(
        self,
        vetted: Vetted,
        running: Running,
        colours: Mapping[str, Colour],
        standing: Texts,
        unchanged: Callable[[], bool],
    ) -> None:
        if cannot := self._adapter.cannot(vetted.page.texts, standing):
            raise WorldError(Because.RELOAD_FAILED, cannot)
        markers = self._markers
        before: dict[str, Colour | None] = {}
        try:
            with self.servers_change:
                if not unchanged() or not self._names_rightly(vetted, colours):
                    raise _Overtaken
                self._markers = markers | {vetted.page.structure}
                before = self.colours.note_all(colours)
                self.colours.write()
                if vetted.page.texts != standing:
                    self._part.keep(standing)
                    self._part.swap(vetted.page.texts, standing)
            self._adapter.reload(vetted.page.structure, running)
            self.on_reloaded()
        except WorldError:
            self._markers = markers
            self._restore(before, vetted.page, standing)
            raise
        self._take(vetted, vetted.page.texts)
        self._leaving = set()
        self._set_again(vetted)

    def _restore(self, before: Mapping[str, Colour | None], page: Page, standing: Texts) -> None:
        self.colours.note_all(before)
        try:
            self.colours.write()
            self._part.swap(standing, page.texts)
        except (WorldError, OSError) as error:
            self._log.error("could not restore the last good file", detail=str(error))

    def _set_again(self, vetted: Vetted) -> None:
        """Flips made meanwhile, and which servers are not healthy: a new worker knows neither."""
        try:
            self._adapter.carry_out(membership.suppressions(self._adapter, vetted, self.healthy))
            self.colours.set_again(self.by_text)
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
        return good is None or self._adapter.structural(good) != self._adapter.structural(block)


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
    weight = re.search(r"(?:^| )weight[ =]([0-9]{1,3})(?: |$)", written)
    return Server(found[1], int(found[2]), int(weight[1]) if weight else 100) if found else None
