"""The first phase of a flip: every member is asked whether it could take it, and answers.

Rules that live here: whoever asks holds the app's preparation, and nobody else asks meanwhile; a wish that
is written meanwhile, by whomever, ends it; however it ends, it is withdrawn.
"""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bgctl import output, progress, rivals, standing, writes
from bgctl.errand import Errand
from bgctl.prepared import Round
from bgctl.standing import App
from bgd.core.model import Preparation

if TYPE_CHECKING:
    from bgd.store.prepares import Held

BREATH_S = 0.05
"""After the commit daemons tell nothing for so long (`TELL_S` of their loop), and whatever is asked of Consul
keeps those waiting that are flipping just now."""


def carry_out(errand: Errand, seen: App, reason: str) -> None:
    """Both phases: every member's acknowledgement, then the one transaction."""
    with begun(errand, seen) as phase:
        app = phase.acknowledged()
        names = [member.node for member in phase.asked.acknowledged(app)]
        if names:
            output.say(f"{app.name}: prepared on {len(names)}/{len(app.members)}")
        errand.flags = flags = writes.own_flags()
        errand.write(
            app,
            lambda: writes.live(
                errand.call,
                app,
                errand.colour,
                reason=reason,
                force=False,
                flags=flags,
                held=phase.held,
                prepared=names,
            ),
        )
        errand.release = phase.held.preparation.release
        time.sleep(BREATH_S)


@contextmanager
def begun(errand: Errand, seen: App, *, dry: bool = False) -> Iterator["Phase"]:
    """A preparation of the errand's colour as it is seen now, for as long as this is entered."""
    with errand.call.faults():
        from bgd.store import prepares, records

        releases = standing.asked_for(seen, errand.colour, errand.without)
        preparation = Preparation(
            id=secrets.token_hex(8),
            colour=errand.colour,
            release=next(iter(releases)) if len(releases) == 1 else None,
            by=writes.author_here(),
            at=records.now_at(),
            dry=dry,
        )
        left_s = errand.deadline_s - time.monotonic()
        held = prepares.hold(errand.call.client, seen.name, preparation, within_s=left_s)
    if isinstance(held, prepares.Taken):
        raise rivals.in_progress(seen.name, held.preparation)
    errand.withdrawn = False
    try:
        yield Phase(errand, seen, held, Round(preparation, errand.without))
    finally:
        errand.withdrawn = held.end()


@dataclass(frozen=True, slots=True)
class Phase:
    """A preparation that is under way."""

    errand: Errand
    seen: App
    """The app when it began; the wish is written over that."""
    held: "Held"
    asked: Round

    def acknowledged(self) -> App:
        """The app at the moment when every member that is needed has acknowledged."""
        app = self.seen
        for app in self._while_it_stands():
            if ended := self.asked.refused(app):
                raise ended
            if not self.asked.waiting(app):
                return app
        raise self.asked.too_late(app)

    def answered(self) -> App:
        """The app when every living member has said something, or as it is when the time is over."""
        app = self.seen
        for app in self._while_it_stands():
            asked = (member for member in app.alive if member.node not in self.asked.without)
            if all(self.asked.answer(member) for member in asked):
                return app
        return app

    def _while_it_stands(self) -> Iterator[App]:
        for app in self.errand.follow():
            if rivals.moved(self.seen.live, app.live):
                raise rivals.superseded(app.name, app.live)
            there = app.ledger.preparation
            if there is None or there.id != self.held.preparation.id:
                self._confirm(app)
            self.errand.view.show(progress.preparing(app, self.asked))
            yield app

    def _confirm(self, app: App) -> None:
        """Raise unless the preparation is ours still: what was read may be older than it is."""
        with self.errand.call.faults():
            taken = self.held.taken()
        if taken is not None:
            other = taken.preparation
            raise rivals.in_progress(app.name, other) if other else rivals.lost(app.name)
