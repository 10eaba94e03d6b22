"""`bgctl watch`: the live screen, for a wall or an incident.

Rules that live here: without a terminal there is no screen, and what would help is named; an order goes out
beside the screen, which goes on; the terminal is given back before anything else is said, however it ends.
"""

import os
import queue
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rich.console import Console

from bgctl import going_back, options, output, revert, standing, writes
from bgctl.call import Call
from bgctl.dialogue import GoBack, Pause, Question, Resume, SureToGoBack, WhyPause, Wish
from bgctl.ending import Ended, misused, refused
from bgctl.screen import Lost, Scene, Screen
from bgctl.sight import Sight
from bgctl.standing import App
from bgctl.terminal import DOWN, ENDED, ESCAPE, HUNG_UP, INTERRUPTED, QUIT, RESIZED, UP, Terminal
from bgd.core.reasons import Because

_BEAT_S = 1.0
"""So often the clocks on the screen go on."""
_GATHER_S = 0.05
"""News that come together are drawn together."""
_LAST_ORDER_S = 15.0
"""How long an order that is under way may take once the screen has been left."""
_STEPS = {"k": -1, UP: -1, "j": 1, DOWN: 1}
_FATAL = {ENDED: signal.SIGTERM, HUNG_UP: signal.SIGHUP, QUIT: signal.SIGQUIT}


@options.command("watch")
@options.app_argument
def watch(call: Call, *, app: str | None) -> None:
    """Show all apps live, the worst first and one of them in full; or APP alone.

    Keys: p pauses (or resumes) the app, r reverts it and asks first, arrows or j and k choose an app, Esc
    follows the worst again, q leaves.
    """
    if call.json:
        raise misused("a live screen is nothing for programs", "bgctl status -o json, or bgctl wait -o json")
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM") in (None, "", "dumb"):
        raise misused("watch needs a terminal", "bgctl status tells it once; bgctl wait waits for it")
    if app is not None:
        call.existing_app(app)
    terminal = Terminal()
    with call.faults():
        sight = Sight(call, app, terminal.wake)
    try:
        with call.faults():
            sight.start()
        watching = Watching(call, sight, terminal)
        with terminal:
            last = watching.until_left()
        watching.finish()
    finally:
        sight.close()
    if last in _FATAL:
        signal.signal(_FATAL[last], signal.SIG_DFL)
        os.kill(os.getpid(), _FATAL[last])


@dataclass(slots=True)
class Watching:
    """One screen, and whoever sits in front of it."""

    call: Call
    sight: Sight
    terminal: Terminal
    picked: str | None = None
    """The app that was chosen by key; None: whichever is worst."""
    question: Question | None = None
    note: str = ""
    trouble: bool = False
    told: list[App] = field(default_factory=list)
    ranked: list[App] = field(default_factory=list)
    order: threading.Thread | None = None
    outcomes: queue.SimpleQueue[str | BaseException] = field(default_factory=queue.SimpleQueue)
    console: Console = field(default_factory=lambda: Console(highlight=False, force_terminal=True))

    def until_left(self) -> str:
        """Draw and listen; the word that ended it."""
        while True:
            self._hear_outcome()
            self._draw()
            words = self.terminal.heard(_BEAT_S)
            if not words:
                time.sleep(_GATHER_S)
            for word in words:
                if word == INTERRUPTED or word in _FATAL or (word == "q" and not self.question):
                    return word
                if word == RESIZED:
                    self.terminal.redraw()
                else:
                    self._press(word)

    def finish(self) -> None:
        """Wait for the order that was under way when the screen was left, and say how it ended."""
        if self.order is not None:
            self.order.join(_LAST_ORDER_S)
            self._hear_outcome()
            output.say(self.note)

    # -- what is shown ----------------------------------------------------------------------------

    def _apps(self) -> list[App]:
        """The worst first; ranked anew when there is news."""
        apps = self.sight.apps
        if apps != self.told:
            self.told, self.ranked = apps, sorted(apps, key=standing.rank)
        return self.ranked

    def _chosen(self, apps: list[App]) -> App | None:
        picked = next((app for app in apps if app.name == self.picked), None)
        return picked or (apps[0] if apps else None)

    def _draw(self) -> None:
        apps = self._apps()
        chosen = self._chosen(apps)
        lost = self.sight.lost
        scene = Scene(
            apps,
            datetime.now(UTC),
            chosen.name if chosen else None,
            self.sight.events(chosen.name) if chosen else (),
            self.sight.silent_at,
            Lost(time.monotonic() - lost.since_s, lost.known_at, lost.detail) if lost else None,
            self.question.prompt if self.question else "",
            self.note,
            self.trouble,
        )
        self.console.size = self.terminal.size
        with self.console.capture() as drawn:
            self.console.print(Screen(scene), end="")
        self.terminal.draw(drawn.get().split("\n"))

    # -- keys ---------------------------------------------------------------------------------------

    def _press(self, key: str) -> None:
        if self.order is None:
            self.note, self.trouble = "", False
        if self.question:
            self.question, wish = self.question.press(key)
            if wish:
                self._send(wish)
            return
        apps = self._apps()
        chosen = self._chosen(apps)
        if key == ESCAPE:
            self.picked = None
        elif chosen is None:
            return
        elif key == "p":
            self._pause_or_resume(chosen)
        elif key == "r":
            self._ask_to_go_back(chosen)
        elif key in _STEPS:
            place = apps.index(chosen) + _STEPS[key]
            self.picked = apps[max(0, min(place, len(apps) - 1))].name

    def _pause_or_resume(self, app: App) -> None:
        if app.ledger.pause is None:
            self.question = WhyPause(app.name)
        else:
            self._send(Resume(app.name))

    def _ask_to_go_back(self, app: App) -> None:
        if obstacle := going_back.obstacle(app):
            return self._tell(obstacle)
        assert app.desired is not None, "without a wish there is an obstacle"
        idle = app.desired.colour.other
        self.question = SureToGoBack(app, " ".join(filter(None, (idle, app.release(idle)))))

    # -- orders -------------------------------------------------------------------------------------

    def _send(self, wish: Wish) -> None:
        if self.order is not None:
            return
        self.note, self.trouble = "…", False
        self.order = threading.Thread(target=self._carry_out, args=(wish,), daemon=True)
        self.order.start()

    def _carry_out(self, wish: Wish) -> None:
        try:
            self.outcomes.put(carried_out(self.call, wish))
        except BaseException as error:  # the screen's thread knows what to do with it
            self.outcomes.put(error)
        self.terminal.wake()

    def _hear_outcome(self) -> None:
        try:
            outcome = self.outcomes.get_nowait()
        except queue.Empty:
            return
        self.order = None
        if isinstance(outcome, str):
            self.note, self.trouble = outcome, False
        elif isinstance(outcome, Ended):
            self._tell(outcome)
        else:
            raise outcome

    def _tell(self, ended: Ended) -> None:
        cure = f" → {ended.cure}" if ended.cure else ""
        self.note, self.trouble = f"{ended.because}: {ended.detail}{cure}", True


def carried_out(call: Call, wish: Wish) -> str:
    """Do what was wished; one sentence on what was done."""
    match wish:
        case Pause(app, reason):
            writes.pause(call, [app], reason)
            return f"{app}: paused: {reason}"
        case Resume(app):
            writes.resume(call, [app])
            return f"{app}: resumed"
        case GoBack(asked):
            return _go_back(call, asked)


def _go_back(call: Call, asked: App) -> str:
    """The revert of `bgctl revert`, of just the wish that the question was about."""
    seen = call.existing_app(asked.name)
    if seen.generation != asked.generation or seen.desired is None:
        there = f"{standing.named(seen.live)}, by {standing.author(seen.live)}"
        raise refused(Because.SUPERSEDED, f"{seen.name}'s key names {there} meanwhile; nothing was written")
    if obstacle := going_back.obstacle(seen):
        raise obstacle
    action = going_back.revert(seen, seen.desired, reason="bgctl watch", force=False)
    wish = revert.write(call, seen, action)
    rejected = f"; {', '.join(action.rejected)} is rejected" if action.rejected else ""
    return f"{seen.name}: {wish.colour} is wished, generation {wish.generation}{rejected}"
