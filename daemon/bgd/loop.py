"""Observe, decide, act, remember: one loop for all apps, every app apart.

One thread drains the mailbox, folds events into knowledge, decides for each app whose knowledge has
changed, and hands the answer to a worker. Losing a wake-up costs one tick, because decisions look at
levels, not at edges.
"""

import queue
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from bgd.core import memory
from bgd.core.actions import Action, Flip, Hold, Take
from bgd.core.advance import Failed, advance
from bgd.core.decide import decide
from bgd.core.events import (
    CatalogSeen,
    Event,
    LiveSeen,
    MembersSeen,
    Probed,
    ProxyLost,
    ProxySeen,
    StoreDenied,
    StoreLost,
)
from bgd.core.knowledge import Knowledge, Link, Snapshot, freeze
from bgd.core.learn import form, learn
from bgd.core.model import Colour, Policy, Serving
from bgd.core.reasons import Because
from bgd.core.report import report
from bgd.hands import Deed, Fault, Finished, Hands, Synced
from bgd.ports import Clock, Observer, Prober, Proxy, State, Store
from bgd.second_hand import SecondHand

TICK_S = 1.0
SWEEP_TICKS = 10
"""Every app is decided at least once in so many ticks, whatever it waits for."""
GATHER_S = 0.02
"""Probes wait so long for each other, that a turn of the loop may fold many of them."""
TELL_S = 0.02
"""Telling waits so long for an action that has just begun: customers cannot wait. A flip by map has
ended by then, and is told once."""


@dataclass(frozen=True, slots=True)
class Reconfigured:
    """The configuration was read anew; `policies` are the apps that there are now."""

    policies: Mapping[str, Policy]


@dataclass(frozen=True, slots=True)
class Stop:
    """End the loop with this turn."""


Letter = Event | Finished | Synced | Fault | Reconfigured | Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything the loop acts on and hears from."""

    proxy: Proxy
    store: Store
    prober: Prober
    state: State
    clock: Clock
    observer: Observer


class Loop:
    """The daemon's one decision-maker. `post` may be called from any thread; the rest is its own."""

    def __init__(self, *, node: str, version: str, max_old_workers: int, world: World) -> None:
        self._node, self._version, self._max_old_workers = node, version, max_old_workers
        self._world, self._clock = world, world.clock
        self._log = structlog.get_logger("loop")
        self._mailbox: queue.SimpleQueue[Letter] = queue.SimpleQueue()
        self._hands = Hands(proxy=world.proxy, state=world.state, clock=world.clock, post=self.post)
        self._second_hand = SecondHand(self._hands)
        self._apps: dict[str, Knowledge] = {}
        self._busy: dict[str, Deed] = {}
        self._held: dict[str, Hold] = {}
        self._published: dict[str, Mapping[str, Any]] = {}
        self._following: set[str] = set()
        self._proxy_version = ""
        self._untold: dict[str, tuple[Snapshot, Action]] = {}
        self._tell_s = 0.0
        self._next_tick_s = 0.0
        self._swept = 0
        self._stopped = False
        self.turned_s = self._clock.now_s()
        """When the loop last turned; it does at least once a tick."""

    def post(self, letter: Letter) -> None:
        """Put an observation into the mailbox; never blocks."""
        self._mailbox.put(letter)

    def add(self, app: str, policy: Policy, kept: Mapping[str, Any] | None) -> None:
        """Take an app in, with what the disk holds of it."""
        now_s = self._clock.now_s()
        knowledge = Knowledge(
            app=app,
            node=self._node,
            policy=policy,
            started_s=now_s,
            max_old_workers=self._max_old_workers,
        )
        if kept is not None:
            knowledge = memory.recall(knowledge, kept, now_s=now_s, wall_s=self._clock.wall_s())
        self._apps[app] = knowledge
        self._world.prober.watch(app, knowledge.backends)

    def run(self) -> None:
        """Turn until stopped. A fault of our own is raised here: systemd starts us anew."""
        try:
            while not self._stopped:
                self.turn(self._drain())
        finally:
            self._hands.close()

    def turn(self, letters: list[Letter]) -> None:
        """One turn: fold, decide and act, then tell."""
        now_s = self._clock.now_s()
        before = dict(self._apps)
        for letter in letters:
            self._fold(letter, now_s)
        due = {app for app, knowledge in self._apps.items() if before.get(app) is not knowledge}
        if now_s >= self._next_tick_s:
            due |= self._tick(now_s)
        began = len(self._busy)
        self._untold |= {app: self._decide(app, now_s) for app in due}
        if len(self._busy) > began:
            self._tell_s = now_s + TELL_S
            self._hands.go_first()
        elif self._untold:
            self._tell_all()
        if due or now_s >= self._second_hand.wake_s:
            self._second_hand.turn(self._apps, now_s)
        self.turned_s = now_s
        if due:
            self._world.observer.looped(self._clock.now_s() - now_s)

    def _drain(self) -> list[Letter]:
        """Wait for the first letter or the next deadline, then take all that is there.

        Probes come by the hundreds and can wait a little: they are gathered, until something else comes.
        """
        wake_s = min(self._next_tick_s, self._second_hand.wake_s)
        if self._untold:
            wake_s = min(wake_s, self._tell_s)
        letters: list[Letter] = []
        try:
            letters.append(self._mailbox.get(timeout=max(0.0, wake_s - self._clock.now_s())))
            until_s = min(wake_s, self._clock.now_s() + GATHER_S)
            while isinstance(letters[-1], Probed) and (left_s := until_s - self._clock.now_s()) > 0:
                letters.append(self._mailbox.get(timeout=left_s))
            while True:
                letters.append(self._mailbox.get_nowait())
        except queue.Empty:
            return letters

    def _tick(self, now_s: float) -> set[str]:
        """Time alone changes things: backoffs end, verdicts fall due.

        Apps that are converged wait for nothing; still each is looked at once in a while. All of them at
        once would keep a flip waiting.
        """
        self._next_tick_s = now_s + TICK_S
        for app, knowledge in self._apps.items():
            self._apps[app] = form(knowledge, now_s)
        self._world.observer.store_up(all(each.link is Link.UP for each in self._apps.values()))
        names = list(self._apps)
        self._swept = (self._swept + 1) % SWEEP_TICKS
        swept = set(names[self._swept :: SWEEP_TICKS])
        restless = {
            app for app in names if app not in self._held or self._held[app].because is not Because.CONVERGED
        }
        return swept | restless | (self._hands.unsaved & self._apps.keys())

    # -- fold -----------------------------------------------------------------------------------

    def _fold(self, letter: Letter, now_s: float) -> None:
        match letter:
            case Stop():
                self._stopped = True
            case Fault(error):
                raise error
            case Finished():
                self._finished(letter, now_s)
            case Synced(failed):
                self._apps = self._second_hand.ended(self._apps, failed, now_s)
            case Reconfigured(policies):
                self._reconfigured(policies)
            case CatalogSeen(app) | MembersSeen(app) | Probed(app):
                self._learn(app, letter, now_s)
            case LiveSeen(keys):
                for app in keys:
                    self._learn(app, letter, now_s)
            case _:
                self._observe(letter)
                for app in self._apps:
                    self._learn(app, letter, now_s)

    def _learn(self, app: str, event: Event, now_s: float) -> None:
        knowledge = self._apps.get(app)
        if knowledge is None or (app in self._busy and isinstance(event, ProxySeen | ProxyLost)):
            return  # what the proxy says while it is being changed is void
        at = self._clock.at() if isinstance(event, CatalogSeen) else ""  # only its news are dated
        learnt = learn(knowledge, event, now_s=now_s, at=at)
        self._apps[app] = learnt
        if isinstance(event, Probed):
            self._world.observer.probed(app, event.colour, event.took_s)
        if learnt.backends is not knowledge.backends:
            self._world.prober.watch(app, learnt.backends)
        if learnt.left_out != knowledge.left_out:
            self._log.warning("backends left out", app=app, left_out=learnt.left_out)
        if learnt.sight is not knowledge.sight:
            self._second_hand.look_again()

    def _observe(self, event: Event) -> None:
        if isinstance(event, ProxySeen):
            self._proxy_version = event.version
            self._world.observer.old_workers(event.old_workers)
        elif isinstance(event, StoreLost | StoreDenied):
            self._world.observer.store_failed()

    def _finished(self, letter: Finished, now_s: float) -> None:
        self._busy.pop(letter.app, None)
        knowledge = self._apps.get(letter.app)
        if knowledge is None:
            return
        self._apps[letter.app] = advance(knowledge, letter.action, letter.outcome, now_s=now_s)
        self._say(letter, knowledge, now_s)
        if isinstance(letter.outcome, Serving) and isinstance(letter.action, Flip | Take):
            self._record(knowledge, letter.action, letter.outcome)

    def _reconfigured(self, policies: Mapping[str, Policy]) -> None:
        for app in set(self._apps) - set(policies):
            self._drop(app)
        for app, policy in policies.items():
            if app in self._apps:
                self._apps[app] = replace(self._apps[app], policy=policy)
            else:
                self.add(app, policy, None)
        self._second_hand.look_again()

    def _drop(self, app: str) -> None:
        self._world.prober.watch(app, {})
        self._world.store.follow_members(app, False)
        self._world.observer.forgotten(app)
        self._hands.forget(app)
        self._following.discard(app)
        for memo in (self._apps, self._held, self._published):
            memo.pop(app, None)

    # -- decide and act -------------------------------------------------------------------------

    def _decide(self, app: str, now_s: float) -> tuple[Snapshot, Action]:
        knowledge = self._apps[app]
        snapshot = freeze(knowledge, now_s)
        running = self._busy.get(app)
        if running is not None:
            return snapshot, running
        action = decide(snapshot)
        if isinstance(action, Hold):
            self._hold(app, action)
        else:
            self._held.pop(app, None)
            self._busy[app] = action
            self._hands.carry_out(app, action, knowledge)
        return snapshot, action

    def _hold(self, app: str, hold: Hold) -> None:
        if self._held.get(app) != hold:
            self._held[app] = hold
            self._log.info("hold", app=app, because=hold.because.value, detail=hold.detail)

    # -- tell -----------------------------------------------------------------------------------

    def _tell_all(self) -> None:
        untold, self._untold = self._untold, {}
        for app, (snapshot, action) in untold.items():
            if app in self._apps:
                self._tell(app, snapshot, action)

    def _tell(self, app: str, snapshot: Snapshot, action: Action) -> None:
        """Report, remember, and ask for what the decision depends on."""
        told = report(snapshot, action, version=self._version, proxy=self._proxy_version)
        if told != self._published.get(app):
            self._published[app] = told
            dated = {**told, "at": self._clock.at()}
            self._world.observer.reported(app, dated)
            self._world.store.publish(app, dated)
        self._count(app)
        wanted = isinstance(action, Hold) and (not snapshot.served or snapshot.key_unusable)
        if wanted != (app in self._following):
            self._following ^= {app}
            self._world.store.follow_members(app, wanted)
        if app not in self._busy:
            self._hands.remember(self._apps[app])

    def _count(self, app: str) -> None:
        knowledge = self._apps[app]
        for colour in Colour:
            known = [found.healthy for found in knowledge.healths[colour].values()]
            states = {
                "healthy": known.count(True),
                "unhealthy": known.count(False),
                "unknown": known.count(None),
                "objected": sum(bool(each.objection) for each in knowledge.backends[colour]),
            }
            self._world.observer.counted(app, colour, states)

    def _say(self, letter: Finished, knowledge: Knowledge, now_s: float) -> None:
        name = type(letter.action).__name__.lower()
        took_s = now_s - knowledge.wish.seen_s if knowledge.wish else 0.0
        match letter.outcome:
            case Failed(because, detail):
                self._log.error(f"{name} failed", app=letter.app, because=because.value, detail=detail)
                result, via = because.value, ""
            case serving:
                self._log.info(
                    f"{name} proved",
                    app=letter.app,
                    colour=serving.colour.value,
                    generation=serving.generation,
                    via=serving.via,
                )
                result, via = "proved", serving.via
        if isinstance(letter.action, Flip):
            self._world.observer.flipped(letter.app, result, via, took_s)

    def _record(self, before: Knowledge, action: Flip | Take, serving: Serving) -> None:
        """Offer the history entry of a proved generation; the first node's counts."""
        order = action.desired.order
        event = {
            "what": order.kind.value if order else "flip",
            "from": before.serving.colour.value if before.serving else None,
            "to": serving.colour.value,
            "release": serving.release,
            "by": order.by if order else "consul",
            "reason": order.reason if order else "",
            "at": self._clock.at(),
            "took_ms": serving.took_ms if isinstance(action, Flip) else None,
        }
        self._world.store.record(before.app, action.desired.generation, event)
