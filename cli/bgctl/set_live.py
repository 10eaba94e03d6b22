"""`bgctl set-live`: the fleet is to serve a colour.

Rules that live here: every member is asked before the key is touched, and a colour that is not ready
there leaves it untouched; then one transaction; then every member's proof is waited for. However it
ends, the user is told what has been done and what has not.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import click

from bgctl import options, output, standing
from bgctl.call import Call
from bgctl.ending import Ended, Exit, late, refused
from bgctl.progress import Progress
from bgctl.standing import App
from bgd.core.model import Colour, Desired
from bgd.core.reasons import Because


@options.command("set-live")
@click.argument("colour", metavar="COLOUR", type=options.colour_word)
@options.app_option
@options.timeout_option
@click.option("--no-wait", is_flag=True, help="Return when the wish is written.")
@click.option("--force", is_flag=True, help="Skip the gates (the proxies still check their configuration).")
@click.option("--reason", default="", help="Why; kept in the order and the history.")
def set_live(
    call: Call, *, colour: Colour, app: str | None, timeout: float, no_wait: bool, force: bool, reason: str
) -> None:
    """Make COLOUR live, and wait until every member has proved it.

    Before the key is written, every member's report is read: where COLOUR is not ready, nothing is
    written (exit 4); a silent member likewise (exit 3). --force skips both.
    """
    name = call.app_name(app)
    errand = Errand(call, name, colour, time.monotonic() + timeout, force=force)
    try:
        if not errand.already_done():
            errand.write(errand.admit(), reason)
            errand.waited = not no_wait
            if errand.waited:
                errand.see_through()
    except KeyboardInterrupt:
        raise errand.interrupted() from None
    except Ended as ended:
        raise errand.with_what_is_done(ended) from None
    errand.tell()


@dataclass(slots=True)
class Errand:
    """One order on its way from the gate to the last member's proof."""

    call: Call
    app: str
    colour: Colour
    deadline_s: float
    force: bool = False
    wish: Desired | None = None
    last: App | None = None
    writing: bool = False
    changed: bool = False
    waited: bool = True
    begun_s: float = field(default_factory=time.monotonic)

    def already_done(self) -> bool:
        """Named by the key and proved by every member: nothing to do."""
        self.last = self.call.existing_app(self.app)
        if not self.last.serves_everywhere(self.colour):
            return False
        self.wish = self.last.desired
        return True

    def admit(self) -> App:
        """The app at the moment when every member would take the flip (or, forced, as it is)."""
        progress = Progress()
        for app in self._follow():
            if self.force:
                return app
            if obstacle := standing.obstacle(app, self.colour):
                raise obstacle
            progress.gate(app, self.colour)
            if not standing.undecided(app, self.colour):
                return app
        raise self._undecided()

    def write(self, app: App, reason: str) -> None:
        """The one transaction."""
        self.writing = True
        self.wish = self.call.write_live(app, self.colour, reason=reason, force=self.force)
        self.writing, self.changed = False, True

    def see_through(self) -> None:
        """Wait for every member's proof."""
        wish, progress = self.wish, Progress()
        assert wish is not None, "waited for before it was written"
        output.say(f"{self.app}: {self.colour} is wished, generation {wish.generation}")
        silent = {member.node for member in self.last.silent} if self.last and self.force else set()
        for app in self._follow():
            self._stop_if_overtaken(app, wish)
            progress.proof(app, wish)
            waiting = app.unproved(wish)
            if not waiting and (app.members or self.force):
                return
            if waiting and all(not m.alive and m.node in silent for m in waiting):
                break  # known to be silent when it was forced: nobody is coming
        raise self._not_proved(wish)

    def _follow(self) -> Iterator[App]:
        for app in self.call.follow(self.app, self.deadline_s):
            self.last = app
            yield app

    def _stop_if_overtaken(self, app: App, wish: Desired) -> None:
        if app.generation == wish.generation:
            return
        raise refused(
            Because.SUPERSEDED,
            f"generation {wish.generation} ({wish.colour}) was overtaken: {self.app}'s key now names "
            f"{standing.named(app.live)}, by {standing.author(app.live)}; "
            f"proved before that by: {standing.names(app.proved(wish))}",
            f"bgctl status {self.app}; the later word wins",
        )

    def _undecided(self) -> Ended:
        assert self.last is not None
        waiting = standing.undecided(self.last, self.colour)
        return late(
            Because.STARTING,
            f"{standing.names(waiting)} could not say in time whether {self.colour} is ready; "
            "nothing was written",
            f"bgctl why {self.app}; a longer --timeout, or --force",
        )

    def _not_proved(self, wish: Desired) -> Ended:
        assert self.last is not None
        waiting = self.last.unproved(wish)
        because = waiting[0].because if waiting else Because.NODE_SILENT
        missing = "; ".join(f"{member.node} ({member.reason})" for member in waiting) or "any node at all"
        return late(
            because or Because.STARTING,
            f"generation {wish.generation} ({wish.colour}) is written and stands; proved by "
            f"{standing.names(self.last.proved(wish))}; not proved by {missing}",
            f"bgctl why {self.app}; wait on: bgctl wait --converged --app {self.app}; "
            f"back: bgctl set-live {wish.colour.other} --app {self.app}",
        )

    def with_what_is_done(self, ended: Ended) -> Ended:
        """Consul lost on the way: whether the wish stands all the same."""
        if ended.exit is not Exit.STORE or self.writing:
            return ended
        if not (self.wish and self.changed):
            return replace(ended, detail=f"{ended.detail}; nothing was written")
        written = f"generation {self.wish.generation} ({self.colour}) is written and stands"
        return replace(ended, detail=f"{written}; then: {ended.detail}")

    def interrupted(self) -> Ended:
        """What has been done so far, and what has not."""
        return Ended(Exit.INTERRUPTED, "interrupted", self._so_far(), f"bgctl status {self.app}")

    def _so_far(self) -> str:
        if self.wish and self.changed and self.last:
            return (
                f"interrupted: generation {self.wish.generation} ({self.colour}) is written and the nodes "
                f"go on with it; proved by {standing.names(self.last.proved(self.wish))}; "
                f"not yet by {standing.names(self.last.unproved(self.wish))}"
            )
        if self.writing:
            return f"interrupted while {self.colour} was being written: it may be written or not"
        return f"interrupted before anything was written: {self.app}'s key is untouched"

    def tell(self) -> None:
        """The one fact that was asked for."""
        assert self.wish is not None, "told before it was written"
        assert self.last is not None, "told before anything was read"
        proved = self.last.proved(self.wish)
        if self.call.json:
            return output.put_json(self._as_json([member.node for member in proved]))
        count = f"proved by {len(proved)} of {len(self.last.members)} members"
        what = f"{'' if self.changed else 'already '}live, {count}" if self.waited else "wished"
        output.put(f"{self.app}: {self.colour} is {what}, generation {self.wish.generation}")

    def _as_json(self, proved: list[str]) -> dict[str, object]:
        assert self.wish is not None
        return {
            "schema": 1,
            "app": self.app,
            "colour": self.colour.value,
            "generation": self.wish.generation,
            "changed": self.changed,
            "proved": proved,
            "took_s": round(time.monotonic() - self.begun_s, 3),
        }
