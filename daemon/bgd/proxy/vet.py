"""Which blocks may stand in the file: all that the proxy accepts, and of the others their last good.

Rules that live here: one app's bad block never holds up another's; an app whose new settings are
refused keeps its old ones with its new servers; what fails without any change is nobody's fault;
templates that are refused leave the last good ones at work.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from bgd.core.reasons import Because
from bgd.ports import Failed
from bgd.proxy.adapter import Texts
from bgd.proxy.blocks import Block, Blocks
from bgd.proxy.errors import WorldError
from bgd.proxy.render import Page, Renderer

Check = Callable[[Texts], str | None]
Render = Callable[[Blocks], Page]


@dataclass(frozen=True, slots=True)
class Vetted:
    """A page, the blocks it is made from, and the apps that are not in it as they were wanted.

    `fit` is False when even the last good blocks do not pass: then nothing may be written.
    """

    page: Page
    blocks: Blocks
    failed: Mapping[str, Failed] = field(default_factory=dict)
    fit: bool = True


def vet(targets: Blocks, good: Blocks, *, render: Render, check: Check, standing: Texts) -> Vetted:
    """Find what of the targets may stand. What stands in the file already has passed before."""
    page = render(targets)
    if page.texts == standing:
        return Vetted(page, targets)
    words = check(page.texts)
    return Vetted(page, targets) if words is None else _sift(targets, good, words, render, check)


def _sift(targets: Blocks, good: Blocks, words: str, render: Render, check: Check) -> Vetted:
    accepted = {app: good[app] for app in targets if app in good}
    changed = [app for app in targets if targets[app] != good.get(app)]
    base_words = check(render(accepted).texts) if changed else words
    if base_words is not None:
        failed = {app: Failed(Because.CHECK_FAILED, base_words) for app in targets}
        return Vetted(render(targets), targets, failed, fit=False)
    failed = {}
    for app in changed:
        for candidate in _candidates(targets[app], good.get(app)):
            refused = check(render({**accepted, app: candidate}).texts)
            if refused is None:
                accepted[app] = candidate
                break
            failed.setdefault(app, Failed(Because.CHECK_FAILED, refused))
    return Vetted(render(accepted), accepted, failed)


def _candidates(target: Block, good: Block | None) -> Iterator[Block]:
    yield target
    if good and good.settings != target.settings and good.servers != target.servers:
        yield target.with_settings(good.settings)


class Vetting:
    """Vets with the newest templates, and while those are refused with the last that were not."""

    def __init__(self, renderer: Renderer, check: Check) -> None:
        self.newest = renderer
        self._steady = self._used = renderer
        self._check = check

    def aside(self) -> "Vetting":
        """The same templates, for what is only tried: nothing of it is remembered here."""
        steady, newest = self._steady, self.newest
        tried = Vetting(steady.aside(), self._check)
        tried.newest = tried._steady if newest is steady else newest.aside()
        return tried

    def vet(self, targets: Blocks, good: Blocks, standing: Texts) -> Vetted:
        """Find what of the targets may stand. Raises WorldError when no template renders."""
        refused: Mapping[str, Failed]
        self._used = self.newest
        try:
            found = vet(targets, good, render=self.newest.page, check=self._check, standing=standing)
        except WorldError as error:
            refused = dict.fromkeys(targets, error.failed)
            if self._steady is self.newest:
                raise
        else:
            refused = found.failed
            if found.fit or self._steady is self.newest:
                return self._told(found)
        self._used = self._steady
        older = vet(targets, good, render=self._steady.page, check=self._check, standing=standing)
        return self._told(replace(older, failed={**older.failed, **refused}))

    def _told(self, found: Vetted) -> Vetted:
        """The blocks know their live colour where this very text names it."""
        named = self._used.names_live(found.blocks)
        blocks = {
            app: block if app in named else block.with_live(None) for app, block in found.blocks.items()
        }
        return replace(found, blocks=blocks)

    def took(self) -> None:
        """What was vetted last stands and serves."""
        self._steady = self._used

    def names_live(self, blocks: Blocks) -> frozenset[str]:
        """The apps whose live colour the text names, by the templates that may come to stand.

        Templates that do not render tell nothing: the vetting will have a word for them.
        """
        named: frozenset[str] = frozenset()
        for renderer in (self._steady, self.newest):
            with suppress(WorldError):
                named |= renderer.names_live(blocks)
        return named

    def written(self, block: Block) -> Mapping[str, Mapping[str, str]]:
        """How an app's servers are written."""
        return self._steady.page({block.settings.name: block}).servers
