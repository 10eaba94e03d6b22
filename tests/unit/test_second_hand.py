"""When servers and structure are brought in step."""

from collections.abc import Mapping
from typing import Any

from bgd.core.model import Wanted
from bgd.second_hand import GAP_S, SecondHand
from tests.unit.core.world import BLUE, GREEN, Node, backends


class Asked:
    """Hands that only note what they are asked for; a fake, since only the moment matters here."""

    def __init__(self) -> None:
        self.syncs: list[Mapping[str, Wanted | None]] = []

    def sync(self, wanted: Mapping[str, Wanted | None]) -> None:
        self.syncs.append(wanted)


class Hand:
    """A second hand over one node's app."""

    def __init__(self) -> None:
        self.node = Node().serves(BLUE, 1)
        self.asked: Any = Asked()
        self.hand = SecondHand(self.asked)
        self.turn()

    def turn(self) -> int:
        self.hand.turn({"shop": self.node.k}, self.node.now_s)
        return len(self.asked.syncs)

    def ended(self) -> None:
        self.hand.ended({"shop": self.node.k}, {}, self.node.now_s)

    def pass_gap(self) -> None:
        self.node.now_s += GAP_S


def test_what_is_wanted_is_asked_once() -> None:
    """As long as nothing is wanted otherwise, nothing is asked again."""
    hand = Hand()
    hand.ended()
    hand.pass_gap()

    assert hand.turn() == 1


def test_what_comes_during_a_sync_is_asked_after_it() -> None:
    """The loop turns for it by itself, as soon as the gap is over."""
    hand = Hand()
    hand.node.catalog(backends(BLUE, 2), backends(GREEN, 3, "2.0"))
    assert hand.turn() == 1
    hand.ended()

    assert hand.hand.wake_s == hand.node.now_s + GAP_S
    hand.pass_gap()
    assert hand.turn() == 2


def test_a_sick_server_is_a_reason() -> None:
    """A proxy without checks of its own is told who is sick, and who is well again."""
    hand = Hand()
    hand.ended()
    hand.pass_gap()
    hand.node.probe(BLUE, False, only=0)

    assert hand.turn() == 2
    assert hand.asked.syncs[-1]["shop"].sick == {"10.0.0.1:8080"}
