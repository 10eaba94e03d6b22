"""An order on its way from the key to the last member's proof.

Rules that live here: however it ends, the user is told what has been done and what has not; what the
fleet itself has ended (reverted, declined) is told as that; a wish that all refuse is not waited for.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from bgctl import fate, output, progress, standing, writes
from bgctl.call import UNSURE, Call
from bgctl.ending import Ended, Exit, late, refused
from bgctl.pace import Pace
from bgctl.rivals import UNTOUCHED
from bgctl.standing import App
from bgctl.told import Member
from bgd.core.model import Colour, Desired
from bgd.core.reasons import Because


@dataclass(slots=True)
class Errand:
    """One order, and how far it has come."""

    call: Call
    app: str
    colour: Colour
    deadline_s: float
    force: bool = False
    wish: Desired | None = None
    release: str | None = None
    """What the colour ran when it was ordered."""
    back: str = ""
    """The command that would take it back, if one should be named."""
    last: App | None = None
    writing: bool = False
    changed: bool = False
    waited: bool = True
    confirmed: bool = False
    without: frozenset[str] = frozenset()
    """The nodes whose acknowledgement is not waited for."""
    withdrawn: bool | None = None
    """Whether our preparation is known to be gone; None: there was none."""
    flags: int = 0
    """What the wish is known by, should it be unknown whether it was written."""
    pace: Pace | None = None
    view: progress.View = field(default_factory=progress.Lines)
    begun_s: float = field(default_factory=time.monotonic)

    def follow(self, deadline_s: float | None = None) -> Iterator[App]:
        """The app now and after each change, until the deadline."""
        for app in self.call.follow(self.app, self.deadline_s if deadline_s is None else deadline_s):
            self.last = app
            yield app

    def write(self, app: App, transaction: Callable[[], Desired]) -> None:
        """The one transaction."""
        self.last, self.writing, self.release = app, True, app.release(self.colour)
        self.pace = Pace(datetime.now(UTC))
        self.wish = transaction()
        self.writing, self.changed = False, True

    def see_through(self) -> None:
        """Wait for every member's proof."""
        wish = self.wish
        assert wish is not None, "waited for before it was written"
        output.say(f"{self.app}: {self.colour} is wished, generation {wish.generation}")
        silent = {member.node for member in self.last.silent} if self.last else set()
        for app in self.follow():
            self.stop_if_ended(app)
            if self.pace:
                self.pace.note(app.proved(wish))
            self.view.show(progress.proof(app, wish))
            waiting = app.unproved(wish)
            if not waiting and (app.members or self.force):
                return
            if waiting and all(not m.alive and m.node in silent for m in waiting):
                break  # known to be silent when it was written: nobody is coming
            if refusers := _all_refuse(app, wish):
                raise self._refused_by(refusers, wish)
        raise self._not_proved(wish)

    def stop_if_ended(self, app: App) -> None:
        """Raise what became of the wish, when the key names it no more."""
        assert self.wish is not None, "waited for before it was written"
        if ended := fate.ending(app, self.wish):
            raise ended

    def _refused_by(self, refusers: list[Member], wish: Desired) -> Ended:
        said = "; ".join(f"{member.node} ({member.reason})" for member in refusers)
        return refused(
            refusers[0].because,
            f"generation {wish.generation} ({wish.colour}) is written, and no node takes it: {said}",
            self._cure(),
        )

    def _not_proved(self, wish: Desired) -> Ended:
        assert self.last is not None, "waited for before anything was read"
        waiting = self.last.unproved(wish)
        why = {member.node: member.why_not(wish.generation) for member in waiting}
        missing = "; ".join(f"{node} ({said})" for node, (_, said) in why.items()) or "any node at all"
        return late(
            next((code for code, _ in why.values()), Because.NODE_SILENT),
            f"generation {wish.generation} ({wish.colour}) is written and stands; proved by "
            f"{standing.names(self.last.proved(wish))}; not proved by {missing}",
            self._cure(f"wait on: bgctl wait --converged --app {self.app}"),
        )

    def _cure(self, *commands: str) -> str:
        return "; ".join(filter(None, (f"bgctl why {self.app}", *commands, self.back)))

    def with_what_is_done(self, ended: Ended) -> Ended:
        """Consul lost on the way: whether the wish stands all the same."""
        if ended.exit is not Exit.STORE:
            return ended
        if self.flags:
            self.writing = self.writing and ended.detail.endswith(UNSURE)
            self._find_out()
        if self.writing:
            return ended
        detail = ended.detail.removesuffix(UNSURE)
        if not (self.wish and self.changed):
            return replace(ended, detail=f"{detail}; {UNTOUCHED}")
        written = f"generation {self.wish.generation} ({self.colour}) is written and stands"
        return replace(ended, detail=f"{written}; then: {detail}")

    def interrupted(self) -> Ended:
        """What has been done so far, and what has not."""
        self._find_out()
        return Ended(Exit.INTERRUPTED, "interrupted", self._so_far(), f"bgctl status {self.app}")

    def _find_out(self) -> None:
        """Whether what was being written is. With its preparation withdrawn, it cannot be any more."""
        if not (self.writing and self.flags):
            return
        try:
            generation = writes.written(self.call, self.app, self.flags)
        except (Ended, KeyboardInterrupt):
            return  # it stays unknown
        if generation is not None:
            self.wish, self.writing, self.changed = Desired(self.colour, generation), False, True
        elif self.withdrawn:
            self.writing = False

    def _so_far(self) -> str:
        if self.wish and self.changed and self.last:
            proved, waiting = self.last.proved(self.wish), self.last.unproved(self.wish)
            return (
                f"interrupted: {self.colour} is written as generation {self.wish.generation} and the nodes "
                f"go on with it; proved on {len(proved)} of {len(self.last.members)}: "
                f"proved by {standing.names(proved)}; not yet by {standing.names(waiting)}"
            )
        if self.writing:
            return f"interrupted while {self.colour} was being written: it may be written or not"
        untouched = f"interrupted; {UNTOUCHED}: {self.app}'s key is untouched"
        match self.withdrawn:
            case True:
                return f"{untouched}, and the preparation is withdrawn"
            case False:
                return f"{untouched}; the preparation goes by itself within 20 s"
        return untouched

    def tell(self, **more: object) -> None:
        """The one fact that was asked for."""
        assert self.wish is not None, "told before it was written"
        assert self.last is not None, "told before anything was read"
        proved = self.last.proved(self.wish)
        if self.call.json:
            return output.put_json(self._as_json(proved) | more)
        output.put(f"{self.app}: {self._sentence(proved)}")
        reloaded = [member for member in proved if member.serving.get("via") == "reload"]
        if self.changed and reloaded:
            stay = "connections that were open stay where they were, each until it ends"
            output.say(f"{standing.names(reloaded)} flipped by a reload: {stay}")

    def _sentence(self, proved: Sequence[Member]) -> str:
        assert self.wish is not None, "told before it was written"
        assert self.last is not None, "told before anything was read"
        what = "is wished"
        if self.waited:
            what = f"{'' if self.changed else 'already '}live on {len(proved)}/{len(self.last.members)}"
        return " · ".join(
            filter(
                None,
                (
                    " ".join(filter(None, (self.colour.value, self.release, what))),
                    self._measured(proved),
                    f"generation {self.wish.generation}",
                    f"{self.release} is known good" if self.confirmed else "",
                ),
            )
        )

    def _measured(self, proved: Sequence[Member]) -> str:
        measured = self.pace.measured(proved) if self.pace and self.waited else None
        return str(measured) if measured else ""

    def _as_json(self, proved: Sequence[Member]) -> dict[str, object]:
        assert self.wish is not None, "told before it was written"
        assert self.last is not None, "told before anything was read"
        measured = self.pace.measured(proved) if self.pace and self.waited else None
        return {
            "schema": 1,
            "app": self.app,
            "colour": self.colour.value,
            "release": self.release,
            "generation": self.wish.generation,
            "changed": self.changed,
            "members": [member.node for member in self.last.members],
            "proved": [member.node for member in proved],
            "confirmed": self.confirmed,
            "skew_ms": measured.skew_ms if measured else None,
            "key_to_last_ms": measured.key_to_last_ms if measured else None,
            "upper_bounds": not measured.exact if measured else None,
            "took_s": round(time.monotonic() - self.begun_s, 3),
        }


def _all_refuse(app: App, wish: Desired) -> list[Member]:
    """The living members, when each of them refuses the wish and nobody has proved it."""
    refusers = [member for member in app.alive if member.refuses(wish.generation)]
    return refusers if len(refusers) == len(app.alive) and not app.proved(wish) else []
