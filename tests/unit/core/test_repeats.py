"""Which probes say nothing new: hundreds a second do not, and need not be learnt from."""

import pytest

from bgd.core.events import Probed
from bgd.core.learn import learn, repeats
from bgd.core.model import Ledger
from tests.unit.core.world import AT, BLUE, Node


def probe(node: Node, *, ok: bool = True, detail: str = "") -> Probed:
    return Probed("shop", BLUE, next(iter(node.k.healths[BLUE])), ok, 0.001, detail)


@pytest.mark.parametrize(("ok", "detail"), [(True, ""), (False, "503 from 10.0.0.1:8080")])
def test_what_repeats_teaches_nothing(ok: bool, detail: str) -> None:
    """A probe that repeats what is known leaves knowledge as it is; all others are learnt from."""
    node = Node().serves(BLUE, 10)
    for _ in range(5):
        event = probe(node, ok=ok, detail=detail)
        learnt = learn(node.k, event, now_s=node.now_s, at=AT)
        assert repeats(node.k, event) == (learnt is node.k)
        node.see(event)
    assert repeats(node.k, probe(node, ok=ok, detail=detail))
    assert not repeats(node.k, probe(node, ok=not ok))
    assert not repeats(node.k, probe(node, ok=ok, detail="something else"))


def test_nothing_repeats_while_a_wish_may_be_refused() -> None:
    """A refusal falls due by time, and whatever event comes next is its clock."""
    node = Node().serves(BLUE, 10)
    assert repeats(node.k, probe(node))
    node.ledger(rejected={"9.9"}).wish(BLUE.other, 11)
    assert node.k.ledger != Ledger()
    assert not repeats(node.k, probe(node))


def test_a_backend_that_has_gone_is_unknown() -> None:
    """The last probe of a backend that left the catalog repeats nothing."""
    node = Node().serves(BLUE, 10)
    assert not repeats(node.k, Probed("shop", BLUE, "10.9.9.9:1", True, 0.001, ""))
