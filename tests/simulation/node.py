"""One node: the real core (learn, decide, advance) and the real transactions, in a loop without threads.

What a node reads, decides, does and publishes is what bgd does; its proxy, its disk and its clock are the
world's. It can end between any two of its steps.
"""

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bgd.core import advance as adv
from bgd.core import decide as table
from bgd.core import fleet, memory, preparing
from bgd.core.actions import (
    Action,
    Confirm,
    Decline,
    FallBack,
    Flip,
    Hold,
    Prepare,
    Repair,
    Revert,
    Take,
    Touch,
    Write,
)
from bgd.core.advance import Failed, Proved
from bgd.core.events import (
    CatalogSeen,
    Event,
    Probed,
    ProxySeen,
    SessionsSeen,
    StoreDenied,
    StoreHeard,
    StoreLost,
    TrafficSeen,
)
from bgd.core.knowledge import VOTE_RENEWED_S, Knowledge, Link
from bgd.core.learn import form, learn, unheard
from bgd.core.model import Colour, Gate, Prepared, Serving
from bgd.core.permission import Permission, permission
from bgd.core.reasons import Because
from bgd.core.report import report
from bgd.core.snapshot import Snapshot, freeze
from bgd.store import acts, records, writes
from bgd.store.client import StoreFault
from bgd.store.ops import Set
from tests.simulation.consul import APP, KEYS, Line
from tests.simulation.proxy import Proxy

if TYPE_CHECKING:
    from tests.simulation.world import World

MOST_ACTIONS = 8
"""In one turn: more is running in circles."""
WATCHES = ("wishes", "catalog", "members")
UNNOTICED_S = {"wishes": 4.0, "catalog": 1e9, "members": 12.0}
"""So long an answer may be late before its reader calls Consul lost."""


class Crashed(Exception):
    """The daemon ended, right here."""


class Node(Proxy):
    """A daemon and its proxy."""

    def __init__(self, world: "World", name: str) -> None:
        super().__init__()
        self.world, self.name = world, name
        self.line = Line(world.consul)
        self.running = False
        self.disk: Knowledge | None = None
        self.torn = False
        self.failing = 0
        self.stuck = False
        """Its answers to preparations do not come."""
        self.mute: set[Colour] = set()
        self.crash_at = ""
        self.tampered = False
        self.reported = True
        """Whether its last change to the proxy is told."""
        self.mark = 0
        """The index of its report, as it last wrote it."""
        self.told_step = self._read_step = 0
        """What came to its proxy before this step, its report has counted."""
        self.late: dict[str, float] = {}
        """Watches whose answers do not come, with since when."""
        self.k = self._fresh()
        self.told: dict[str, Any] | None = None
        self.action: Action = Hold(Because.STARTING)
        self.start()

    # -- life ---------------------------------------------------------------------------------------

    def _fresh(self) -> Knowledge:
        now_s = self.world.now_s
        return Knowledge(app=APP, node=self.name, policy=self.world.policy, started_s=now_s)

    def start(self) -> None:
        if self.running:
            return
        now_s, fresh = self.world.now_s, self._fresh()
        if self.disk is not None and not self.torn:
            kept = json.loads(json.dumps(memory.remember(self.disk, now_s=now_s, wall_s=now_s)))
            fresh = memory.recall(fresh, kept, now_s=now_s, wall_s=now_s)
        self.action = Hold(Because.STARTING)
        self.k, self.running, self.torn, self.crash_at = fresh, True, False, ""
        self.told, self._voted_s = None, float("-inf")
        self._versions: tuple[Any, ...] = ()
        self._catalog: int = -1
        self._following = self._counting = False
        self._preparing: Prepare | None = None

    def crash(self) -> None:
        self.running = False

    def _point(self, name: str) -> None:
        if self.crash_at == name:
            self.crash()
            raise Crashed(name)

    def _save(self, knowledge: Knowledge) -> None:
        if self.crash_at == "torn":
            self.torn = True
            self.crash()
            raise Crashed("torn")
        self.disk = knowledge
        self.world.laws.saved(self)

    # -- turn ---------------------------------------------------------------------------------------

    def turn(self) -> None:
        self.read()
        self.act()

    def read(self, *watches: str) -> None:
        """Hear Consul, all of it or some of its watches; probe, look at the proxy."""
        if not self.running:
            return
        self._read_step = self.world.step
        self._hear(watches or WATCHES)
        self._probe()
        if self._counting:
            self._see(SessionsSeen(APP, self.world.now_s, self.count()))
        self._see(ProxySeen(self.world.now_s, {APP: self.decided} if self.decided else {}, 0, "sim"))
        self.k = form(self.k, self.world.now_s)
        self.world.laws.observed(self)

    def act(self) -> None:
        """Decide and do, until there is nothing to do; publish."""
        if not self.running:
            return
        self.world.laws.settled(self)
        try:
            for _ in range(MOST_ACTIONS):
                snapshot = freeze(self.k, self.world.now_s)
                self.action = table.decide(snapshot)
                self.world.laws.decided(self, snapshot, self.action)
                if isinstance(self.action, Hold):
                    if self._follows_anew(snapshot):
                        continue
                    break
                self._do(self.action, snapshot)
            else:
                self.world.laws.broken(f"{self.name} acts in circles: {self.action}")
            snapshot = self._prepare(snapshot)
            self._counting = snapshot.drains
            self._permit(permission(snapshot))
            self._point("after acting")
            self._publish(snapshot)
            self.world.laws.stands(self)
            self._save(self.k)
        except Crashed:
            self.world.say(self, "crashed")

    def _see(self, event: Event) -> None:
        self.k = learn(self.k, event, now_s=self.world.now_s, at="t")

    def _hear(self, watches: tuple[str, ...]) -> None:
        now_s = self.world.now_s
        if self.line.cut or any(now_s - since_s > UNNOTICED_S[each] for each, since_s in self.late.items()):
            if self.k.link is not Link.LOST:
                self._see(StoreLost("cut off"))
            return
        if self.line.denied:
            if self.k.link is not Link.DENIED:
                self._see(StoreDenied("permission denied"))
            return
        self._rewrite_what_was_lost()
        for watch in watches:
            if watch not in self.late:
                getattr(self, f"_hear_{watch}")()

    def _hear_wishes(self) -> None:
        seen = self.world.seen()
        if self.k.link is not Link.UP or self._versions != seen[0]:
            self._versions = seen[0]
            self._see(seen[1])
        self._see(StoreHeard())
        self.world.laws.heard_wishes(self)

    def _hear_catalog(self) -> None:
        if self._catalog != self.world.catalog_version:
            self._catalog = self.world.catalog_version
            self._see(CatalogSeen(APP, self.world.catalog()))
        self._see(StoreHeard(APP))
        self.world.laws.heard_catalog(self)

    def _hear_members(self) -> None:
        """Only who depends on the others asks for them."""
        if self._following:
            self._see(self.world.members())
            self.world.laws.heard_members(self)

    def _follows_anew(self, snapshot: Snapshot) -> bool:
        """Begin or end to ask for the others; whether they have been read just now."""
        wanted = fleet.must_agree(snapshot)
        if wanted == self._following:
            return False
        self._following = wanted
        if not wanted:
            self.k = unheard(self.k)
            return False
        if self.k.link is not Link.UP or self.line.cut or self.line.denied or "members" in self.late:
            return False
        self._hear_members()
        return True

    def _permit(self, permitted: Permission | None) -> None:
        self.permitted = permitted
        self.world.laws.permitted(self, permitted)

    def _rewrite_what_was_lost(self) -> None:
        """Our own report is not what we wrote: data loss."""
        there = self.world.consul.keys.get(KEYS.report(APP, self.name))
        if self.told is not None and (there is None or there.modify_index != self.mark):
            self._write_report(self.told)

    def _probe(self) -> None:
        for colour in Colour:
            for backend in self.k.backends[colour]:
                ok, known = (
                    self.world.answers(self, colour, backend.name),
                    self.k.healths[colour][backend.name],
                )
                if known.healthy is not ok and not (colour in self.mute and known.healthy is None):
                    self._see(Probed(APP, colour, backend.name, ok, 0.001, "" if ok else "503"))
        if self.decided is not None and (self.world.slow or self.k.traffic):
            mean_s = 5.0 if self.decided in self.world.slow else 0.01
            self._see(TrafficSeen(APP, self.decided, self.world.now_s, 100, 0, mean_s))

    # -- prepare ------------------------------------------------------------------------------------

    def _prepare(self, snapshot: Snapshot) -> Snapshot:
        """Begin with the answer that is owed; give it when the hands have ended."""
        self._preparing = preparing.due(snapshot) or self._preparing
        asked, known = self._preparing, preparing.asked(snapshot)
        if asked is None or self.stuck:
            return snapshot
        self._preparing = None
        if known is None or known.id != asked.preparation.id:
            return snapshot  # nobody's answer
        hands = Gate("config", not self.failing, "as told", Because.CHECK_FAILED if self.failing else "")
        self.k = replace(self.k, prepared=Prepared(known.id, (*asked.gates, hands)))
        return freeze(self.k, self.world.now_s)

    # -- do -----------------------------------------------------------------------------------------

    def _do(self, action: Action, snapshot: Snapshot) -> None:
        if isinstance(action, Confirm | Revert | Decline):
            self._write(action)
        elif not isinstance(action, Hold):
            self._touch(action, snapshot)

    def _touch(self, action: Touch, snapshot: Snapshot) -> None:
        self.world.laws.touching(self, action, snapshot)
        outcome = self._outcome(action)
        if isinstance(outcome, Serving):
            self._save(replace(self.k, serving=outcome))
        before = self.k
        self.k = adv.advance(self.k, action, outcome, now_s=self.world.now_s)
        self.world.laws.settled(self)
        self.world.say(self, told(action) if isinstance(outcome, Serving) else f"{told(action)}: failed")
        if isinstance(outcome, Serving) and isinstance(action, Flip | Take):
            self.world.laws.proved(self, action.desired)
            self._record(before, action)

    def _outcome(self, action: Touch) -> Serving | Failed:
        if isinstance(action, Take):
            return adv.taken(self.k, action.desired)
        if self.failing:
            self.failing -= 1
            return Failed(Because.NOT_PROVED, "as told")
        match action:
            case Flip(desired):
                self.decided, made = (
                    desired.colour,
                    adv.serving(self.k, desired, Proved("runtime", 1.0), at="t"),
                )
            case FallBack(_, colour):
                self.decided, made = colour, adv.fallen(self.k, action, Proved("runtime", 1.0), at="t")
            case Repair(serving):
                self.decided, made = serving.colour, serving
        self.tampered, self.reported = False, False
        self._point("after the proxy")
        return made

    def _write(self, action: Write) -> None:
        self.world.laws.writing(self, action)
        before = self.world.consul.written
        outcome = acts.write(self.line, APP, action, by=self.name)  # type: ignore[arg-type]
        if isinstance(outcome, adv.Written):
            self.world.laws.written(self, action)
            self._record_outcome(action)
        elif self.world.consul.written > before:
            self.world.laws.written(self, action)  # and never known here
        self.world.say(
            self, told(action) + ("" if isinstance(outcome, adv.Written) else f": {_lost(outcome)}")
        )
        self._point("after writing")
        self.k = adv.written(self.k, action, outcome, now_s=self.world.now_s)
        if isinstance(outcome, adv.Overtaken):
            self.world.laws.heard_wishes(self)

    def _record(self, before: Knowledge, action: Flip | Take) -> None:
        if not self.world.with_history:
            return
        order = action.desired.order
        event = {
            "what": order.kind.value if order else "flip",
            "by": order.by if order else "consul",
            "to": action.desired.colour,
        }
        try:
            writes.create_event(self.line, APP, action.desired.generation, event)  # type: ignore[arg-type]
        except StoreFault:
            return

    def _record_outcome(self, action: Write) -> None:
        if not self.world.with_history:
            return
        generation = action.desired.generation
        outcome = {Confirm: "confirmed", Revert: "reverted", Decline: "declined"}[type(action)]
        if isinstance(action, Decline):
            by = action.desired.order.by if action.desired.order else "consul"
            event = {"what": "flip", "to": action.desired.colour, "by": by, "outcome": outcome}
            writes.create_event(self.line, APP, generation, event)  # type: ignore[arg-type]
        else:
            writes.set_outcome(self.line, APP, generation, outcome)  # type: ignore[arg-type]

    # -- publish ------------------------------------------------------------------------------------

    def _publish(self, snapshot: Snapshot) -> None:
        told = report(snapshot, self.action, version="sim", proxy="sim", shown=str)
        due = told["vote"] is not None and self.world.now_s - self._voted_s >= VOTE_RENEWED_S
        if told != self.told or due:
            self.told = told
            self._write_report(told)
        if self.mark > 0:
            self.told_step = self._read_step

    def _write_report(self, told: dict[str, Any]) -> None:
        dated = {**told, "at": str(self.world.now_s)}
        try:
            self.mark = self.line.transact([Set(KEYS.report(APP, self.name), records.encode(dated))])
        except StoreFault:
            self.mark = -1  # so that it is written again
            return
        self._voted_s, self.reported = self.world.now_s, True
        self.world.laws.published(self, told)


def _lost(outcome: adv.Overtaken | Failed) -> str:
    return f"{outcome.because}" if isinstance(outcome, Failed) else "overtaken"


def told(action: Action) -> str:
    """What a node does or waits for, in one line."""
    match action:
        case Hold(because, detail):
            return f"{because}: {detail}" if detail else str(because)
        case Repair(serving):
            return f"Repair to {serving.colour}"
        case Flip(wish) | Take(wish):
            return f"{type(action).__name__} to {wish.colour}@{wish.generation}"
        case FallBack(wish, colour, release):
            return f"FallBack to {colour} {release} from {wish.colour}@{wish.generation}"
        case Confirm(wish, release):
            return f"Confirm {wish.colour} {release} @{wish.generation}"
        case Revert(wish, colour, release, rejected, because):
            left = f"{wish.colour}@{wish.generation}"
            return f"Revert {left} to {colour} {release}, rejecting {list(rejected)}: {because}"
        case Decline(wish, colour, _, because, detail):
            return f"Decline {wish.colour}@{wish.generation} back to {colour}: {because}, {detail}"
