"""The world of a storm or a story: Consul, nodes, two colours of backends, operators, one clock.

A step is a tuple of words, `("ui", "green")`; `do` carries it out. Nothing is drawn here: the same steps
make the same world. Time passes only by steps.
"""

import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bgd.core.events import LiveSeen, MembersSeen
from bgd.core.model import Backend, Colour, Desired, KeyBad, KeyGone, Member, Policy
from bgd.core.snapshot import freeze
from bgd.store import ledgers, records, writes
from bgd.store.ops import Delete, Set
from tests.simulation.consul import APP, KEYS, LIVE, SESSION_S, Consul, Line
from tests.simulation.laws import Laws
from tests.simulation.node import Node
from tests.simulation.operators import Operators

BLUE, GREEN = Colour.BLUE, Colour.GREEN
POLICY = Policy(rise=1, fall=1, probation_s=30.0, patience_s=60.0, latency_s=1.0, min_requests=10)
BACKENDS = 2


@contextmanager
def no_time_of_day(moments: Iterator[int]) -> Iterator[None]:
    """What is written carries numbers for times, and nobody waits: the same steps write the same."""
    before = records.now_at, writes.PAUSE_S, writes.SETTLE_S
    records.now_at, writes.PAUSE_S, writes.SETTLE_S = lambda: f"moment {next(moments)}", 0.0, 0.0
    try:
        yield
    finally:
        records.now_at, writes.PAUSE_S, writes.SETTLE_S = before


Step = tuple[Any, ...]


class Box:
    """One backend, as it truly is."""

    def __init__(self, colour: Colour, number: int) -> None:
        self.address = f"10.0.{0 if colour is BLUE else 1}.{number + 1}"
        self.id = f"{colour}-{number}"
        self.name = f"{self.address}:80"
        self.release = "1.0"
        self.up, self.objection, self.registered = True, "", True

    def backend(self) -> Backend:
        return Backend(self.address, 80, self.id, self.release, objection=self.objection)


class World(Operators):
    """`do` a step; every invariant is asserted in it and after it."""

    def __init__(
        self, nodes: int, *, policy: Policy = POLICY, with_history: bool = False, backends: int = BACKENDS
    ) -> None:
        super().__init__()
        self.now_s, self.policy, self.with_history = 1000.0, policy, with_history
        self.consul = Consul()
        self.operator = Line(self.consul)
        self.boxes = {colour: [Box(colour, i) for i in range(backends)] for colour in Colour}
        self.names = {box.name: box for boxes in self.boxes.values() for box in boxes}
        self.step = 0
        self.slow: set[Colour] = set()
        self.catalog_version = 0
        self._moments = itertools.count()
        self.said: list[str] = []
        self.talks = False
        self._releases = 1
        self._catalog: tuple[int, dict[Colour, tuple[Backend, ...]]] = (-1, {})
        self._seen: tuple[Any, LiveSeen] | None = None
        self._members: tuple[Any, MembersSeen] | None = None
        self._words: dict[tuple[str, int, bool, bytes], Member | None] = {}
        self.laws = Laws(self)
        self.nodes = [Node(self, f"lb-{i}") for i in range(nodes)]
        self._advance(0.0)

    # -- what stands --------------------------------------------------------------------------------

    def answers(self, node: Node, colour: Colour, name: str) -> bool:
        box = self.names.get(name)
        return box is not None and box.up and colour not in node.blind

    def catalog(self) -> dict[Colour, tuple[Backend, ...]]:
        if self._catalog[0] != self.catalog_version:
            told = {
                c: tuple(box.backend() for box in boxes if box.registered) for c, boxes in self.boxes.items()
            }
            self._catalog = (self.catalog_version, told)
        return self._catalog[1]

    def seen(self) -> tuple[Any, LiveSeen]:
        """Wish and ledger as they stand, with what tells whether they have changed."""
        stamp: Any = self.consul.versions["apps"]
        if LIVE not in self.consul.keys:
            stamp = (stamp, self.consul.index)
        if self._seen is None or self._seen[0] != stamp:
            self._seen = (stamp, ledgers.read(self.operator, APP))  # type: ignore[arg-type]
        return self._seen

    def members(self) -> MembersSeen:
        alive = self.consul.alive(self.now_s)
        stamp = (self.consul.versions["nodes"], alive)
        if self._members is None or self._members[0] != stamp:
            found, gone = [], set()
            for entry in self.operator.read_tree(KEYS.members(APP))[1]:
                name = KEYS.member_of(entry.key)
                assert name is not None, entry.key
                member = self._member(name, entry.modify_index, name in alive, entry.value)
                if member is None:
                    gone.add(name)
                else:
                    found.append(member)
            self._members = (stamp, MembersSeen(APP, tuple(found), frozenset(gone)))
        return self._members[1]

    def _member(self, name: str, index: int, alive: bool, value: bytes) -> Member | None:
        key = (name, index, alive, value)
        if key not in self._words:
            told = records.decode(value) or {}
            gone = records.is_gone(told)
            self._words[key] = None if gone else records.member_in(name, told, alive=alive, stamp=index)
        return self._words[key]

    def history(self) -> list[dict[str, Any]]:
        """What happened, oldest first."""
        entries = self.operator.read_tree(KEYS.history(APP))[1]
        numbered = writes.in_order(self.operator, entries)  # type: ignore[arg-type]
        return [records.decode(entry.value) or {} for _, entry in numbered]

    def named(self, name: str) -> Node:
        return self.nodes[int(name.removeprefix("lb-"))]

    def say(self, node: Node, what: object) -> None:
        if self.talks:
            self.said.append(f"{node.name}: {what}")

    def tell(self, who: str, what: str) -> None:
        if self.talks:
            self.said.append(f"{who}: {what}")

    # -- steps --------------------------------------------------------------------------------------

    def do(self, step: Step) -> None:
        name, *words = step
        self.step += 1
        with no_time_of_day(self._moments):
            getattr(self, f"do_{name}")(*words)
            self.laws.after()

    def node(self, number: int) -> Node:
        return self.nodes[number % len(self.nodes)]

    def do_turn(self, number: int) -> None:
        self.node(number).turn()

    def do_all(self, order: int = 0) -> None:
        """All nodes turn, in some order."""
        nodes = list(self.nodes)
        if order:
            random.Random(order).shuffle(nodes)
        for node in nodes:
            node.turn()

    def do_split(self, order: int, step: Step = ()) -> None:
        """All read, then something happens, then all act on what they read."""
        nodes = list(self.nodes)
        random.Random(order).shuffle(nodes)
        for node in nodes:
            node.read()
        if step:
            name, *words = step
            getattr(self, f"do_{name}")(*words)
        for node in nodes:
            node.act()

    def do_read(self, number: int, *watches: str) -> None:
        self.node(number).read(*watches)

    def do_part(self, number: int, watch: str) -> None:
        """A node hears one of its watches alone, and acts on that."""
        self.node(number).read(watch)
        self.node(number).act()

    def do_late(self, number: int, watch: str) -> None:
        """The answers of a watch do not come, until all are prompt again."""
        self.node(number).late.setdefault(watch, self.now_s)

    def do_prompt(self, number: int) -> None:
        self.node(number).late.clear()

    def do_act(self, number: int) -> None:
        """On what was read before: the world may have moved on."""
        node = self.node(number)
        if node.name in self.laws.seen:
            node.act()

    def do_wait(self, seconds: float) -> None:
        self._advance(seconds)

    def do_sleep(self, seconds: float, order: int = 0) -> None:
        """Time in which everybody is about; with an order, they read and act at the same time."""
        self._everybody(order)
        self._advance(seconds)
        self._everybody(order)

    def _everybody(self, order: int) -> None:
        if order:
            self.do_split(order)
        else:
            self.do_all()

    def _advance(self, seconds: float) -> None:
        self.now_s += seconds
        for node in self.nodes:
            if node.running and not node.line.cut:
                self.consul.sessions[node.name] = self.now_s + SESSION_S
        self.renew()

    def do_browse(self, number: int, seconds: float) -> None:
        """Somebody comes through a node's proxy, and stays so long."""
        self.node(number).browse(seconds)

    # operators

    def do_ui(self, colour: str) -> None:
        self._set_live(colour.encode())
        self.laws.asked()

    def do_bad(self) -> None:
        self._set_live(b"purple")

    def _set_live(self, value: bytes) -> None:
        self.operator.transact([Set(LIVE, value)])

    def do_delete(self) -> None:
        self.operator.transact([Delete(LIVE)])

    def do_cli(self, colour: str, force: bool = False, release: str | None = "as shown") -> None:
        """bgctl set-live, whose gates are the daemons' here."""
        wished = Colour(colour)
        shown = {backend.release for backend in self.catalog()[wished]}
        told = next(iter(shown)) if len(shown) == 1 else None
        after = max((m.desired.generation for m in self.members().members if m.desired), default=0)
        live = self.seen()[1].keys[APP]
        assert isinstance(live, Desired | KeyBad | KeyGone)
        outcome = writes.set_live(
            self.operator,  # type: ignore[arg-type]
            APP,
            wished,
            by="alice",
            force=force,
            release=told if release == "as shown" else release,
            after=after,
            seen=live,
        )
        assert isinstance(outcome, writes.Done), outcome
        self.laws.asked()

    def do_pause(self) -> None:
        self.operator.transact([Set(KEYS.pause(APP), b"deploy")])

    def do_resume(self) -> None:
        self.operator.transact([Delete(KEYS.pause(APP))])

    def do_unreject(self) -> None:
        self.operator.transact([Delete(key) for key in self.consul.keys if "/rejected/" in key])
        self.laws.unrejected()

    def do_forget(self, number: int) -> None:
        node, key = self.node(number), KEYS.report(APP, self.node(number).name)
        if not node.running and node.name not in self.consul.alive(self.now_s) and key in self.consul.keys:
            self.operator.transact([Set(key, records.encode(records.gone("alice")))])
            self.laws.forgotten(node)

    # backends

    def do_redeploy(self, colour: str, release: str = "") -> None:
        self._releases += 1
        for box in self.boxes[Colour(colour)]:
            box.release, box.up = release or f"1.{self._releases}", True
            self._ended(box)
        self.slow.discard(Colour(colour))
        self.catalog_version += 1

    def do_mix(self, colour: str) -> None:
        self._releases += 1
        self.boxes[Colour(colour)][0].release = f"1.{self._releases}"
        self.catalog_version += 1

    def do_kill(self, colour: str, number: int = -1) -> None:
        for i, box in enumerate(self.boxes[Colour(colour)]):
            if number in (-1, i):
                box.up = False
                self._ended(box)

    def _ended(self, box: Box) -> None:
        for node in self.nodes:
            node.cut(box.name)

    def do_heal(self, colour: str) -> None:
        for box in self.boxes[Colour(colour)]:
            box.up = True
        self.slow.discard(Colour(colour))

    def do_slow(self, colour: str) -> None:
        self.slow.add(Colour(colour))

    def do_object(self, colour: str, objection: str = "disk") -> None:
        for box in self.boxes[Colour(colour)]:
            box.objection = objection
        self.catalog_version += 1

    def do_register(self, colour: str, registered: bool = True) -> None:
        for box in self.boxes[Colour(colour)]:
            box.registered = registered
        self.catalog_version += 1

    # lines, daemons, proxies

    def do_blind(self, number: int, colour: str) -> None:
        self.node(number).blind.add(Colour(colour))

    def do_see(self, number: int) -> None:
        self.node(number).blind.clear()
        self.node(number).mute.clear()
        self.node(number).failing = 0
        self.node(number).stuck = self.node(number).uncountable = False

    def do_stick(self, number: int) -> None:
        """Its answers to preparations do not come."""
        self.node(number).stuck = True

    def do_miscount(self, number: int) -> None:
        """It cannot tell what is open through its proxy."""
        self.node(number).uncountable = True

    def do_mute(self, number: int, colour: str) -> None:
        """Its probes of a colour have no result: nothing is known of backends it has not seen yet."""
        self.node(number).mute.add(Colour(colour))

    def do_cut(self, number: int) -> None:
        self.node(number).line.cut = True

    def do_deny(self, number: int) -> None:
        self.node(number).line.denied = True

    def do_join(self, number: int) -> None:
        self.node(number).line.cut = self.node(number).line.denied = False
        self.node(number).late.clear()

    def do_unsure(self, number: int) -> None:
        self.node(number).line.unsure = True

    def do_crash(self, number: int, at: str = "") -> None:
        """Now, or at a point of the next turn."""
        if at:
            self.node(number).crash_at = at
        else:
            self.node(number).crash()

    def do_lose(self, number: int) -> None:
        """Crash, and the disk is lost."""
        self.node(number).crash()
        self.node(number).torn = True

    def do_stop(self, number: int) -> None:
        """SIGTERM: the sign of life is taken away."""
        self.node(number).crash()
        self.consul.sessions.pop(self.node(number).name, None)

    def do_start(self, number: int) -> None:
        node = self.node(number)
        if not node.running:
            self.laws.starting(node)
            node.start()
            self._advance(0.0)

    def do_fail(self, number: int, times: int = 1) -> None:
        """Its next flips fail."""
        self.node(number).failing = times

    def do_tamper(self, number: int) -> None:
        node = self.node(number)
        if node.decided is not None:
            node.decided, node.tampered = node.decided.other, True

    # the store

    def do_save(self) -> None:
        self.consul.save()

    def do_restore(self) -> None:
        self.consul.restore(self.now_s)
        self.laws.restored()

    # -- calm ---------------------------------------------------------------------------------------

    def calm(self, colour: Colour, *, by_ui: bool, by_phases: bool = False) -> None:
        """Faults stop, somebody asks: every member proves the wish, and it becomes good (invariant 13).

        By two phases: every member says yes first, and the colour that was left is drained in the end.
        """
        with no_time_of_day(self._moments):
            self._calm(colour, by_ui, by_phases)
            if by_phases:
                self._until(lambda: self.drained(colour.other), 8, 60.0, f"{colour.other} is not drained")

    def _calm(self, colour: Colour, by_ui: bool, by_phases: bool) -> None:
        self._repair_lines()
        for _ in range(3):
            self.do_sleep(31.0)
        self.laws.followed()
        self._repair_backends()
        self._until(self._nobody_in_fallback, 30, 60.0, "in fallback from a colour that is up")
        shown = self.catalog()[colour][0].release
        self._ask(colour, by_ui, by_phases and shown not in self.seen()[1].ledgers[APP].rejected)
        self._until(self._all_proved, 20, 5.0, "does not prove the wish")
        self.do_sleep(self.policy.probation_s + 1)
        self._until(
            lambda: self._is_good(colour, shown), 3, self.policy.probation_s + 1, f"{colour} is not good"
        )

    def _ask(self, colour: Colour, by_ui: bool, by_phases: bool) -> None:
        shown = self.catalog()[colour][0].release
        rejected = shown in self.seen()[1].ledgers[APP].rejected
        rewound = any(
            node.k.wish and node.k.wish.desired.generation > self.consul.index for node in self.nodes
        )
        if by_phases:
            self.do_prepare("carol", colour.value)
            self._until(self._all_prepared, 4, 5.0, f"does not prepare {colour}")
            self.do_commit("carol")
        elif by_ui and not rejected and not rewound:
            self._set_live(b"" if self.consul.keys.get(LIVE) else b" ")
            self.do_ui(colour.value)
        else:
            self.do_cli(colour.value, rejected)

    def _all_prepared(self) -> bool:
        self.do_look("carol")
        return "carol" in self.flips and self.flips["carol"].acknowledged is not None

    def _repair_lines(self) -> None:
        self.flips.clear()
        for i, node in enumerate(self.nodes):
            node.blind.clear()
            node.line.cut = node.line.denied = node.line.unsure = False
            node.late.clear()
            node.mute.clear()
            node.failing, node.crash_at = 0, ""
            node.stuck = node.uncountable = False
            self.do_start(i)

    def _repair_backends(self) -> None:
        for boxes in self.boxes.values():
            for box in boxes:
                box.up, box.objection, box.registered, box.release = True, "", True, boxes[-1].release
        self.slow.clear()
        self.catalog_version += 1

    def _until(self, holds: Callable[[], bool], times: int, seconds: float, what: str) -> None:
        for _ in range(times):
            self.do_all()
            self.laws.after()
            if holds():
                return
            self._advance(seconds)
        stand = "; ".join(f"{n.name} {n.decided} {n.action}" for n in self.nodes)
        self.laws.broken(f"invariant 13: {what}: {stand}")

    def _nobody_in_fallback(self) -> bool:
        return not any(freeze(node.k, self.now_s).in_fallback for node in self.nodes)

    def _all_proved(self) -> bool:
        live = self.seen()[1].keys[APP]
        assert isinstance(live, Desired)
        found = self.members().members
        return bool(found) and all(
            m.proved
            and m.serving is not None
            and (m.serving.colour, m.serving.generation) == (live.colour, live.generation)
            for m in found
        )

    def _is_good(self, colour: Colour, release: str) -> bool:
        good = self.seen()[1].ledgers[APP].good.get(colour)
        return good is not None and good.release == release
