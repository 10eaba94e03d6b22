"""What became of a wish that was waited for."""

from bgctl import fate
from bgctl.ending import Exit
from bgctl.standing import App
from bgd.core.model import Colour, Desired, Ledger, Order, OrderKind
from bgd.core.reasons import Because
from tests.unit.bgctl.fleet import app, member

BLUE, GREEN = Colour.BLUE, Colour.GREEN
WISH = Desired(GREEN, 10)


def followed_by(kind: OrderKind, *, after: int = 10, reason: str = "", rejected: str = "") -> App:
    """An app in which another wish, for blue, stands now."""
    order = Order(kind=kind, colour=BLUE, release="2.4.0", by="bgd on lb-1", reason=reason, after=after)
    ledger = Ledger(rejected=frozenset({rejected} - {""}))
    return app(member("lb-1"), live=Desired(BLUE, 12, order), ledger=ledger)


def test_it_stands_while_the_key_names_it():
    """The very generation that is waited for has no ending."""
    assert fate.ending(app(member("lb-1"), live=WISH), WISH) is None


def test_reverted():
    """A revert of it is exit 5, and says to what, by whom, why, and what is rejected."""
    ended = fate.ending(followed_by(OrderKind.REVERT, reason="green is down: 503", rejected="2.5.0"), WISH)

    assert ended is not None
    assert (ended.exit, ended.because) == (Exit.REVERTED, Because.REVERTING)
    assert "reverted to blue 2.4.0 by bgd on lb-1: green is down: 503; rejected: 2.5.0" in ended.detail
    assert "bgctl unreject 2.5.0" in ended.cure


def test_declined():
    """A decline of it is exit 4 with the daemons' own reason."""
    stands = followed_by(OrderKind.DECLINED, reason="wish-expired: not taken for 600 s")
    ended = fate.ending(stands, WISH)

    assert ended is not None
    assert (ended.exit, ended.because) == (Exit.REFUSED, Because.WISH_EXPIRED)
    assert "declined by bgd on lb-1: not taken for 600 s" in ended.detail


def test_the_revert_of_another_wish_is_merely_later():
    """What ended another generation, and what a person wished, supersede it."""
    for stands in (followed_by(OrderKind.REVERT, after=11), followed_by(OrderKind.FLIP)):
        ended = fate.ending(stands, WISH)

        assert ended is not None
        assert (ended.exit, ended.because) == (Exit.REFUSED, Because.SUPERSEDED)
