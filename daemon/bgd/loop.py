"""Observe, decide, act, remember: one loop for all apps, every app apart.

One thread drains the mailbox, folds events into knowledge, decides for each app whose knowledge has
changed, and hands the answer to a worker. Losing a wake-up costs one tick, because decisions look at
levels, not at edges.
"""

import queue
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bgd.beside import Beside
from bgd.core import fleet, memory
from bgd.core.actions import Action, Hold, Touch, Write
from bgd.core.advance import advance, written
from bgd.core.clocks import keep_time
from bgd.core.decide import decide
from bgd.core.draining import Drain, drain
from bgd.core.events import (
    CatalogSeen,
    Event,
    LiveSeen,
    MembersSeen,
    Probed,
    ProxyLost,
    ProxySeen,
    SessionsSeen,
    StoreDenied,
    StoreHeard,
    StoreLost,
    TrafficSeen,
)
from bgd.core.knowledge import Knowledge, Link
from bgd.core.learn import form, learn, repeats, unheard
from bgd.core.model import Policy
from bgd.core.permission import permission
from bgd.core.reasons import Because
from bgd.core.snapshot import Snapshot, freeze
from bgd.hands import Answered, Fault, Finished, Hands, Permitted, Synced, Warmed, Wrote
from bgd.permits import Permits
from bgd.ports import Clock, Observer, Prober, Proxy, State, Store, Warmup
from bgd.second_hand import SecondHand
from bgd.telling import Teller

TICK_S = 1.0
SWEEP_TICKS = 10
"""Every app is decided at least once in so many ticks, whatever it waits for."""
GATHER_S, GATHER_MOST_S = 0.005, 0.1
"""Probes wait so long for each other, that a turn of the loop may fold many of them; they come together.
Where a turn takes long, as at a start with hundreds of apps, they wait as long as it took."""
TELL_S = 0.05
"""Telling waits so long once an action has begun: customers cannot wait. A flip by map has ended by then,
and is told once; and whoever flips last is not kept waiting by what the first have to tell Consul."""


@dataclass(frozen=True, slots=True)
class Reconfigured:
    """The configuration was read anew; `policies` are the apps that there are now."""

    policies: Mapping[str, Policy]


@dataclass(frozen=True, slots=True)
class Stop:
    """End the loop with this turn."""


Letter = Event | Finished | Wrote | Answered | Warmed | Permitted | Synced | Fault | Reconfigured | Stop


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything the loop acts on and hears from."""

    proxy: Proxy
    store: Store
    prober: Prober
    warmup: Warmup
    state: State
    clock: Clock
    observer: Observer


class Loop:
    """The daemon's one decision-maker. `post` may be called from any thread; the rest is its own."""

    def __init__(self, *, node: str, version: str, max_old_workers: int, world: World) -> None:
        self._node, self._max_old_workers = node, max_old_workers
        self._world, self._clock = world, world.clock
        self._teller = Teller(version=version, store=world.store, observer=world.observer, clock=world.clock)
        self._mailbox: queue.SimpleQueue[Letter] = queue.SimpleQueue()
        self._hands = Hands(
            proxy=world.proxy,
            store=world.store,
            state=world.state,
            warmup=world.warmup,
            clock=world.clock,
            post=self.post,
        )
        self._second_hand = SecondHand(self._hands)
        self._permits = Permits(self._hands)
        self._beside = Beside(self._hands)
        self._apps: dict[str, Knowledge] = {}
        self._decided: dict[str, Knowledge] = {}
        """What each app's last decision was made on; what is the same needs none."""
        self._busy: dict[str, Touch] = {}
        self._writing: dict[str, Write] = {}
        """Consul may take its time: this node goes on with what is its own meanwhile."""
        self._draining: Mapping[str, Drain] = {}
        self._calm: dict[str, float] = {}
        """Until when an app waits for nothing."""
        self._following: set[str] = set()
        self._untold: dict[str, tuple[Snapshot, Action]] = {}
        self._tell_s = 0.0
        self._next_tick_s = 0.0
        self._swept = 0
        self._stopped = False
        self._took_s = 0.0
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
            self._tell_all()
        finally:
            self._hands.close()

    def turn(self, letters: list[Letter]) -> None:
        """One turn: fold, decide and act, then tell."""
        now_s = self._clock.now_s()
        for letter in letters:
            self._fold(letter, now_s)
        due = {app for app, knowledge in self._apps.items() if self._decided.get(app) is not knowledge}
        if now_s >= self._next_tick_s:
            due |= self._tick(now_s)
        began = len(self._busy)
        self._untold |= {app: self._decide(app, now_s) for app in due}
        if len(self._busy) > began:
            self._tell_s = now_s + TELL_S
            self._hands.go_first()
        elif self._untold and now_s >= self._tell_s:
            self._tell_all()
        if due or now_s >= self._second_hand.wake_s:
            self._second_hand.turn(self._apps, now_s)
        self._permits.turn(now_s)
        self.turned_s, self._took_s = now_s, self._clock.now_s() - now_s
        if due:
            self._world.observer.looped(self._took_s)

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
            gather_s = min(max(GATHER_S, self._took_s), GATHER_MOST_S)
            until_s = min(wake_s, self._clock.now_s() + gather_s)
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
            self._apps[app] = keep_time(form(knowledge, now_s), now_s)
        self._world.observer.store_up(all(each.link is Link.UP for each in self._apps.values()))
        names = list(self._apps)
        self._swept = (self._swept + 1) % SWEEP_TICKS
        swept = set(names[self._swept :: SWEEP_TICKS])
        restless = {app for app in names if now_s >= self._calm.get(app, now_s)}
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
            case Wrote():
                self._wrote(letter, now_s)
            case Answered(app):
                self._know(app, self._beside.answered(letter, self._apps.get(app)))
            case Warmed(app):
                self._know(app, self._beside.warmed(letter, self._apps.get(app), now_s))
            case Permitted():
                self._permits.ended()
            case Synced(failed):
                self._apps = self._second_hand.ended(self._apps, failed, now_s)
            case Reconfigured(policies):
                self._reconfigured(policies)
            case CatalogSeen(app) | MembersSeen(app) | Probed(app) | TrafficSeen(app) | SessionsSeen(app):
                self._learn(app, letter, now_s)
            case LiveSeen(keys, ledgers):
                for app in keys.keys() | ledgers.keys():
                    self._learn(app, letter, now_s)
            case StoreHeard(app, apps):
                self._heard(letter, [app] if app else list(apps or self._apps), now_s)
            case StoreLost(apps=apps) | StoreDenied(apps=apps):
                self._world.observer.store_failed()
                for app in apps or list(self._apps):
                    self._learn(app, letter, now_s)
            case _:
                self._observe(letter)
                for app in self._apps:
                    self._learn(app, letter, now_s)

    def _learn(self, app: str, event: Event, now_s: float) -> None:
        knowledge = self._apps.get(app)
        if knowledge is None or (app in self._busy and isinstance(event, ProxySeen | ProxyLost)):
            return  # what the proxy says while it is being changed is void
        if isinstance(event, Probed):
            self._world.observer.probed(app, event.colour, event.took_s)
            if repeats(knowledge, event):
                return  # as hundreds a second do
        at = self._clock.at() if isinstance(event, CatalogSeen) else ""  # only its news are dated
        learnt = learn(knowledge, event, now_s=now_s, at=at)
        self._apps[app] = learnt
        self._teller.learnt(knowledge, learnt)
        if learnt.backends is not knowledge.backends:
            self._world.prober.watch(app, learnt.backends)
        if learnt.sight is not knowledge.sight:
            self._second_hand.look_again()

    def _heard(self, event: StoreHeard, apps: list[str], now_s: float) -> None:
        """That nothing has changed makes no decision due: all apps at once would keep a flip waiting."""
        for app in apps:
            knowledge = self._apps.get(app)
            if knowledge is not None:
                self._apps[app] = learn(knowledge, event, now_s=now_s, at="")
                if self._decided.get(app) is knowledge:
                    self._decided[app] = self._apps[app]

    def _observe(self, event: Event) -> None:
        if isinstance(event, ProxySeen):
            self._teller.proxy_version = event.version
            self._world.observer.old_workers(event.old_workers)

    def _finished(self, letter: Finished, now_s: float) -> None:
        self._busy.pop(letter.app, None)
        knowledge = self._apps.get(letter.app)
        if knowledge is None:
            return
        self._apps[letter.app] = advance(knowledge, letter.action, letter.outcome, now_s=now_s)
        self._teller.finished(letter, knowledge, now_s)

    def _wrote(self, letter: Wrote, now_s: float) -> None:
        self._writing.pop(letter.app, None)
        knowledge = self._apps.get(letter.app)
        if knowledge is None:
            return
        self._apps[letter.app] = written(knowledge, letter.action, letter.outcome, now_s=now_s)
        self._teller.learnt(knowledge, self._apps[letter.app])
        self._teller.wrote(letter)

    def _know(self, app: str, knowledge: Knowledge | None) -> None:
        if knowledge is not None:
            self._apps[app] = knowledge

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
        self._teller.forget(app)
        self._hands.forget(app)
        self._following.discard(app)
        self._permits.note(app, None)
        self._count(app, None)
        self._beside.forget(app)
        for memo in (self._apps, self._decided, self._calm):
            memo.pop(app, None)

    # -- decide and act -------------------------------------------------------------------------

    def _decide(self, app: str, now_s: float) -> tuple[Snapshot, Action]:
        knowledge = self._decided[app] = self._apps[app]
        snapshot = freeze(knowledge, now_s)
        self._beside.prepare(snapshot, knowledge)
        running = self._busy.get(app)
        if running is not None:
            self._beside.warm(None, knowledge)
            return snapshot, running
        action = decide(snapshot)
        self._teller.decided(app, action)
        self._beside.warm(action, knowledge)
        self._calm[app] = _calm_until_s(action)
        if isinstance(action, Touch):
            self._busy[app] = action
            self._hands.carry_out(app, action, knowledge)
        elif isinstance(action, Write):
            if app in self._writing:
                return snapshot, self._writing[app]
            self._writing[app] = action
            self._hands.write(app, action)
        return snapshot, action

    # -- tell -----------------------------------------------------------------------------------

    def _tell_all(self) -> None:
        untold, self._untold = self._untold, {}
        for app, (snapshot, action) in untold.items():
            if app in self._apps:
                self._tell(app, snapshot, action)

    def _tell(self, app: str, snapshot: Snapshot, action: Action) -> None:
        """Report, remember, and ask for what the decision depends on."""
        self._teller.report(snapshot, action)
        self._teller.count(self._apps[app])
        self._permits.note(app, permission(snapshot))
        self._count(app, drain(snapshot))
        if not isinstance(action, Touch):
            self._follow_members(app, snapshot)
        if app not in self._busy:
            self._hands.remember(self._apps[app])

    def _count(self, app: str, wanted: Drain | None) -> None:
        """Have sessions counted as long as the colour that was left may have some."""
        if wanted != self._draining.get(app):
            others = {each: drains for each, drains in self._draining.items() if each != app}
            self._draining = others | ({app: wanted} if wanted else {})
            self._world.proxy.count(self._draining)

    def _follow_members(self, app: str, snapshot: Snapshot) -> None:
        wanted = fleet.must_agree(snapshot)
        if wanted == (app in self._following):
            return
        self._following ^= {app}
        self._world.store.follow_members(app, wanted)
        if not wanted:
            self._apps[app] = unheard(self._apps[app])


def _calm_until_s(action: Action) -> float:
    """When time alone may change the answer to a hold; whatever else may, is an event."""
    if isinstance(action, Hold) and action.because is Because.CONVERGED:
        return float("inf")
    if isinstance(action, Hold) and action.because is Because.PROBATION and action.until_s is not None:
        return action.until_s
    return float("-inf")
