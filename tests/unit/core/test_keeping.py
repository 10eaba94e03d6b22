"""Rows 18 to 27: what becomes good, and what happens when live is down."""

from dataclasses import replace

from bgd.core.actions import Confirm, FallBack, Flip, Revert, Take
from bgd.core.learn import unheard
from bgd.core.model import Desired, OrderKind, Policy
from bgd.core.reasons import Because
from bgd.core.way_back import way_back
from tests.unit.core.world import BLUE, GREEN, Node, backends, member, order


def down(policy: Policy | None = None, **ledger: object) -> Node:
    """Live is green and dead; blue is last known good, and just heard of."""
    node = Node(policy).serves(GREEN, 10).ledger(**{"good": {BLUE: "1.0"}, **ledger}).heard()
    return node.probe(GREEN, False)


def fallen(policy: Policy | None = None) -> Node:
    return down(policy).act()


def test_live_that_dies_is_left_for_last_known_good() -> None:
    """This node alone, at once."""
    node = down()
    assert node.action == FallBack(Desired(GREEN, 10), BLUE, "1.0")
    node.act()

    assert node.k.serving is not None
    assert (node.k.serving.colour, node.k.serving.generation, node.k.serving.fallback) == (BLUE, 10, True)


def test_a_node_alone_is_its_own_majority() -> None:
    """In fallback, and the only member: revert."""
    action = fallen().action
    assert isinstance(action, Revert)

    assert (action.colour, action.release, action.rejected) == (BLUE, "1.0", ("2.0",))


def test_a_minority_waits_in_fallback() -> None:
    """One of two sees green down."""
    assert fallen().members(member("lb-2", GREEN, 10)).because is Because.REVERT_WAITING_QUORUM


def test_a_vote_makes_the_majority() -> None:
    """The other one votes for the same generation."""
    assert isinstance(fallen().members(member("lb-2", GREEN, 10, vote=10)).action, Revert)


def test_a_vote_for_another_generation_is_none() -> None:
    """It was about another wish."""
    node = fallen().members(member("lb-2", GREEN, 10, vote=9))

    assert node.because is Because.REVERT_WAITING_QUORUM


def test_a_silent_members_vote_is_none() -> None:
    """It counts in the denominator only."""
    node = fallen().members(member("lb-2", GREEN, 10, vote=10, alive=False))

    assert node.because is Because.REVERT_WAITING_QUORUM


def test_a_vote_grows_stale() -> None:
    """Its report has not moved for ten seconds by the reader's clock; then it moves."""
    voter = member("lb-2", GREEN, 10, vote=10, stamp=5)
    node = fallen().members(voter).wait(11).members(voter)
    assert node.because is Because.REVERT_WAITING_QUORUM

    assert isinstance(node.members(replace(voter, stamp=6)).action, Revert)


def begins_to_read(**mine: object) -> Node:
    """It has just fallen back, and reads the members for the first time: another one's vote is there."""
    node = fallen()
    node.k = unheard(node.k)
    me = member("lb-1", GREEN, 10, **mine)
    return node.members(me, member("lb-2", GREEN, 10, vote=10, stamp=5))


def test_a_vote_from_before_the_first_reading_may_be_old() -> None:
    """It counts as soon as it is renewed."""
    node = begins_to_read(stamp=4)
    assert node.because is Because.REVERT_WAITING_QUORUM

    assert isinstance(node.members(member("lb-2", GREEN, 10, vote=10, stamp=6)).action, Revert)


def test_a_vote_from_a_pause_in_reading_may_be_old() -> None:
    """Ten seconds without an answer: what has changed meanwhile counts as soon as it is renewed."""
    me, voter = member("lb-1", GREEN, 10, stamp=4), member("lb-2", GREEN, 10, vote=10, stamp=6)
    node = fallen().members(me, member("lb-2", GREEN, 10, stamp=5)).wait(11).heard().members(me, voter)
    assert node.because is Because.REVERT_WAITING_QUORUM

    assert isinstance(node.wait(2).members(me, replace(voter, stamp=7)).action, Revert)


def test_a_vote_that_came_after_ones_own_is_new() -> None:
    """Whoever votes first need not wait for the others to renew."""
    assert isinstance(begins_to_read(stamp=4, vote=10).action, Revert)
    assert begins_to_read(stamp=6, vote=10).because is Because.REVERT_WAITING_QUORUM


def test_a_member_that_the_store_lost_still_counts() -> None:
    """Only a tombstone ends a membership."""
    node = fallen().members(member("lb-2", GREEN, 10)).members()
    assert node.because is Because.REVERT_WAITING_QUORUM

    node.k = replace(node.k, members=())
    assert isinstance(node.members().action, Revert)


def test_nobody_concludes_from_members_that_are_not_read() -> None:
    """Who does not find itself among the living knows of no majority, not even of its own."""
    node = fallen()
    assert isinstance(node.action, Revert)

    node.k = unheard(node.k)
    assert node.because is Because.REVERT_WAITING_QUORUM


def test_pause_stops_fallback_and_revert() -> None:
    """The operator's word."""
    assert down(pause="deploy").because is Because.PAUSED


def test_auto_off_stops_fallback_and_revert() -> None:
    """As configured."""
    assert down(Policy(auto=False)).because is Because.AUTO_OFF


def test_nothing_automatic_follows_a_revert() -> None:
    """No ping-pong."""
    node = Node().serves(GREEN, 10).ledger(good={BLUE: "1.0"}).heard()
    node.wish(GREEN, 11, order(GREEN, kind=OrderKind.REVERT)).act().probe(GREEN, False)

    assert node.because is Because.AFTER_REVERT


def test_what_was_never_confirmed_is_no_way_back() -> None:
    """Nobody has tried it."""
    assert down(good={}).because is Because.REVERT_NO_GOOD


def test_what_was_rejected_is_no_way_back() -> None:
    """It failed since it was good."""
    assert down(rejected=("1.0",)).because is Because.REVERT_NO_GOOD


def test_another_release_is_no_way_back() -> None:
    """Blue was redeployed since."""
    assert down(good={BLUE: "0.9"}).because is Because.REVERT_RELEASE_CHANGED


def test_both_down_is_no_way_back() -> None:
    """There is nowhere to go."""
    assert down().probe(BLUE, False).because is Because.REVERT_TARGET_DOWN


def test_what_is_known_too_long_is_no_ground_to_fall_back() -> None:
    """A short loss of Consul leaves customers served, a long one leaves nothing to trust."""
    assert isinstance(down().lost().wait(59).action, FallBack)
    assert down().lost().wait(61).because is Because.STORE_LOST


def test_in_fallback_without_consul_nothing_is_written() -> None:
    """It serves, and waits."""
    assert fallen().lost().because is Because.STORE_LOST


def test_fallback_ends_with_the_hold_down() -> None:
    """Live must be up for 30 s, then for 60 s."""
    node = fallen().members(member("lb-2", GREEN, 10)).probe(GREEN, True)
    assert node.because is Because.FALLBACK_SERVING
    assert node.wait(29).because is Because.FALLBACK_SERVING
    assert node.wait(1).action == Flip(Desired(GREEN, 10))
    node.act().heard().probe(GREEN, False).act().probe(GREEN, True)

    assert node.wait(59).because is Because.FALLBACK_SERVING
    assert isinstance(node.wait(1).action, Flip)


def test_a_weak_live_colour_does_not_end_a_fallback() -> None:
    """Up is asked for, without a break."""
    node = fallen().members(member("lb-2", GREEN, 10)).probe(GREEN, True, only=0).wait(100)

    assert node.because is Because.FALLBACK_SERVING


def test_fallback_ends_early_when_it_serves_nobody() -> None:
    """Blue dies as well and green lives: back at once, but only once per hold-down."""
    node = fallen().members(member("lb-2", GREEN, 10)).probe(GREEN, True).probe(BLUE, False)
    assert isinstance(node.action, Flip)
    node.act().heard().probe(BLUE, True).probe(GREEN, False).act()
    node.probe(GREEN, True).probe(BLUE, False)

    assert node.because is Because.FALLBACK_SERVING


def test_pause_does_not_keep_a_node_in_fallback() -> None:
    """Coming back carries out the operator's wish."""
    node = fallen().ledger(good={BLUE: "1.0"}, pause="deploy").probe(GREEN, True).wait(30)

    assert isinstance(node.action, Flip)


def test_a_new_wish_ends_a_fallback() -> None:
    """Blue is served already: its generation is taken."""
    node = fallen().wish(BLUE, 11)
    assert isinstance(node.action, Take)
    node.act()

    assert node.k.serving is not None
    assert not node.k.serving.fallback


def test_slow_answers_are_a_verdict() -> None:
    """Probes are fine, customers wait: revert, and no fallback."""
    node = Node(Policy(latency_s=0.5)).serves(GREEN, 10).ledger(good={BLUE: "1.0"}).heard()
    node.traffic(GREEN, 100, mean_s=0.6)
    assert isinstance(node.action, Revert)

    assert node.members(member("lb-2", GREEN, 10)).because is Because.REVERT_WAITING_QUORUM


def test_failed_answers_are_a_verdict() -> None:
    """Their share counts, from the least number of requests on."""
    node = Node(Policy(error_rate=0.05)).serves(GREEN, 10).ledger(good={BLUE: "1.0"}).heard()
    assert not isinstance(node.traffic(GREEN, 49, errors=49).action, Revert)

    assert isinstance(node.traffic(GREEN, 100, errors=6).action, Revert)


def test_traffic_that_is_not_known_is_no_verdict() -> None:
    """A restarted proxy, or a reader that was not heard of for a while."""
    node = Node(Policy(error_rate=0.05)).serves(GREEN, 10).ledger(good={BLUE: "1.0"}).heard()
    node.traffic(GREEN, 100, errors=100).traffic(GREEN, None)
    assert node.because is Because.PROBATION

    assert node.traffic(GREEN, 100, errors=100).wait(11).heard().because is Because.PROBATION


def test_after_a_verdict_from_traffic_the_way_back_must_be_whole() -> None:
    """All traffic would go there."""
    node = Node(Policy(latency_s=0.5)).serves(GREEN, 10).ledger(good={BLUE: "1.0"}).heard()
    node.traffic(GREEN, 100, mean_s=0.6).probe(BLUE, False, only=0)

    assert node.because is Because.REVERT_TARGET_DOWN


def test_a_release_becomes_good_after_its_probation() -> None:
    """Five minutes without a break."""
    node = Node().serves(GREEN, 10).ledger()
    assert node.because is Because.PROBATION
    assert node.wait(299).because is Because.PROBATION

    assert node.wait(1).action == Confirm(Desired(GREEN, 10), "2.0")


def test_what_is_good_is_confirmed_once() -> None:
    """It is written down."""
    assert Node().serves(GREEN, 10).ledger(good={GREEN: "2.0"}).wait(300).because is Because.CONVERGED


def test_another_release_starts_its_own_probation() -> None:
    """Half a probation each is none."""
    node = Node().serves(GREEN, 10).ledger().wait(150)
    node.catalog(backends(BLUE, 3), backends(GREEN, 3, "2.1")).wait(150)

    assert node.because is Because.PROBATION


def test_weak_does_not_break_a_probation_but_less_than_half_does() -> None:
    """Two of three, then one of three."""
    node = Node().serves(GREEN, 10).ledger().wait(150).probe(GREEN, False, only=0).probe(GREEN, True)
    assert isinstance(node.wait(150).action, Confirm)
    node.probe(GREEN, False, only=0).probe(GREEN, False, only=1).probe(GREEN, True)

    assert node.because is Because.PROBATION


def test_a_majority_must_be_steady() -> None:
    """One of three is not; two are."""
    node = Node().serves(GREEN, 10).ledger().wait(300)
    node.members(member("lb-2", GREEN, 10), member("lb-3", GREEN, 10, alive=False, steady="2.0"))
    assert not isinstance(node.action, Confirm)
    node.members(member("lb-2", GREEN, 10, steady="2.0"), member("lb-3", GREEN, 10))

    assert isinstance(node.action, Confirm)


def test_a_deleted_key_stops_what_is_written_and_not_the_fallback() -> None:
    """Customers are served; nobody writes."""
    node = down().gone(index=20)
    assert isinstance(node.action, FallBack)

    assert node.act().because is Because.NO_LIVE_KEY


def test_of_a_mixed_colour_what_was_good_is_not_rejected() -> None:
    """A deploy in place went wrong half way."""
    node = Node().serves(GREEN, 10).ledger(good={BLUE: "1.0", GREEN: "2.0"})
    mixed = backends(GREEN, 2, "2.0") + backends(GREEN, 3, "2.1")[2:]
    node.catalog(backends(BLUE, 3), mixed).probe(GREEN, False)
    action = node.act().action
    assert isinstance(action, Revert)

    assert action.rejected == ("2.1",)


def test_what_the_fleet_goes_back_to_is_never_rejected() -> None:
    """Both colours run the same release."""
    node = Node().serves(GREEN, 10).ledger(good={BLUE: "2.0"})
    node.catalog(backends(BLUE, 3, "2.0"), backends(GREEN, 3, "2.0")).probe(GREEN, False)
    action = node.act().action
    assert isinstance(action, Revert)

    assert action.rejected == ()


def test_the_way_back_is_always_on_show() -> None:
    """Open with its release and health; shut with the reason, and until when if that is known."""
    node = Node().serves(GREEN, 10).ledger(good={BLUE: "1.0"})
    way = way_back(node.snapshot)
    assert way is not None
    assert (way.because, way.detail) == (None, "blue 1.0, 3/3")
    way = way_back(node.ledger().snapshot)
    assert way is not None

    assert (way.because, way.until_s) == (Because.REVERT_NO_GOOD, node.now_s + 300)


def test_what_has_just_failed_too_is_no_way_back() -> None:
    """A fault of what both colours share shows in one of them first."""
    node = down()
    node.probe(BLUE, False, times=1)
    assert node.because is Because.REVERT_TARGET_DOWN

    node.probe(BLUE, True, times=1)
    assert isinstance(node.action, FallBack)


def test_live_that_comes_back_is_not_voted_against() -> None:
    """Customers are on the other colour already; whether live stays is seen with its next probe."""
    node = fallen()
    assert node.snapshot.votes

    node.probe(GREEN, True, only=0, times=1)
    assert not node.snapshot.votes

    node.probe(GREEN, False, only=0, times=1)
    assert node.snapshot.votes


def test_nobody_votes_for_a_colour_that_it_could_not_flip_to() -> None:
    """Until it has been tried again."""
    node = down().act(failed=Because.NOT_PROVED)
    assert not node.snapshot.votes

    node.wait(2.0)
    assert node.snapshot.votes
