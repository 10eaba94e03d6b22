"""A wish that this node has said yes to: it is flipped to at once, as long as it is what was asked for."""

from dataclasses import replace

from bgd.core.actions import Decline, Flip
from bgd.core.model import Desired, Member
from bgd.core.reasons import Because
from tests.unit.core.world import BLUE, GREEN, Node, backends, member, order

PREPARED = order(GREEN, release="2.0", prepared=("lb-1",), after=10)


def wished() -> Node:
    """Blue is served; green, to which this node has said yes, is weak by now."""
    return Node().serves(BLUE, 10).probe(GREEN, False, only=0).wish(GREEN, 11, PREPARED)


def test_who_has_said_yes_flips_without_the_gates() -> None:
    """They were passed when it was asked: the fleet is to flip within moments."""
    assert wished().action == Flip(Desired(GREEN, 11, PREPARED))


def test_who_was_not_asked_has_its_gates() -> None:
    """The order does not name it."""
    node = Node().serves(BLUE, 10).probe(GREEN, False, only=0)

    assert node.wish(GREEN, 11, replace(PREPARED, prepared=("lb-2",))).because is Because.TARGET_NOT_READY


def test_a_dead_colour_is_not_flipped_to() -> None:
    """Whatever was said of it."""
    assert wished().probe(GREEN, False).because is Because.TARGET_NOT_READY


def test_a_colour_that_has_become_mixed_is_not_what_was_asked_for() -> None:
    """A redeploy between prepare and commit, half done, would go live unasked."""
    node = wished().catalog(backends(BLUE, 3), backends(GREEN, 2, "2.0") + backends(GREEN, 3, "2.1")[2:])

    assert node.because is Because.MIXED_RELEASES


def test_a_yes_does_not_outlive_patience() -> None:
    """A wish that was not taken for so long must not go live unattended, prepared or not."""
    node = Node().serves(BLUE, 10).probe(GREEN, False).wish(GREEN, 11, PREPARED).wait(601).heard()

    assert node.probe(GREEN, True).because is Because.WISH_EXPIRED


def refused(after: int) -> Member:
    """A member that has refused green of generation 11, which was given in knowledge of `after`."""
    told = member("lb-2", BLUE, 10, because=Because.WISH_EXPIRED)
    return replace(told, desired=Desired(GREEN, 11), after=after)


def test_a_refusal_is_of_one_wish_also_when_its_number_comes_twice() -> None:
    """A restored store gives numbers again: what was refused under one is not what is asked for now."""
    again = replace(PREPARED, prepared=(), after=11)
    node = Node().serves(BLUE, 10).ledger(rejected=("2.0",)).wish(GREEN, 11, again).wait(5).heard()

    assert node.members(refused(after=10)).because is Because.RELEASE_REJECTED
    assert isinstance(node.members(refused(after=11)).action, Decline)
