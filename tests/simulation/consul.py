"""A Consul that is not there: keys with their indexes, transactions, sessions, snapshots, bad lines.

It takes the real operations of `bgd.store.ops` and answers as the real client does, so that the real
transactions run against it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bgd.store.client import Fault, StoreFault
from bgd.store.keys import Keys
from bgd.store.ops import Cas, CheckIndex, CheckMissing, CheckSession, Delete, Lock, Op, Set

KEYS = Keys("bluegreen")
APP = "shop"
LIVE, ORDER, PREPARE = KEYS.live(APP), KEYS.order(APP), KEYS.prepare(APP)
SESSION_S = 20.0
"""After so long a session that is not renewed ends: twice its TTL."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One key; fits bgd.store's Entry."""

    key: str
    value: bytes
    create_index: int
    modify_index: int
    flags: int = 0
    session: str = ""


@dataclass(slots=True)
class Consul:
    """All that the servers hold. `versions` count the changes of each tree: who has not to look, sees so."""

    index: int = 10
    keys: dict[str, Kept] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=lambda: {"apps": 0, "nodes": 0, "history": 0})
    wishes: dict[tuple[int, bytes], int] = field(default_factory=dict)
    """The order in which wishes were really written: what a restore brings back is not written."""
    written: int = 0
    orders: dict[int, bytes] = field(default_factory=dict)
    """Every order that was ever written, by its generation."""
    sessions: dict[str, float] = field(default_factory=dict)
    """The daemons' by their nodes, with when they end."""
    holds: dict[str, float] = field(default_factory=dict)
    """The operators', which hold keys that go with them."""
    saved: tuple[int, dict[str, Kept], frozenset[str]] | None = None

    def transact(self, ops: Sequence[Op]) -> int:
        """All or nothing."""
        for op in ops:
            self._check(op)
        index = self.index + 1
        changed = [self._apply(op, index) for op in ops]
        if any(changed):
            self.index = index
        return index

    def save(self) -> None:
        self.saved = (self.index, dict(self.keys), frozenset(self.holds))

    def restore(self, now_s: float) -> None:
        """Back to the snapshot, numbers and all; without one, to nothing at all. The sessions in it are
        there again, also the dead: for as long as one that is not renewed."""
        self.index, keys, holds = self.saved or (5, {}, frozenset[str]())
        self.keys = dict(keys)
        self.holds = dict.fromkeys(holds, now_s + SESSION_S)
        for tree in self.versions:
            self.versions[tree] += 1

    def expire(self, now_s: float) -> None:
        """End the sessions that nobody has renewed."""
        for session in [session for session, until_s in self.holds.items() if until_s <= now_s]:
            self.end(session)

    def end(self, session: str) -> None:
        """End a session; what it holds goes with it."""
        self.holds.pop(session, None)
        for key in [kept.key for kept in self.keys.values() if kept.session == session]:
            self.transact([Delete(key)])

    def alive(self, now_s: float) -> frozenset[str]:
        return frozenset(node for node, until_s in self.sessions.items() if until_s > now_s)

    def _check(self, op: Op) -> None:
        there = self.keys.get(op.key)
        stands = there.modify_index if there else 0
        match op:
            case Cas(_, _, index) | CheckIndex(_, index) if index != stands:
                raise StoreFault(Fault.CONFLICT, f"{op.key}: index is stale")
            case CheckMissing() if there is not None:
                raise StoreFault(Fault.CONFLICT, f"{op.key}: exists")
            case CheckSession(_, session) if there is None or there.session != session:
                raise StoreFault(Fault.CONFLICT, f"{op.key}: is not held by {session}")
            case Lock(_, _, session) if session not in self.holds or (there and there.session):
                raise StoreFault(Fault.CONFLICT, f"{op.key}: lock is already held")

    def _apply(self, op: Op, index: int) -> bool:
        there = self.keys.get(op.key)
        match op:
            case Lock():
                self.keys[op.key] = Kept(op.key, op.value, index, index, session=op.session)
            case Set() | Cas():
                if there is not None and (there.value, there.flags) == (op.value, op.flags):
                    return False
                born, session = (there.create_index, there.session) if there else (index, "")
                self.keys[op.key] = Kept(op.key, op.value, born, index, op.flags, session)
                if op.key == LIVE:
                    self.written += 1
                    self.wishes[(index, op.value)] = self.written
                    self.orders.pop(index, None)
                elif op.key == ORDER:
                    self.orders[index] = op.value
            case Delete():
                if there is None:
                    return False
                del self.keys[op.key]
            case _:
                return False
        self.versions[op.key.split("/")[1]] += 1
        return True


@dataclass(slots=True)
class Line:
    """One node's way to Consul; fits what bgd.store asks of its Client."""

    consul: Consul
    cut: bool = False
    denied: bool = False
    unsure: bool = False
    """The next write is carried out, and its answer lost."""
    keys: Keys = KEYS

    def transact(self, ops: Sequence[Op]) -> int:
        if self.cut:
            raise StoreFault(Fault.LOST, "cut off")
        if self.denied:
            raise StoreFault(Fault.DENIED, "permission denied")
        index = self.consul.transact(ops)
        if self.unsure:
            self.unsure = False
            raise StoreFault(Fault.UNKNOWN, "the answer was lost")
        return index

    def read(self, key: str, *, consistent: bool = False) -> Kept | None:
        return self.look(key)[1]

    def look(self, key: str, *, consistent: bool = False) -> tuple[int, Kept | None]:
        if self.cut:
            raise StoreFault(Fault.LOST, "cut off")
        return self.consul.index, None if self.denied else self.consul.keys.get(key)

    def read_tree(self, prefix: str, *, consistent: bool = False) -> tuple[int, list[Kept]]:
        if self.cut:
            raise StoreFault(Fault.LOST, "cut off")
        if self.denied:
            return self.consul.index, []
        found = sorted(key for key in self.consul.keys if key.startswith(prefix))
        return self.consul.index, [self.consul.keys[key] for key in found]
