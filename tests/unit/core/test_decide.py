"""The table, row by row: when each answers, and that a higher row goes first."""

from dataclasses import replace

from bgd.core import advance as adv
from bgd.core.actions import Decline, Flip, Hold, Repair, Take
from bgd.core.advance import Failed
from bgd.core.events import ProxySeen, StoreHeard
from bgd.core.model import Desired, Member, MinHealthy, OrderKind, Policy, Serving
from bgd.core.reasons import Because
from tests.unit.core.world import BLUE, GREEN, Node, backends, member, order


def test_first_wish_flips_as_soon_as_its_colour_is_alive() -> None:
    """A node that serves nothing yet takes the wish when one backend of its colour is healthy."""
    node = Node().wish(BLUE, 10).catalog(backends(BLUE, 3), ()).proxy(None)
    assert node.because is Because.STARTING
    node.probe(BLUE, True, only=0).probe(BLUE, False, only=1).probe(BLUE, False, only=2)

    assert node.action == Flip(Desired(BLUE, 10))


def test_nothing_happens_before_the_proxy_was_asked() -> None:
    """What the proxy decides is known before anything is changed."""
    node = Node().wish(BLUE, 10).catalog(backends(BLUE, 3), ()).probe(BLUE, True)

    assert node.because is Because.STARTING


def test_a_wish_for_the_other_colour_flips() -> None:
    """Green is up and named: nothing speaks against it."""
    node = Node().serves(BLUE, 10).wish(GREEN, 11)
    assert node.action == Flip(Desired(GREEN, 11))
    node.act()

    assert node.because is Because.CONVERGED
    assert node.k.serving is not None
    assert (node.k.serving.colour, node.k.serving.generation, node.k.serving.release) == (GREEN, 11, "2.0")


def test_a_proxy_that_decides_otherwise_is_repaired_first() -> None:
    """Row 1 goes before a new wish: truth is what the proxy serves."""
    node = Node().serves(BLUE, 10).wish(GREEN, 11).proxy(GREEN)

    assert isinstance(node.action, Repair)


def test_a_lost_proxy_is_tried_with_backoff_and_every_hold_says_so() -> None:
    """After a failed repair the rows below go on, their holds saying proxy-lost."""
    node = Node().serves(BLUE, 10).proxy_lost()
    assert isinstance(node.action, Repair)
    node.act(failed=Because.PROXY_LOST)
    assert node.because is Because.PROXY_LOST
    node.wait(1.0)
    assert isinstance(node.action, Repair)
    node.act(failed=Because.PROXY_LOST).wait(1.0)
    assert node.because is Because.PROXY_LOST
    node.wait(1.0)

    assert isinstance(node.action, Repair)


def test_a_proxy_that_comes_back_right_needs_no_repair() -> None:
    """What the supervisor restarted loads the file that is in step."""
    node = Node().serves(BLUE, 10).proxy_lost().act(failed=Because.PROXY_LOST).wait(0.5).proxy(BLUE)

    assert node.because is Because.CONVERGED


def test_what_the_proxy_said_before_its_last_change_is_void() -> None:
    """An answer asked before a flip ended is no evidence against it."""
    node = Node().serves(BLUE, 10).wish(GREEN, 11)
    stale = ProxySeen(node.now_s, {"shop": BLUE}, 0, "haproxy 2.6")
    node.wait(1.0).act().see(stale)

    assert node.because is Because.CONVERGED


def test_a_lost_store_holds_what_is_served() -> None:
    """Losing Consul changes nothing for traffic."""
    node = Node().serves(BLUE, 10).lost()

    assert node.because is Because.STORE_LOST


def test_a_denied_store_is_told_apart() -> None:
    """An ACL that was taken is not an outage."""
    node = Node().serves(BLUE, 10).denied()

    assert node.because is Because.STORE_DENIED


def test_a_restored_snapshot_flips_nothing() -> None:
    """A lower generation of another colour is no instruction."""
    node = Node().serves(BLUE, 10).wish(GREEN, 11).act().wish(BLUE, 10)

    assert node.because is Because.STORE_REWOUND
    assert node.k.wish is not None
    assert node.k.wish.desired == Desired(GREEN, 11)


def test_after_a_restore_the_same_colour_only_brings_its_number() -> None:
    """A new cluster counts from one again; the colour that is served keeps being served."""
    node = Node().serves(BLUE, 1000).wish(BLUE, 7)
    assert node.action == Take(Desired(BLUE, 7))

    assert node.act().because is Because.CONVERGED


def test_after_a_restore_an_order_that_knows_the_wish_wins() -> None:
    """bgctl names the highest generation it saw; that makes its lower number the later word."""
    node = Node().serves(BLUE, 1000).wish(GREEN, 7, order(GREEN, after=1000))

    assert isinstance(node.action, Flip)


def test_lost_data_is_no_instruction() -> None:
    """A key that is missing after the index went back was lost, not deleted."""
    node = Node().serves(BLUE, 1000).gone(index=5)

    assert node.because is Because.STORE_REWOUND


def test_a_deleted_key_flips_nothing_and_says_so() -> None:
    """The last wish stays in force."""
    node = Node().serves(BLUE, 10).gone(index=20)

    assert node.because is Because.NO_LIVE_KEY


def test_a_bad_value_flips_nothing_and_says_so() -> None:
    """A value that names no colour is shown, and what is served stays."""
    node = Node().serves(BLUE, 10).bad(11)

    assert node.because is Because.BAD_LIVE_VALUE


def test_a_node_that_was_away_when_the_key_was_deleted_follows_the_living() -> None:
    """All end on the same colour: the newest wish that an alive member has accepted."""
    node = Node().serves(BLUE, 10).gone(index=20).members(member("lb-2", GREEN, 15))
    assert isinstance(node.action, Flip)

    assert node.act().because is Because.NO_LIVE_KEY


def test_a_silent_members_wish_is_not_adopted() -> None:
    """Only the living are followed."""
    node = Node().serves(BLUE, 10).gone(index=20).members(member("lb-2", GREEN, 15, alive=False))

    assert node.because is Because.NO_LIVE_KEY
    assert node.k.wish is not None
    assert node.k.wish.desired.colour is BLUE


def test_lost_data_adopts_nobodys_wish() -> None:
    """While the store's numbers went back, no number can be trusted."""
    node = Node().serves(BLUE, 1000).gone(index=5).members(member("lb-2", GREEN, 1500))

    assert node.because is Because.STORE_REWOUND


def test_a_number_that_this_store_has_not_reached_is_not_adopted() -> None:
    """It is of another life of the store."""
    node = Node().serves(BLUE, 10).gone(index=20).members(member("lb-2", GREEN, 25))

    assert node.because is Because.NO_LIVE_KEY


def test_a_wish_that_was_given_after_a_restore_is_newer_than_its_number() -> None:
    """Its order says which generation it was given in knowledge of."""
    node = Node().serves(BLUE, 11).gone(index=20).members(member("lb-2", GREEN, 8, after=11))

    assert node.action == Flip(Desired(GREEN, 8))


def test_a_failed_flip_waits_out_its_backoff() -> None:
    """1 s, then 2 s: the reason stands meanwhile."""
    node = Node().serves(BLUE, 10).wish(GREEN, 11).act(failed=Because.NOT_PROVED)
    assert node.because is Because.NOT_PROVED
    node.wait(1.0).act(failed=Because.NOT_PROVED).wait(1.0)
    assert node.because is Because.NOT_PROVED

    assert isinstance(node.wait(1.0).action, Flip)


def test_a_newer_wish_does_not_wait_for_the_old_ones_backoff() -> None:
    """A new generation tries at once."""
    node = Node().serves(BLUE, 10).wish(GREEN, 11).act(failed=Because.NOT_PROVED).wish(GREEN, 12)

    assert isinstance(node.action, Flip)


def test_a_latecomer_follows_what_another_node_has_proved() -> None:
    """The gates are for the fleet, once: green has become weak, and is followed all the same."""
    node = Node().serves(BLUE, 10).probe(GREEN, False, only=0).wish(GREEN, 11)
    assert node.because is Because.TARGET_NOT_READY

    assert isinstance(node.members(member("lb-2", GREEN, 11)).action, Flip)


def test_nobody_is_followed_to_a_dead_colour() -> None:
    """A colour without a healthy backend from here is not taken, unless both are down."""
    node = Node().serves(BLUE, 10).probe(GREEN, False).wish(GREEN, 11).members(member("lb-2", GREEN, 11))
    assert node.because is Because.TARGET_NOT_READY

    assert isinstance(node.probe(BLUE, False).action, Flip)


def test_a_revert_passes_the_gates() -> None:
    """The way back does not wait for full strength."""
    node = Node().serves(BLUE, 10).probe(GREEN, False, only=0)
    node.wish(GREEN, 11, order(GREEN, kind=OrderKind.REVERT))

    assert isinstance(node.action, Flip)


def test_repeating_the_wish_takes_its_generation_and_touches_nothing() -> None:
    """The colour is served already."""
    node = Node().serves(BLUE, 10).wish(BLUE, 11)
    assert node.action == Take(Desired(BLUE, 11))
    node.act()

    assert node.because is Because.CONVERGED
    assert node.k.serving is not None
    assert node.k.serving.generation == 11


def test_an_order_for_a_release_that_is_gone_is_refused() -> None:
    """Redeployed between the order and its arrival: the next release does not go live unattended."""
    node = Node().serves(BLUE, 10).wish(GREEN, 11, order(GREEN, release="1.9"))
    assert node.because is Because.TARGET_NOT_READY, "the catalog may be behind"

    assert node.wait(5).because is Because.WISH_EXPIRED


def test_force_skips_the_gates() -> None:
    """The operator's word counts, whatever the release."""
    node = Node().serves(BLUE, 10).probe(GREEN, False, only=0)
    node.wish(GREEN, 11, order(GREEN, release="1.9", force=True))

    assert isinstance(node.action, Flip)


def test_customers_with_nothing_better_do_not_wait_for_full_strength() -> None:
    """What is served is dead and the wish's colour is alive, if only in part: flip."""
    node = Node().serves(BLUE, 10).probe(GREEN, False, only=0).wish(GREEN, 11)
    assert node.because is Because.TARGET_NOT_READY

    assert isinstance(node.probe(BLUE, False).action, Flip)


def test_an_old_wish_does_not_rescue() -> None:
    """Past its patience a wish takes no short cut."""
    node = Node(Policy(patience_s=60)).serves(BLUE, 10).probe(GREEN, False, only=0).wish(GREEN, 11)
    node.wait(61).heard().probe(BLUE, False)

    assert node.because is Because.WISH_EXPIRED


def test_a_colour_with_two_releases_is_no_target() -> None:
    """A deploy is under way: wait for its end."""
    node = Node().serves(BLUE, 10)
    mixed = backends(GREEN, 2, "2.0") + backends(GREEN, 3, "2.1")[2:]
    node.catalog(backends(BLUE, 3), mixed).probe(GREEN, True).wish(GREEN, 11)

    assert node.because is Because.MIXED_RELEASES


def test_a_colour_that_is_not_registered_is_no_target() -> None:
    """None registered: too few."""
    node = Node().serves(BLUE, 10).catalog(backends(BLUE, 3), ()).wish(GREEN, 11)

    assert node.because is Because.TOO_FEW_BACKENDS


def test_a_share_of_live_counts_lives_backends() -> None:
    """Two healthy backends do not carry what three carried, at 80 % of live."""
    node = Node(Policy(min_healthy=MinHealthy(80, "percent-of-live"))).serves(BLUE, 10)
    node.catalog(backends(BLUE, 3), backends(GREEN, 2, "2.0")).wish(GREEN, 11)

    assert node.because is Because.TOO_FEW_BACKENDS


def test_consuls_checks_stop_a_new_flip() -> None:
    """A red check is a gate."""
    node = Node().serves(BLUE, 10)
    node.catalog(backends(BLUE, 3), backends(GREEN, 3, "2.0", objection="disk")).wish(GREEN, 11)

    assert node.because is Because.TARGET_NOT_READY


def test_consuls_checks_on_all_of_live_are_shown_and_change_nothing() -> None:
    """Checks never vote: live is weak, and all of it stays in rotation."""
    node = Node().serves(BLUE, 10)
    node.catalog(backends(BLUE, 3, "1.0", objection="disk"), backends(GREEN, 3, "2.0"))

    assert node.because is Because.LIVE_WEAK
    assert len(node.k.rotation(BLUE)) == 3


def test_a_flip_that_needs_a_reload_waits_for_old_workers() -> None:
    """The proxy does not know the app, and more old workers than the budget still finish."""
    node = Node().serves(BLUE, 10).proxy(None, old_workers=6).act(failed=Because.RELOAD_FAILED)
    node.wish(GREEN, 11)
    assert node.because is Because.RELOAD_FAILED, "held, and saying what hurts most"

    assert isinstance(node.proxy(None, old_workers=5).action, Flip)


def test_live_that_dies_is_left_to_a_person() -> None:
    """Nothing automatic follows."""
    node = Node(Policy(auto=False)).serves(BLUE, 10).probe(BLUE, False)

    assert node.because is Because.AUTO_OFF


def test_a_rolling_restart_of_live_is_nothing_but_weak() -> None:
    """One backend of three at a time."""
    node = Node().serves(BLUE, 10)
    for i in range(3):
        assert node.probe(BLUE, False, only=i).because is Because.LIVE_WEAK
        assert node.probe(BLUE, True, only=i).because is Because.CONVERGED


def test_both_colours_down_never_flips() -> None:
    """There is nowhere to go."""
    node = Node().serves(BLUE, 10).probe(BLUE, False).probe(GREEN, False).ledger(good={GREEN: "2.0"})

    assert node.because is Because.REVERT_TARGET_DOWN


# -- a wish that is refused -------------------------------------------------------------------------


def refusing(node: str, because: Because = Because.RELEASE_REJECTED, *, alive: bool = True) -> Member:
    """Another node that serves blue, and refuses green of generation 11."""
    return replace(member(node, BLUE, 10, alive=alive, because=because), desired=Desired(GREEN, 11))


def rejected(policy: Policy | None = None, **ledger: object) -> Node:
    node = Node(policy).serves(BLUE, 10).ledger(**{"rejected": ("2.0",), **ledger})
    return node.members(member("lb-2", BLUE, 10)).wish(GREEN, 11).wait(5).see(StoreHeard())


def test_a_rejected_release_is_refused() -> None:
    """It was reverted, and nobody forces it."""
    assert rejected().because is Because.RELEASE_REJECTED


def test_force_takes_a_rejected_release() -> None:
    """The operator knows."""
    node = Node().serves(BLUE, 10).ledger(rejected=("2.0",)).wish(GREEN, 11, order(GREEN, force=True))

    assert isinstance(node.action, Flip)


def test_what_a_majority_refuses_is_declined() -> None:
    """Back to what is served."""
    action = rejected().members(refusing("lb-2")).action
    assert isinstance(action, Decline)

    assert (action.desired, action.colour, action.because) == (
        Desired(GREEN, 11),
        BLUE,
        Because.RELEASE_REJECTED,
    )


def test_what_is_declined_is_decided_by_the_living() -> None:
    """A silent member has no word in it, but counts."""
    assert rejected().members(refusing("lb-2", alive=False)).because is Because.RELEASE_REJECTED


def test_pause_and_auto_off_decline_nothing() -> None:
    """The wish is held."""
    for node in (rejected(pause="deploy"), rejected(Policy(auto=False))):
        assert node.members(refusing("lb-2")).because is Because.RELEASE_REJECTED


def test_what_somebody_proved_is_never_declined() -> None:
    """A silent member serves it, perhaps."""
    node = rejected().members(refusing("lb-2"), refusing("lb-3"), member("lb-4", GREEN, 11, alive=False))

    assert node.because is Because.RELEASE_REJECTED


def test_a_wish_expires() -> None:
    """Nobody took it for its patience: declined when a majority says so."""
    node = Node(Policy(patience_s=60)).serves(BLUE, 10).ledger().members(member("lb-2", BLUE, 10))
    node.probe(GREEN, False, only=0).wish(GREEN, 11).wait(60)
    assert node.because is Because.TARGET_NOT_READY
    assert node.wait(1).heard().because is Because.WISH_EXPIRED
    action = node.members(refusing("lb-2", Because.WISH_EXPIRED)).action

    assert isinstance(action, Decline)


def test_a_revert_is_never_declined() -> None:
    """That would lead back to what failed."""
    node = Node(Policy(patience_s=60)).serves(BLUE, 10).ledger().probe(GREEN, False)
    node.wish(GREEN, 11, order(GREEN, kind=OrderKind.REVERT)).wait(61).heard()

    assert node.because is Because.WISH_EXPIRED


def test_a_revert_goes_back_to_what_it_named_only() -> None:
    """Hours later another release runs there."""
    node = Node().serves(BLUE, 10).wish(GREEN, 11, order(GREEN, kind=OrderKind.REVERT, release="1.9"))
    node.wait(5)

    assert node.because is Because.WISH_EXPIRED


def test_the_next_release_under_a_refused_wish_is_refused_too() -> None:
    """It was not asked for."""
    node = rejected(pause="deploy").catalog(backends(BLUE, 3), backends(GREEN, 3, "2.1")).probe(GREEN, True)

    assert node.because is Because.WISH_EXPIRED


def test_a_write_that_failed_is_tried_with_backoff() -> None:
    """Denied: said, and tried again."""
    node = rejected().members(refusing("lb-2"))
    action = node.action
    assert isinstance(action, Decline)
    node.k = adv.written(node.k, action, Failed(Because.STORE_DENIED, "403"), now_s=node.now_s)
    assert node.action == Hold(Because.STORE_DENIED, "403")

    assert isinstance(node.wait(1).action, Decline)


def test_what_a_majority_refused_everybody_refuses() -> None:
    """One that comes late would find the next release in place; the silent have refused it, too."""
    node = Node().serves(BLUE, 10).ledger().wish(GREEN, 11)
    node.members(refusing("lb-2", Because.WISH_EXPIRED, alive=False), member("lb-3", BLUE, 10))
    assert isinstance(node.action, Flip)
    node.members(refusing("lb-2", Because.WISH_EXPIRED, alive=False), refusing("lb-3"))
    action = node.action
    assert isinstance(action, Decline)

    assert action.detail == "a majority of members have refused it"


def test_a_node_that_serves_nothing_opens_its_port() -> None:
    """Any colour that lives is better than none."""
    node = Node().ready().ledger().wish(GREEN, 11).members(refusing("lb-2"), refusing("lb-3"))

    assert isinstance(node.action, Flip)


def test_a_wish_that_somebody_fell_back_from_is_not_declined() -> None:
    """It was proved once."""
    fallen = replace(member("lb-3", BLUE, 11), serving=Serving(BLUE, 11, fallback=True))
    node = rejected().members(refusing("lb-2"), fallen)

    assert node.because is Because.RELEASE_REJECTED


def test_slow_is_not_left_for_dead() -> None:
    """Another node has proved green; from here it is dead, and blue still answers."""
    node = Node(Policy(latency_s=0.5)).serves(BLUE, 10).probe(GREEN, False).traffic(BLUE, 100, mean_s=0.9)
    node.wish(GREEN, 11).members(member("lb-2", GREEN, 11))

    assert node.because is Because.TARGET_NOT_READY


def test_a_failed_flip_does_not_prove_another_release() -> None:
    """Blue is served still, and wished again as it was: since then it runs another release."""
    node = Node().serves(BLUE, 10).wish(GREEN, 11).act(failed=Because.NOT_PROVED)
    node.catalog(backends(BLUE, 3, "1.1"), backends(GREEN, 3, "2.0"))
    node.wish(BLUE, 12, order(BLUE, release="1.0")).wait(5)

    assert node.because is Because.WISH_EXPIRED
