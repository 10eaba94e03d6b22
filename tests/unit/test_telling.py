"""What the loop offers to the history beside what it has proved. Store and observer only listen here."""

from collections.abc import Mapping
from typing import Any

from bgd.core.actions import Take
from bgd.core.advance import taken
from bgd.core.knowledge import CATALOG_LAG_S, Knowledge
from bgd.core.model import Desired, OrderKind
from bgd.hands import Finished
from bgd.host.clock import SystemClock
from bgd.status.board import Board
from bgd.telling import Teller
from tests.unit.core.world import BLUE, GREEN, Node, order


class Listening:
    """The store's door, as far as the history goes through it."""

    def __init__(self) -> None:
        self.outcomes: dict[int, Any] = {}

    def publish(self, app: str, report: Mapping[str, Any]) -> None: ...
    def follow_members(self, app: str, wanted: bool) -> None: ...
    def write(self, *_: Any) -> Any: ...
    def record(self, app: str, generation: int, event: Mapping[str, Any]) -> None:
        self.outcomes[generation] = event.get("outcome")


def offered(node: Node, *kept: Knowledge) -> dict[int, Any]:
    """What is offered once the node has taken the last wish; `kept` is what it knew by and by."""
    store = Listening()
    teller = Teller(version="1", store=store, observer=Board("lb-1"), clock=SystemClock())
    for before, after in zip(kept, [*kept[1:], node.k], strict=True):
        teller.learnt(before, after)
    assert node.k.wish is not None
    desired = node.k.wish.desired
    teller.finished(Finished("shop", Take(desired), taken(node.k, desired)), node.k, node.now_s)
    assert not store.outcomes, "other nodes may be flipping still"
    teller.report(node.snapshot, node.action)
    return store.outcomes


def test_a_wish_that_was_overtaken_is_told_with_the_next() -> None:
    """Nobody here had proved it."""
    node = Node().serves(BLUE, 10)
    known = node.wish(GREEN, 11).k
    node.wish(BLUE, 12)

    assert offered(node, known) == {11: "superseded", 12: None}


def test_a_declined_wish_is_told_by_who_declined_it() -> None:
    """Also when this node had noted meanwhile for which release it refuses the wish."""
    node = Node().serves(BLUE, 10).ledger(rejected=("2.0",))
    fresh = node.wish(GREEN, 11).k
    noted = node.wait(CATALOG_LAG_S + 1).heard().k
    assert noted.wish is not None
    assert noted.wish.refused == "2.0"
    node.live(Desired(BLUE, 12, order(BLUE, kind=OrderKind.DECLINED, after=11)))

    assert offered(node, fresh, noted) == {12: None}
