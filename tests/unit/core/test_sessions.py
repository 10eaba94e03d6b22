"""What is still open on the colour that was left: when it is counted, and when it is told."""

from bgd.core.events import SessionsSeen
from bgd.core.model import Colour
from tests.unit.core.world import BLUE, GREEN, Node


def counted(node: Node, idle: int | None, *, live: int = 0, cut: int = 0) -> None:
    """One look later this many are open on green, the colour that is left."""
    node.wait(1)
    node.see(SessionsSeen("shop", node.now_s, {GREEN: idle, BLUE: live}, cut))


def told(node: Node) -> int | None:
    return node.k.sessions.open.get(GREEN)


def drains(node: Node) -> bool:
    return node.snapshot.drains


def left() -> Node:
    """Blue is served, green was."""
    return Node().serves(BLUE, 10)


def test_nothing_is_known_before_it_is_counted() -> None:
    """Unknown is not none: it is counted."""
    assert told(left()) is None
    assert drains(left())


def test_the_first_count_is_told_at_once_and_the_next_ten_seconds_later() -> None:
    """Each telling is a write to Consul."""
    node = left()
    counted(node, 7)
    assert told(node) == 7
    for seen in range(9):
        counted(node, seen + 8)
    assert told(node) == 7

    counted(node, 3)
    assert told(node) == 3


def test_none_must_be_seen_twice_and_is_told_at_once() -> None:
    """Between a try and its next one a request is open, and no session is."""
    node = left()
    counted(node, 7)
    counted(node, 0)
    assert told(node) == 7
    counted(node, 1)
    counted(node, 0)
    assert told(node) == 7

    counted(node, 0)
    assert told(node) == 0
    assert not drains(node)


def test_a_lone_none_at_the_beginning_is_not_told() -> None:
    """Nor is it a number yet."""
    node = left()
    counted(node, 0)
    assert told(node) is None
    assert drains(node)
    counted(node, 0)
    assert told(node) == 0


def test_what_could_not_be_counted_is_not_none() -> None:
    """And it breaks the run of empty counts."""
    node = left()
    counted(node, 0)
    counted(node, None)
    counted(node, 0)
    assert told(node) is None


def test_what_was_counted_before_a_flip_is_void() -> None:
    """The colours have changed places since."""
    node = left()
    counted(node, 0)
    counted(node, 0)
    asked_s = node.now_s
    node.wish(GREEN, 11).wait(1).act()
    assert node.k.serving is not None
    assert node.k.serving.colour is GREEN
    assert node.k.sessions.open == {}

    node.see(SessionsSeen("shop", asked_s, {Colour.BLUE: 0, Colour.GREEN: 0}))
    node.see(SessionsSeen("shop", asked_s, {Colour.BLUE: 0, Colour.GREEN: 0}))
    assert node.k.sessions.open == {}
    assert drains(node)


def test_what_was_cut_is_told_at_once() -> None:
    """Somebody's request ended by it."""
    node = left()
    counted(node, 7)
    counted(node, 2, cut=5)
    assert (told(node), node.k.sessions.cut) == (2, 5)


def test_while_live_answers_to_nobody_no_colour_is_known_to_be_empty() -> None:
    """The proxy may go over by itself before this node does, and whoever it brings may stay long."""
    node = left()
    counted(node, 0)
    counted(node, 0)
    assert not drains(node)

    node.probe(BLUE, False)
    assert told(node) is None
    assert drains(node)
    counted(node, 0)
    counted(node, 0)
    assert told(node) is None
    assert drains(node)
    for _ in range(10):
        counted(node, 2)
    assert told(node) == 2

    node.probe(BLUE, True)
    counted(node, 0)
    counted(node, 0)
    assert told(node) == 0
