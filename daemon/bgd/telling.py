"""What the loop tells of what it knows and does: reports, metrics, the log, and the fleet's history.

Rules that live here: a report is published only when its meaning changed; of an action the log says how it
ended; the history is offered by whoever proves a generation, together with the wishes that were overtaken
before anybody here had proved them.
"""

from collections.abc import Mapping
from typing import Any

import structlog

from bgd.core.actions import Action, Confirm, FallBack, Flip, Hold, Revert, Take, Touch, Write
from bgd.core.advance import Failed, Written
from bgd.core.knowledge import Knowledge, Wish
from bgd.core.model import Colour, Desired, OrderKind, Serving
from bgd.core.report import report
from bgd.core.snapshot import Snapshot
from bgd.hands import Finished, Wrote
from bgd.ports import Clock, Observer, Store

MOST_PASSED = 20


class Teller:
    """Of all apps, each apart. Used by the loop's thread alone."""

    def __init__(self, *, version: str, store: Store, observer: Observer, clock: Clock) -> None:
        self._version, self._store, self._observer, self._clock = version, store, observer, clock
        self._log = structlog.get_logger("loop")
        self.proxy_version = ""
        self._held: dict[str, Hold] = {}
        self._published: dict[str, Mapping[str, Any]] = {}
        self._passed: dict[str, list[Desired]] = {}
        self._unrecorded: dict[str, list[tuple[int, dict[str, Any]]]] = {}
        """What is for the history. It waits until the app is told of: other nodes may be flipping still."""

    def report(self, snapshot: Snapshot, action: Action) -> None:
        """Publish the app's report, if it says something new; then what it has done for the history."""
        app = snapshot.app
        told = report(
            snapshot, action, version=self._version, proxy=self.proxy_version, shown=self._clock.shown
        )
        if told != self._published.get(app):
            self._published[app] = told
            dated = {**told, "at": self._clock.at()}
            self._observer.reported(app, dated)
            self._store.publish(app, dated)
        for generation, event in self._unrecorded.pop(app, ()):
            self._store.record(app, generation, event)

    def count(self, k: Knowledge) -> None:
        """Show how many backends are in which state."""
        for colour in Colour:
            known = [found.healthy for found in k.healths[colour].values()]
            states = {
                "healthy": known.count(True),
                "unhealthy": known.count(False),
                "unknown": known.count(None),
                "objected": sum(bool(each.objection) for each in k.backends[colour]),
            }
            self._observer.counted(k.app, colour, states)

    def decided(self, app: str, action: Action) -> None:
        """A hold is logged when it is another one than before; a write when it begins."""
        if not isinstance(action, Hold):
            self._held.pop(app, None)
        elif self._held.get(app) != action:
            self._held[app] = action
            self._log.info("hold", app=app, because=action.because.value, detail=action.detail)

    def learnt(self, before: Knowledge, after: Knowledge) -> None:
        """Remember a wish that was overtaken before it was proved here, and say what is left out."""
        if before.wish is not None and not before.served and _overtaken(before.wish.desired, after.wish):
            passed = self._passed.setdefault(after.app, [])
            passed.append(before.wish.desired)
            del passed[:-MOST_PASSED]
        if after.left_out != before.left_out:
            self._log.warning("backends left out", app=after.app, left_out=after.left_out)

    def finished(self, letter: Finished, before: Knowledge, now_s: float) -> None:
        """An action on this node has ended."""
        name = _name(letter.action)
        match letter.outcome:
            case Failed(because, detail):
                self._log.error(f"{name} failed", app=letter.app, because=because.value, detail=detail)
            case Serving() as serving:
                self._log.info(
                    f"{name} proved",
                    app=letter.app,
                    colour=serving.colour.value,
                    generation=serving.generation,
                    via=serving.via,
                )
                if isinstance(letter.action, Flip | Take):
                    self._record(before, letter.action, serving)
        if isinstance(letter.action, Flip | FallBack):
            self._count_flip(letter, before, now_s)

    def wrote(self, letter: Wrote) -> None:
        """A write for the fleet has ended."""
        name, action, outcome = _name(letter.action), letter.action, letter.outcome
        said = {"app": letter.app, "generation": action.desired.generation}
        match outcome:
            case Failed(because, detail):
                self._log.error(f"{name} not written", **said, because=because.value, detail=detail)
            case Written(generation):
                say = self._log.info if isinstance(action, Confirm) else self._log.warning
                say(f"{name} written", **said, made=generation, **_told(action))
                if isinstance(action, Revert):
                    self._observer.reverted(letter.app, "traffic" if action.by_traffic else "probes")
            case _:
                self._log.info(f"{name} overtaken", **said)

    def forget(self, app: str) -> None:
        """The app is gone: so is what was said of it."""
        self._observer.forgotten(app)
        for memo in (self._held, self._published, self._passed, self._unrecorded):
            memo.pop(app, None)

    def _count_flip(self, letter: Finished, before: Knowledge, now_s: float) -> None:
        """Only what carries out a wish has a time that is the wish's."""
        if isinstance(letter.outcome, Failed):
            self._observer.flipped(letter.app, letter.outcome.because.value, "", 0.0)
            return
        fell = isinstance(letter.action, FallBack)
        back = before.serving is not None and before.serving.fallback
        result = "fallback" if fell else "return" if back else "proved"
        took_s = now_s - before.wish.seen_s if before.wish else 0.0
        self._observer.flipped(letter.app, result, letter.outcome.via, took_s)

    def _record(self, before: Knowledge, action: Flip | Take, serving: Serving) -> None:
        """Offer the history entry of a proved generation; the first node's counts."""
        served, at = _before(before.serving), self._clock.at()
        pages = self._unrecorded.setdefault(before.app, [])
        for passed in self._passed.pop(before.app, []):
            if passed.generation < action.desired.generation:  # else the store went back
                told = {**_event(passed, served, at), "outcome": "superseded"}
                pages.append((passed.generation, told))
        took_ms = serving.took_ms if isinstance(action, Flip) else None
        event = {**_event(action.desired, served, at), "release": serving.release, "took_ms": took_ms}
        pages.append((action.desired.generation, event))


def _before(serving: Serving | None) -> Colour | None:
    """The colour that was live; a fallback from it is this node's own affair."""
    if serving is None:
        return None
    return serving.colour.other if serving.fallback else serving.colour


def _overtaken(passed: Desired, wish: Wish | None) -> bool:
    """Whether another wish stands now, other than as its decline: who wrote that tells it, and why."""
    if wish is None or wish.desired == passed:
        return False
    order = wish.desired.order
    return not (order and order.kind is OrderKind.DECLINED and order.after == passed.generation)


def _event(desired: Desired, served: Colour | None, at: str) -> dict[str, Any]:
    order = desired.order
    return {
        "what": order.kind.value if order else "flip",
        "from": served.value if served else None,
        "to": desired.colour.value,
        "release": order.release if order else None,
        "by": order.by if order else "consul",
        "reason": order.reason if order else "",
        "at": at,
        "took_ms": None,
    }


def _told(action: Write) -> dict[str, str]:
    if isinstance(action, Revert):
        return {"to": action.colour.value, "release": action.release, "detail": action.because}
    return {"of": action.desired.colour.value}


def _name(action: Touch | Write) -> str:
    return type(action).__name__.lower()
