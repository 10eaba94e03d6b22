"""The invariants, judged from what truly is: asserted whenever a node acts, and after every step.

Nothing here asks the core for its opinion. What a node may know is noted by the `Witness`; what it does is
compared with that. The numbers are those of the protocol's invariants.
"""

from typing import TYPE_CHECKING

from bgd.core import fleet
from bgd.core.actions import Confirm, Decline, FallBack, Flip, Repair, Revert, Take, Touch, Write
from bgd.core.knowledge import Link
from bgd.core.model import Colour, Desired, Ledger, Order, OrderKind
from bgd.core.permission import Permission
from bgd.core.snapshot import Snapshot
from tests.simulation.consul import KEYS
from tests.simulation.phases import Phases
from tests.simulation.witness import Given, Seen

if TYPE_CHECKING:
    from tests.simulation.node import Node

KNOWN_S, VOTE_S, EARLY_S = 60.0, 31.0, 30.0
"""A vote may be 10 s old by its reader, who may see it first when its voter falls silent after 20 s."""


class Laws(Phases):
    """Those about what nodes do; `Phases` has those about preparations and draining."""

    # -- what a node does to itself -----------------------------------------------------------------

    def touching(self, node: "Node", action: Touch, snapshot: Snapshot) -> None:
        match action:
            case Flip(desired):
                self._flipping(node, desired, snapshot)
            case FallBack(desired, colour):
                self._automatic(node, desired, colour)
                self._must(
                    self._of(node).healthy[desired.colour][0] == 0, 9, "fallback from a colour that serves"
                )
            case Take() | Repair():
                pass

    def _flipping(self, node: "Node", wish: Desired, snapshot: Snapshot) -> None:
        self._must(
            (wish.generation, wish.colour.encode()) in self.world.consul.wishes, 7, f"nobody wished {wish}"
        )
        seen = self._of(node)
        self._note_wish(node, seen)
        asked = seen.wish[1] if seen.wish else 0
        self._must(asked >= seen.serial, 7, f"{node.name} goes back to an older wish {wish}")
        if node.decided is wish.colour and not snapshot.astray:
            self.broken(f"{node.name} flips to {wish.colour}, which it serves")
        if snapshot.in_fallback:
            self._returning(node, wish)
        elif not (wish.order and wish.order.force):
            self._unforced(node, wish)

    def _returning(self, node: "Node", wish: Desired) -> None:
        """Live has been well for the hold-down, or what is served instead is dead: once per hold-down."""
        seen, now_s = self._of(node), self.world.now_s
        seen.returns_early = now_s - seen.unwell_s.get(wish.colour, -1e9) < EARLY_S
        if seen.returns_early:
            dead = not seen.healthy[wish.colour.other][0]
            self._must(dead, 2, f"{node.name} returns to {wish.colour} before the hold-down is over")
            self._must(now_s - seen.early_s >= EARLY_S, 2, f"{node.name} returned early twice")

    def _unforced(self, node: "Node", wish: Desired) -> None:
        seen, order = self._of(node), wish.order
        me = self._serial(wish)
        healthy, _ = seen.healthy[wish.colour]
        both_down = not any(count for count, _ in seen.healthy.values())
        revert = order is not None and order.kind is OrderKind.REVERT
        members = self.members | {node.name}  # one that comes anew counts, too
        majority = 2 * len(self.refusals.get(me, set()) & members) > len(members)
        refused = me in self.dead and majority and node.decided is not None and not revert
        refused = refused and not self._only_late(wish)
        self._must(not refused, 12, f"{wish} was refused by a majority, and goes live on {node.name}")
        followed = self._someone_proved(wish) or fleet.someone_proved(node.k.members, wish)
        if not followed:
            self._as_ordered(node, wish, seen)
        if followed or revert:
            self._must(bool(healthy) or both_down, 1, f"{node.name} follows to {wish.colour}, which is dead")
        elif order and node.name in order.prepared:
            self._must(bool(healthy), 1, f"{node.name} was prepared for {wish.colour}, which is dead")
            shown = seen.releases[wish.colour]
            self._must(shown <= {order.release}, 12, f"{node.name} was prepared for {wish}, not {set(shown)}")
        elif node.decided is None or self._serves_nobody(node):
            self._must(bool(healthy), 1, f"{node.name} flips to {wish.colour}, which is dead")
        else:
            self._gates(node, wish)

    def _only_late(self, wish: Desired) -> bool:
        """Whether it was refused for nothing but a catalog that had not shown yet what the order names."""
        me, order = self._serial(wish), wish.order
        shown = {backend.release for backend in self.world.catalog()[wish.colour]}
        first_s = min((seen.first_s[me] for seen in self.seen.values() if me in seen.first_s), default=0.0)
        patient = self.world.now_s - first_s <= self.world.policy.patience_s
        return order is not None and shown == {order.release} and patient and me not in self.rejected

    def _as_ordered(self, node: "Node", wish: Desired, seen: Seen) -> None:
        order: Order | None = wish.order
        known = self.world.now_s - seen.catalog_s <= KNOWN_S or node.decided is None
        self._must(known, 7, f"{node.name} takes {wish} by an old catalog")
        shown = seen.releases.get(wish.colour, frozenset())
        releases = frozenset((order.release,)) if order and order.release else shown
        rejected = bool(releases) and releases <= seen.ledger.rejected
        revert = order is not None and order.kind is OrderKind.REVERT
        self._must(revert or not rejected, 12, f"{node.name} takes {wish}, whose release is rejected")
        changed = order is not None and order.release and shown and order.release not in shown
        self._must(not changed, 12, f"{node.name} takes {wish}, but {wish.colour} runs {set(shown)}")
        first_s = seen.first_s.get(self._serial(wish), self.world.now_s)
        late = node.decided is not None and self.world.now_s - first_s > self.world.policy.patience_s
        self._must(revert or not late, 12, f"{node.name} takes {wish} after its patience")

    def _gates(self, node: "Node", wish: Desired) -> None:
        seen = self._of(node)
        healthy, total = seen.healthy[wish.colour]
        self._must(0 < total == healthy, 1, f"{node.name} flips to {wish.colour}: {healthy}/{total} healthy")
        self._must(len(seen.releases[wish.colour]) == 1, 1, f"{node.name} flips to mixed {wish.colour}")
        self._must(
            not seen.objected[wish.colour], 1, f"{node.name} flips to {wish.colour}, to which Consul objects"
        )

    def _serves_nobody(self, node: "Node") -> bool:
        served = {node.decided, node.k.serving.colour if node.k.serving else None} - {None}
        return any(not self._of(node).healthy[colour][0] for colour in served if colour)

    def _automatic(self, node: "Node", wish: Desired, idle: Colour) -> None:
        """What fallback and revert have in common."""
        seen = self._of(node)
        self._must(seen.healthy[idle][0] > 0, 1, f"{node.name} goes to {idle}, which is dead")
        self._known(node, wish, idle, seen.known_s, seen.ledger, seen.releases.get(idle, frozenset()))

    def _known(
        self,
        node: "Node",
        wish: Desired,
        idle: Colour,
        known_s: float,
        ledger: Ledger,
        releases: frozenset[str],
    ) -> None:
        """What is known, and since when, lets traffic go to the idle colour unasked."""
        good = ledger.good.get(idle)
        self._must(self.world.now_s - known_s <= KNOWN_S, 1, f"{node.name} goes by old knowledge")
        self._must(
            good is not None and good.release not in ledger.rejected and releases <= {good.release},
            1,
            f"{node.name} goes to {idle} {set(releases)}, known good is {good}",
        )
        self._must(ledger.pause is None, 4, f"{node.name} acts while paused")
        self._must(self._kind(wish) is not OrderKind.REVERT, 2, f"{node.name} acts after a revert")

    # -- what a proxy does by itself ----------------------------------------------------------------

    def permitted(self, node: "Node", permission: Permission | None) -> None:
        """From now on the proxy may do this, and nothing else."""
        seen = self._of(node)
        if permission is None:
            seen.permitted = None
            return
        idle, wish = permission.live.other, node.k.wish.desired if node.k.wish else None
        if wish is None or wish.colour is not permission.live:
            self.broken(f"invariant 7: {node.name} permits what nobody wished: {permission}")
            return
        self._must(seen.healthy[idle][0] > 0, 1, f"{node.name} permits {idle}, which is dead")
        releases = seen.releases.get(idle, frozenset())
        seen.permitted = Given(permission, wish, seen.known_s, seen.ledger, releases)

    def _proxies(self) -> None:
        """A proxy whose live colour is dead sends its requests where it was permitted to."""
        for node in self.world.nodes:
            given = self._of(node).permitted
            if given is None or self.world.now_s >= given.permission.until_s:
                continue
            live, idle = given.permission.live, given.permission.live.other
            if node.decided is live and not self._answers(node, live) and self._answers(node, idle):
                self._known(node, given.wish, idle, given.known_s, given.ledger, given.releases)

    def _answers(self, node: "Node", colour: Colour) -> bool:
        return any(self.world.answers(node, colour, each.name) for each in node.k.backends[colour])

    # -- what a node does to all --------------------------------------------------------------------

    def writing(self, node: "Node", action: Write) -> None:
        self._must(node.k.link is Link.UP, 5, f"{node.name} writes {action} while Consul is {node.k.link}")

    def written(self, node: "Node", action: Write) -> None:
        match action:
            case Revert():
                self._reverted(node, action)
            case Confirm(desired, release):
                self._confirmed(node, desired.colour, release)
            case Decline(desired, colour):
                told = self.told_proved.get(self._serial(desired), {})
                read = self._of(node).told
                proved = {name for name, since in told.items() if since <= read} & self.members
                self._must(not proved, 3, f"{node.name} declines {desired}, which serves")
                self._must(self._kind(desired) is not OrderKind.REVERT, 2, f"{node.name} declines a revert")
                self._must(KEYS.pause("shop") not in self.world.consul.keys, 4, "declined while paused")
                self._must(node.decided is colour, 3, f"{node.name} declines to what it does not serve")

    def _reverted(self, node: "Node", action: Revert) -> None:
        wish, members = action.desired, self._known_to(node)
        self._automatic(node, wish, action.colour)
        serial = self._serial(wish)
        self._must(serial not in self.reverted, 2, f"generation {wish.generation} is reverted twice")
        has_served = serial in self.served or self._of(node).proved == (wish.colour, wish.generation)
        self._must(has_served, 3, f"{wish} never served, and is reverted")
        self._must(KEYS.pause("shop") not in self.world.consul.keys, 4, "reverted while paused")
        self.reverted.add(serial)
        self.reverts_since_asked += 1
        self._must(self.reverts_since_asked <= 1, 2, "two reverts, and nobody has asked between")
        since_s = self.world.now_s - VOTE_S
        down = {name for name in members if self.seen[name].down_s.get(wish.colour, -1e9) >= since_s}
        self._must(
            2 * len(down) > len(members), 9, f"{sorted(down)} of {sorted(members)} saw {wish.colour} down"
        )
        for release in action.rejected:
            served = wish.order.release if wish.order else None
            known = {backend.release for backend in node.k.backends[wish.colour]} | {served}
            self._must(
                release in known or not known - {None},
                3,
                f"{release} is rejected, and ran not on {wish.colour}",
            )

    def _confirmed(self, node: "Node", colour: Colour, release: str) -> None:
        members = self._known_to(node)
        probation_s = self.world.policy.probation_s
        proved = {name for name in members if self.steady.get((name, colour, release), 0.0) >= probation_s}
        self._must(
            2 * len(proved) > len(members), 10, f"{colour} {release} is good by {sorted(proved)} alone"
        )

    def _known_to(self, node: "Node") -> frozenset[str]:
        """The members that can be known of: in the store now, or ever read by who acts. Of one whose report
        a restore has lost, and who does not write it anew, nobody else can know."""
        return (self._of(node).members | self._in_store()) & self.members | {node.name}

    # -- after every step ---------------------------------------------------------------------------

    def after(self) -> None:
        """No proxy does more than it may, nobody is on a colour that is drained, no preparation is left."""
        self._proxies()
        self._drained()
        self._preparations()

    def followed(self) -> None:
        """A wish that somebody serves is served by all who can see its colour alive."""
        live = self.world.seen()[1].keys["shop"]
        if not isinstance(live, Desired) or not fleet.someone_proved(self.world.members().members, live):
            return
        for node in self.world.nodes:
            wish, seen = node.k.wish, self._of(node)
            same = wish is not None and wish.desired == live and seen.healthy[live.colour][0] > 0
            elsewhere = node.decided is live.colour.other and not (node.k.serving and node.k.serving.fallback)
            self._must(not (same and elsewhere), 6, f"{node.name} does not follow to {live.colour}")
