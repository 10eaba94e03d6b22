"""What has truly happened in a storm, as far as the laws ask: who looked, proved, refused, told, and when.

Only notes are taken here, and nothing is judged: `laws` does that. What a node may know is noted when it
looks (`observed`, `heard_…`).
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bgd.core import fleet
from bgd.core.model import Colour, Desired, Ledger, Member, OrderKind
from bgd.core.permission import Permission
from bgd.core.reasons import Because
from bgd.store import records

if TYPE_CHECKING:
    from tests.simulation.node import Node
    from tests.simulation.world import World

Serial = int
"""The place of a wish among all that were written: numbers of the store may come twice."""


@dataclass(slots=True)
class Seen:
    """What one node has truly seen, whatever it made of it."""

    healthy: dict[Colour, tuple[int, int]] = field(default_factory=dict)
    down_s: dict[Colour, float] = field(default_factory=dict)
    wishes_s: float = float("-inf")
    catalog_s: float = float("-inf")
    """When it truly heard of wishes and ledger, and of the catalog."""
    told: int = 0
    """How much had been told by members, when it read them last."""
    members: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()
    """Whom it has ever read among the members, and what of that stands on its disk."""
    ledger: Ledger = field(default_factory=Ledger)
    releases: dict[Colour, frozenset[str]] = field(default_factory=dict)
    objected: dict[Colour, bool] = field(default_factory=dict)
    first_s: dict[Serial, float] = field(default_factory=dict)
    served: tuple[Colour, str] | None = None
    since_s: float = 0.0
    serial: Serial = 0
    proved: tuple[Colour, int] | None = None
    """The newest wish that it has proved; and that one's colour and number, which may come twice."""
    wish: tuple[Colour, Serial] | None = None
    """The colour it was asked for last, and the newest wish that asked for it."""
    unwell_s: dict[Colour, float] = field(default_factory=dict)
    returns_early: bool = False
    early_s: float = float("-inf")
    permitted: "Given | None" = None

    @property
    def known_s(self) -> float:
        """When the older of what it knows was heard."""
        return min(self.wishes_s, self.catalog_s)


@dataclass(frozen=True, slots=True)
class Given:
    """What a node knew when it permitted its proxy to go to the idle colour by itself."""

    permission: Permission
    wish: Desired
    known_s: float
    ledger: Ledger
    releases: frozenset[str]


class Witness:
    """Notes what happens, and knows what is true."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.seen: dict[str, Seen] = {}
        self.served: set[Serial] = set()
        self.told = 0
        self.told_proved: dict[Serial, dict[str, int]] = {}
        """Who has told that it serves a wish, and after how much else had been told."""
        self.refusals: dict[Serial, set[str]] = {}
        self.rejected: set[Serial] = set()
        """Wishes that somebody refused because their release was rejected."""
        self.dead: set[Serial] = set()
        self.reverted: set[Serial] = set()
        self.reverts_since_asked = 0
        self.members: set[str] = set()
        """Who has ever reported, and was not forgotten: a store that lost it does not make it fewer."""
        self.steady: dict[tuple[str, Colour, str], float] = {}

    def _of(self, node: "Node") -> Seen:
        found = self.seen.get(node.name)
        if found is None:
            found = self.seen[node.name] = Seen()
        return found

    # -- what is noted ------------------------------------------------------------------------------

    def observed(self, node: "Node") -> None:
        """A node has probed."""
        seen, world = self._of(node), self.world
        for colour in Colour:
            backends = node.k.backends[colour]
            healthy = sum(world.answers(node, colour, backend.name) for backend in backends)
            seen.healthy[colour] = (healthy, len(backends))
            if healthy < len(backends) or not backends:
                seen.unwell_s[colour] = world.now_s
            if not healthy or (colour in world.slow and node.decided is colour):
                seen.down_s[colour] = world.now_s
        self._note_steady(node, seen)

    def settled(self, node: "Node") -> None:
        """A node has changed its proxy."""
        self._note_steady(node, self._of(node))

    def _note_steady(self, node: "Node", seen: Seen) -> None:
        colour, now_s = node.decided, self.world.now_s
        releases = {backend.release for backend in node.k.backends[colour]} if colour else set()
        healthy, total = seen.healthy[colour] if colour else (0, 0)
        well = len(releases) == 1 and healthy and 2 * healthy >= total and colour not in self.world.slow
        served = (colour, min(releases)) if well and colour else None
        if served != seen.served:
            seen.served, seen.since_s = served, now_s
        if served:
            key = (node.name, *served)
            self.steady[key] = max(self.steady.get(key, 0.0), now_s - seen.since_s)

    def heard_catalog(self, node: "Node") -> None:
        """A node has read which backends there are."""
        seen, catalog = self._of(node), self.world.catalog()
        seen.catalog_s = self.world.now_s
        seen.releases = {colour: frozenset(b.release for b in catalog[colour]) for colour in Colour}
        seen.objected = {colour: any(b.objection for b in catalog[colour]) for colour in Colour}

    def heard_members(self, node: "Node") -> None:
        """A node has read what the others say."""
        seen = self._of(node)
        seen.told, seen.members = self.told, seen.members | self._in_store()

    def saved(self, node: "Node") -> None:
        """What a node knows stands on its disk."""
        self._of(node).kept = self._of(node).members

    def heard_wishes(self, node: "Node") -> None:
        """A node has read wish and ledger."""
        seen, world = self._of(node), self.world
        event = world.seen()[1]
        self._note_wish(node, seen)
        seen.wishes_s, seen.ledger = world.now_s, event.ledgers["shop"]
        live = event.keys["shop"]
        if isinstance(live, Desired):
            seen.first_s.setdefault(self._serial(live), world.now_s)

    def _note_wish(self, node: "Node", seen: Seen) -> None:
        """A restore that brings back an older wish for the same colour brings only its number."""
        wish = node.k.wish.desired if node.k.wish else None
        if wish is not None:
            serial = self._serial(wish)
            same = seen.wish is not None and seen.wish[0] is wish.colour
            seen.wish = (wish.colour, max(serial, seen.wish[1]) if same and seen.wish else serial)

    def asked(self) -> None:
        """An operator has wished."""
        self.reverts_since_asked = 0

    def starting(self, node: "Node") -> None:
        """A daemon knows what its disk does, and no more."""
        seen, wish = self._of(node), node.disk.wish if node.disk else None
        seen.members = seen.kept = frozenset() if node.torn else seen.kept
        if node.torn or node.disk is None:
            self._forget_words(node)
        if node.torn or wish is None:
            seen.serial, seen.proved, seen.wish = 0, None, None
            seen.first_s.clear()
        elif seen.wish is None or self._serial(wish.desired) != seen.wish[1]:
            seen.first_s.clear()

    def _forget_words(self, node: "Node") -> None:
        """Its disk is lost, and with it what it has proved and refused."""
        for provers in self.told_proved.values():
            provers.pop(node.name, None)
        for refusers in self.refusals.values():
            refusers.discard(node.name)
        self._count_refusals()

    def forgotten(self, node: "Node") -> None:
        """An operator has ended its membership, and its word: majorities are of those that are left."""
        self.members.discard(node.name)
        for provers in self.told_proved.values():
            provers.pop(node.name, None)
        self._count_refusals()

    def restored(self) -> None:
        """What the store had learnt since is lost with it: what was refused there may be told again, and
        what was proved counts while it is so still, and still told."""
        self.unrejected()
        told = {m.node: self._proved_by(m) for m in self.world.members().members if self._still_serves(m)}
        for wish, provers in self.told_proved.items():
            self.told_proved[wish] = {name: at for name, at in provers.items() if told.get(name) == wish}
        for seen in self.seen.values():
            seen.first_s.clear()

    def unrejected(self) -> None:
        """An operator, or a restore, has lifted what was rejected."""
        self.dead.clear()
        self.rejected.clear()

    def _count_refusals(self) -> None:
        for wish in list(self.dead):
            if 2 * len(self.refusals[wish] & self.members) <= len(self.members):
                self.dead.discard(wish)

    def proved(self, node: "Node", wish: Desired) -> None:
        """A node has proved a wish."""
        if self._of(node).returns_early:
            self._of(node).returns_early, self._of(node).early_s = False, self.world.now_s
        self.served.add(self._serial(wish))
        self.dead.discard(self._serial(wish))  # a node that served nothing may open its port with it
        seen = self._of(node)
        seen.serial, seen.proved = max(seen.serial, self._serial(wish)), (wish.colour, wish.generation)

    def published(self, node: "Node", told: dict[str, Any]) -> None:
        """A node's report stands in Consul."""
        self.members.add(node.name)
        self.told += 1
        serving, desired = told["serving"], told["desired"]
        if serving and serving["proved"] and not serving["fallback"]:
            serial = self._serial(Desired(Colour(serving["colour"]), serving["generation"]))
            self.told_proved.setdefault(serial, {}).setdefault(node.name, self.told)
        if desired and told["because"] in fleet.REFUSALS:
            wish = self._serial(Desired(Colour(desired["colour"]), desired["generation"]))
            if told["because"] == Because.RELEASE_REJECTED:
                self.rejected.add(wish)
            refusers = self.refusals.setdefault(wish, set())
            refusers.add(node.name)
            members = self.members
            if 2 * len(refusers & members) > len(members) and wish not in self.served:
                self.dead.add(wish)

    # -- what is true -------------------------------------------------------------------------------

    def _serial(self, wish: Desired) -> int:
        return self.world.consul.wishes.get((wish.generation, wish.colour.encode()), 0)

    def _in_store(self) -> frozenset[str]:
        return frozenset(member.node for member in self.world.members().members)

    def _proved_by(self, member: Member) -> Serial:
        serving = member.serving
        if serving is None or serving.fallback or not member.proved:
            return 0
        return self._serial(Desired(serving.colour, serving.generation))

    def _still_serves(self, member: Member) -> bool:
        """Whether what a restored report says of its node is true, or would be but for a fallback."""
        node = self.world.named(member.node)
        knows = node.k if node.running else node.disk
        now, told = knows.serving if knows and not node.torn else None, member.serving
        return now is not None and told is not None and now.generation == told.generation

    def _kind(self, wish: Desired) -> OrderKind | None:
        written = self.world.consul.orders.get(wish.generation)
        order = records.order_in(written) if written else None
        return order.kind if order and order.colour is wish.colour else None

    def _someone_proved(self, wish: Desired) -> bool:
        return any(
            member.proved
            and member.serving is not None
            and (member.serving.colour, member.serving.generation) == (wish.colour, wish.generation)
            for member in self.world.members().members
        )
