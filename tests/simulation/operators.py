"""Operators with a bgctl each: they prepare, look at the answers, commit in one transaction, or die before.

What bgctl does between two looks at Consul is one step, so that anything can come between.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bgctl import drained as draining
from bgctl import rivals, standing, told
from bgctl.prepared import Round
from bgd.core.model import Colour, Desired, LiveKey, Preparation
from bgd.store import prepares, records, writes
from bgd.store.client import StoreFault
from tests.simulation.consul import APP, KEYS, PREPARE, SESSION_S, Consul, Line

if TYPE_CHECKING:
    from tests.simulation.laws import Laws
    from tests.simulation.world import World


@dataclass(slots=True)
class Bgctl:
    """One `set-live` that is under way."""

    by: str
    session: str
    round: Round
    seen: LiveKey
    """The live key over which it will write."""
    after: int
    acknowledged: tuple[str, ...] | None = None
    """Who has said yes, once nobody is missing: it will commit on that."""
    stalled: bool = False
    """Frozen: it renews nothing, and may go on one day."""


class Operators:
    """Those who ask by two phases."""

    consul: Consul
    operator: Line
    laws: "Laws"
    now_s: float

    def __init__(self) -> None:
        self.flips: dict[str, Bgctl] = {}
        self._begun = 0
        self._app: tuple[Any, standing.App] | None = None

    def renew(self: "World") -> None:
        """Each bgctl that lives keeps its session; the sessions of the others end."""
        for flip in self.flips.values():
            if not flip.stalled and flip.session in self.consul.holds:
                self.consul.holds[flip.session] = self.now_s + SESSION_S
        self.consul.expire(self.now_s)

    def app(self: "World") -> standing.App:
        """The app as bgctl reads it."""
        (changed, event), alive = self.seen(), self.consul.alive(self.now_s)
        stamp = (changed, self.consul.versions["nodes"], alive)
        if self._app and self._app[0] == stamp:
            return self._app[1]
        members = []
        for entry in self.operator.read_tree(KEYS.members(APP))[1]:
            name, report = KEYS.member_of(entry.key) or "", records.decode(entry.value) or {}
            if not records.is_gone(report):
                members.append(told.Member(name, name in alive, report))
        self._app = (stamp, standing.App(APP, event.keys[APP], tuple(members), event.ledgers[APP]))
        return self._app[1]

    def drained(self: "World", colour: Colour) -> bool:
        """What `wait --drained` says."""
        live = self.seen()[1].keys[APP]
        if not isinstance(live, Desired) or live.colour is colour:
            return False
        return draining.drained(self.app(), colour)

    def do_prepare(self: "World", by: str, colour: str, dry: bool = False, *without: int) -> None:
        """First phase; one flip at a time each."""
        self.do_withdraw(by)
        self._begun += 1
        wished, session, app = Colour(colour), f"{by}-{self._begun}", self.app()
        left_out = frozenset(f"lb-{number % len(self.nodes)}" for number in without)
        releases = standing.asked_for(app, wished, left_out)
        if len(releases) != 1:
            self.tell(by, f"{colour} runs {sorted(releases)}; nothing was written")
            return
        asked = Preparation(id=session, colour=wished, release=min(releases), by=by, dry=dry)
        self.consul.holds[session] = self.now_s + SESSION_S
        if prepares._lock(self.operator, PREPARE, asked, session):  # type: ignore[arg-type]
            self.consul.end(session)
            self.tell(by, "flip-in-progress; nothing was written")
            return
        self.flips[by] = Bgctl(by, session, Round(asked, left_out), app.live, app.highest_generation)

    def do_look(self: "World", by: str) -> None:
        """It reads the answers. The first no ends it; once nobody is missing it will commit."""
        flip = self.flips.get(by)
        if flip is None or flip.stalled:
            return
        app, asked = self.app(), flip.round.asked
        if rivals.moved(flip.seen, app.live):
            self._over(by, "superseded; nothing was written")
        elif not prepares._held_by(self.operator.read(PREPARE), flip.session):
            self._over(by, "the preparation is gone; nothing was written")
        elif ended := flip.round.refused(app):
            self._over(by, f"{ended.because}: {ended.detail}")
        elif missing := standing.names(flip.round.waiting(app)).replace("none", ""):
            self.tell(by, f"waits for {missing}")
        elif asked.dry or not app.members:
            self._over(by, "it could be done; nothing was written")
        else:
            flip.acknowledged = tuple(member.node for member in flip.round.acknowledged(app))
            self.tell(by, f"prepared on {len(flip.acknowledged)}/{len(app.members)}")
            self.laws.acknowledged(flip)

    def do_commit(self: "World", by: str, answer: str = "") -> None:
        """Second phase, by what was read before."""
        flip = self.flips.get(by)
        if flip is None or flip.acknowledged is None:
            return
        self.operator.unsure = answer == "lost"
        before, held, live = self.consul.written, self._held(), self.seen()[1].keys[APP]
        outcome = self._commit(flip)
        self.operator.unsure = False
        if self.consul.written > before:
            self.laws.committed(flip, held, live)
            self.laws.asked()
        if isinstance(outcome, writes.Done):
            self._over(by, f"{flip.round.asked.colour} is written as generation {outcome.generation}")
        else:
            self._over(by, "superseded; nothing was written")

    def do_withdraw(self: "World", by: str) -> None:
        """Ctrl-C: its session is ended."""
        if by in self.flips:
            self._over(by, "the preparation is withdrawn; nothing was written")

    def do_die(self: "World", by: str) -> None:
        """kill -9: its session ends by itself."""
        self.flips.pop(by, None)

    def do_stall(self: "World", by: str) -> None:
        """It is frozen."""
        if by in self.flips:
            self.flips[by].stalled = True

    def _held(self: "World") -> str:
        there = self.consul.keys.get(PREPARE)
        return there.session if there else ""

    def _over(self: "World", by: str, why: str) -> None:
        self.tell(by, why)
        self.consul.end(self.flips.pop(by).session)

    def _commit(self: "World", flip: Bgctl) -> writes.Outcome | StoreFault:
        asked = flip.round.asked
        try:
            return writes.set_live(
                self.operator,  # type: ignore[arg-type]
                APP,
                asked.colour,
                by=flip.by,
                release=asked.release,
                prepared=flip.acknowledged or (),
                session=flip.session,
                after=flip.after,
                seen=flip.seen,
            )
        except StoreFault as fault:
            return fault
