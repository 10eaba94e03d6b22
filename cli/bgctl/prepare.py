"""The first phase of a flip: every member is asked whether it could take it, and answers.

Rules that live here: whoever asks holds the app's preparation, and nobody else asks meanwhile; a wish that
is written meanwhile, by whomever, ends it; however it ends, it is withdrawn.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bgctl import output, progress, rivals, standing, writes
from bgctl.errand import Errand
from bgctl.prepared import Round
from bgctl.standing import App
from bgd.core.model import Preparation

if TYPE_CHECKING:
    from bgd.store.prepares import Held


def carry_out(errand: Errand, seen: App, reason: str) -> None:
    """Both phases: every member's acknowledgement, then the one transaction."""
    with held(errand, seen) as preparation:
        app = acknowledged(errand, seen, preparation)
        names = [member.node for member in Round(preparation.preparation, errand.without).acknowledged(app)]
        output.say(f"{app.name}: prepared on {len(names)}/{len(app.members)}")
        errand.flags = writes.own_flags()
        errand.write(
            app,
            lambda: writes.live(
                errand.call,
                app,
                errand.colour,
                reason=reason,
                force=False,
                flags=errand.flags,
                held=preparation,
                prepared=names,
            ),
        )
        errand.release = preparation.preparation.release


@contextmanager
def held(errand: Errand, app: App, *, dry: bool = False) -> Iterator["Held"]:
    """A preparation of the errand's colour as it is seen now, for as long as this is entered."""
    with errand.call.faults():
        from bgd.store import prepares, records

        releases = standing.asked_for(app, errand.colour, errand.without)
        asked = Preparation(
            id=secrets.token_hex(8),
            colour=errand.colour,
            release=next(iter(releases)) if len(releases) == 1 else None,
            by=writes.author_here(),
            at=records.now_at(),
            dry=dry,
        )
        made = prepares.hold(errand.call.client, app.name, asked)
    if isinstance(made, prepares.Taken):
        raise rivals.in_progress(app.name, made.preparation)
    errand.withdrawn = False
    try:
        yield made
    finally:
        errand.withdrawn = made.end()


def acknowledged(errand: Errand, seen: App, held: "Held") -> App:
    """The app at the moment when every member that is needed has acknowledged."""
    asked = Round(held.preparation, errand.without)
    for app in _while_it_stands(errand, seen, held):
        errand.view.show(progress.preparing(app, asked))
        if ended := asked.refused(app):
            raise ended
        if not asked.waiting(app):
            return app
    assert errand.last is not None, "what is followed is shown once at least"
    raise asked.too_late(errand.last)


def answered(errand: Errand, seen: App, held: "Held") -> App:
    """The app when every member has said something, or as it is when the time is over."""
    asked = Round(held.preparation, errand.without)
    for app in _while_it_stands(errand, seen, held):
        errand.view.show(progress.preparing(app, asked))
        if all(asked.answer(member) for member in app.alive if member.node not in errand.without):
            return app
    assert errand.last is not None, "what is followed is shown once at least"
    return errand.last


def _while_it_stands(errand: Errand, seen: App, held: "Held") -> Iterator[App]:
    for app in errand.follow():
        if rivals.moved(seen.live, app.live):
            raise rivals.superseded(app.name, app.live)
        there = app.ledger.preparation
        if there is None or there.id != held.preparation.id:
            _confirm(errand, app, held)
        yield app


def _confirm(errand: Errand, app: App, held: "Held") -> None:
    """Raise unless the preparation is ours still: what was read may be older than it is."""
    with errand.call.faults():
        taken = held.taken()
    if taken is not None:
        other = taken.preparation
        raise rivals.in_progress(app.name, other) if other else rivals.lost(app.name)
