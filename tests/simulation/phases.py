"""The laws of what two-phase flips add: preparations, commits, and when a colour is drained.

A preparation changes nothing, a yes is true for as long as it stands, nobody commits what was not
acknowledged (invariant 14); drained is never said of a colour that somebody may still be on (11).
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bgctl import rivals
from bgd.core import decide as table
from bgd.core.actions import Action
from bgd.core.knowledge import Link
from bgd.core.model import Colour, Desired, LiveKey
from bgd.core.snapshot import Snapshot
from bgd.store import records
from tests.simulation.consul import KEYS, PREPARE
from tests.simulation.witness import Witness

if TYPE_CHECKING:
    from tests.simulation.node import Node
    from tests.simulation.operators import Bgctl
    from tests.simulation.world import World


class Broken(AssertionError):
    """An invariant does not hold."""


class Phases(Witness):
    """Raises `Broken` for what must not happen."""

    def __init__(self, world: "World") -> None:
        super().__init__(world)
        self.yes: dict[str, set[str]] = {}
        """Who has ever said yes to a preparation."""

    def broken(self, what: str) -> None:
        raise Broken(f"at {self.world.now_s:g} s: {what}")

    def _must(self, holds: bool, number: int, what: str) -> None:
        if not holds:
            self.broken(f"invariant {number}: {what}")

    # -- prepare ------------------------------------------------------------------------------------

    def decided(self, node: "Node", snapshot: Snapshot, action: Action) -> None:
        """Whatever is decided while something is prepared would be so without it."""
        ledger = snapshot.ledger
        if ledger is None or ledger.preparation is None:
            return
        without = replace(snapshot, ledger=replace(ledger, preparation=None), prepared=None)
        self._must(table.decide(without) == action, 14, f"{node.name} does {action} for a preparation")

    def stands(self, node: "Node") -> None:
        """What a node says after its turn of the preparation that it has read of: nothing of another one,
        and yes only to what it sees able to serve."""
        seen, prepared = self._of(node), (node.told or {}).get("prepared")
        if prepared and prepared["ok"]:
            self.yes.setdefault(prepared["id"], set()).add(node.name)
        if prepared is None or node.k.link is not Link.UP:
            return
        asked = seen.ledger.preparation
        if asked is None or asked.id != prepared["id"]:
            self.broken(f"invariant 14: {node.name} answers to {prepared['id']}, which is over")
            return
        if not prepared["ok"]:
            return
        (healthy, total), releases = seen.healthy[asked.colour], seen.releases[asked.colour]
        self._must(0 < total == healthy, 14, f"{node.name} says yes to {asked.colour}: {healthy}/{total}")
        known = len(releases) == 1 and (asked.release is None or releases == {asked.release})
        self._must(known, 14, f"{node.name} says yes to {asked.release}, {asked.colour} runs {set(releases)}")
        fit = not seen.objected[asked.colour] and not releases & seen.ledger.rejected
        self._must(fit, 14, f"{node.name} says yes to {asked.colour}, which it would not flip to")

    # -- commit -------------------------------------------------------------------------------------

    def acknowledged(self, flip: "Bgctl") -> None:
        """An operator holds the answers for complete."""
        app, asked = self.world.app(), flip.round.asked
        owed = {each.node for each in app.members if each.serves != asked.colour} - set(flip.round.without)
        lacking = owed - self.yes.get(asked.id, set())
        self._must(not lacking, 14, f"{flip.by} would commit, and {sorted(lacking)} never said yes")
        silent = owed - self.world.consul.alive(self.world.now_s)
        self._must(not silent, 14, f"{flip.by} would commit, and {sorted(silent)} are silent")

    def committed(self, flip: "Bgctl", held: str, live: LiveKey) -> None:
        """A flip was written, over `live`; `held` is the session that had the preparation then."""
        self._must(
            not rivals.moved(flip.seen, live), 14, f"{flip.by} commits over {live}, which came meanwhile"
        )
        self._must(held == flip.session, 14, f"{flip.by} commits, and {held or 'nobody'} is preparing")
        self._must(not flip.round.asked.dry, 14, f"{flip.by} commits a forecast")
        lacking = set(flip.acknowledged or ()) - self.yes.get(flip.round.asked.id, set())
        self._must(not lacking, 14, f"{flip.by} names {sorted(lacking)}, who never said yes")

    def _preparations(self) -> None:
        """Nothing is left of a preparation when the session of its bgctl has ended."""
        there = self.world.consul.keys.get(PREPARE)
        held = there is None or there.session in self.world.consul.holds
        self._must(held, 14, "a preparation has outlived its bgctl")

    def observed(self, node: "Node") -> None:
        """What a proxy did while live was dead is known once its daemon sees that."""
        super().observed(node)
        if node.decided and not self._of(node).healthy[node.decided][0]:
            node.unseen.clear()

    # -- drain --------------------------------------------------------------------------------------

    def _drained(self) -> None:
        """A colour that is drained is served by no member, nobody is on it, and live is known good."""
        for colour in Colour:
            if self.world.drained(colour):
                for node in map(self.world.named, self._in_store()):
                    self._left(node, colour)
                self._known_good(colour.other)

    def _left(self, node: "Node", colour: Colour) -> None:
        alive = node.name in self.world.consul.alive(self.world.now_s)
        self._must(alive, 11, f"{colour} is drained, and {node.name} is silent")
        there = self.world.consul.keys[KEYS.report("shop", node.name)]
        if not node.reported or there.modify_index != node.mark:
            return  # it has not told yet what it did last
        serves = node.decided is colour and not node.tampered
        self._must(not serves, 11, f"{colour} is drained, and {node.name} serves it")
        known = [each for each in node.open(colour) if each.step < node.told_step and each not in node.unseen]
        self._must(not known, 11, f"{colour} is drained, and {len(known)} are on it at {node.name}")

    def _report(self, node: str) -> dict[str, Any]:
        return records.decode(self.world.consul.keys[KEYS.report("shop", node)].value) or {}

    def _known_good(self, live: Colour) -> None:
        event = self.world.seen()[1]
        good, key = event.ledgers["shop"].good.get(live), event.keys["shop"]
        self._must(isinstance(key, Desired) and key.colour is live, 11, f"drained, and {live} is not live")
        confirmed = good is not None and good.release in {
            self._report(name)["colours"][live]["release"] for name in self._in_store()
        }  # as is told: a node may have seen more, and a restore brings back what it said before
        self._must(confirmed, 11, f"drained, and {live} is not confirmed: {good}")
