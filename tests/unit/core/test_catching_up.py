"""After a start or a lost Consul: what must be read before a wish is taken, and what must not wait for it."""

from dataclasses import replace

from bgd.core.actions import Flip, Take
from bgd.core.events import CatalogSeen, StoreHeard
from bgd.core.model import Desired, Member, Policy, Serving
from bgd.core.reasons import Because
from bgd.core.report import report
from bgd.core.waiting import has_refused
from tests.unit.core.test_decide import refusing
from tests.unit.core.world import BLUE, GREEN, Node, backends, order


def same_catalog(node: Node) -> Node:
    return node.see(CatalogSeen("shop", node.k.backends))


def was_away() -> Node:
    """It lost Consul while it served blue, and reads of a wish for green now that it is back."""
    return Node().serves(BLUE, 10).wait(1).lost().wait(30).wish(GREEN, 11)


def test_a_new_wish_waits_for_nobodys_word() -> None:
    """While Consul is there, a wish is new when it comes."""
    assert isinstance(Node().serves(BLUE, 10).wish(GREEN, 11).action, Flip)


def test_after_a_lost_consul_the_members_are_read_first() -> None:
    """Others may have refused the wish meanwhile."""
    node = was_away().see(StoreHeard("shop"))
    assert node.because is Because.STORE_LOST

    assert isinstance(node.members().action, Flip)


def test_what_was_refused_meanwhile_is_refused() -> None:
    """A node that was away is not asked what its majority has answered."""
    node = same_catalog(was_away().members(refusing("lb-2"), refusing("lb-3")))

    assert node.because is Because.WISH_EXPIRED


def test_after_a_start_the_members_are_read_first() -> None:
    """A node that serves something has all the time that this takes."""
    node = Node()
    node.k = replace(node.k, serving=Serving(BLUE, 10, "1.0"))
    node.ready().wish(GREEN, 11)
    assert node.because is Because.STARTING

    assert isinstance(node.members().action, Flip)


def test_once_its_wish_is_served_a_node_has_caught_up() -> None:
    """The next wish is new again, and waits for nobody."""
    node = Node().serves(BLUE, 10).lost().wait(2).wish(BLUE, 10).heard()

    assert isinstance(node.wish(GREEN, 11).action, Flip)


def test_force_waits_for_nobody() -> None:
    """The operator knows."""
    node = Node().serves(BLUE, 10).lost().wait(30).wish(GREEN, 11, order(GREEN, force=True))

    assert isinstance(node.action, Flip)


def test_a_daemon_that_was_frozen_has_been_away() -> None:
    """It lost nothing that it knows of, and yet has not heard of Consul for a minute."""
    node = Node().serves(BLUE, 10).heard().wait(61).see(StoreHeard("shop")).wish(GREEN, 11)
    assert node.because is Because.STORE_LOST

    assert isinstance(node.members().action, Flip)


def test_after_a_lost_consul_the_catalog_is_read_first() -> None:
    """What the colour ran before may be gone."""
    node = was_away().members()
    assert node.because is Because.STORE_LOST

    assert isinstance(same_catalog(node).action, Flip)


def test_a_catalog_that_does_not_come_is_waited_for_no_longer_than_it_can_be_late() -> None:
    """Its watch may have been back before that of the wishes."""
    node = was_away().members()
    assert node.wait(4.9).because is Because.STORE_LOST

    assert isinstance(node.wait(0.1).action, Flip)


def test_an_old_catalog_is_no_reason_to_flip() -> None:
    """Nor to refuse."""
    node = Node().serves(BLUE, 10).wait(61).see(StoreHeard()).wish(GREEN, 11).members()

    assert node.because is Because.STORE_LOST


def test_what_others_have_proved_is_followed_by_an_old_catalog() -> None:
    """They have passed the gates, and the colour is alive from here."""
    proved = Member(
        node="lb-2",
        alive=True,
        desired=Desired(GREEN, 11),
        serving=Serving(GREEN, 11),
        proved=True,
    )

    assert isinstance(was_away().members(proved).action, Flip)


def test_a_refusal_outlives_a_restart() -> None:
    """Others count on it while this node waits for its probes."""
    node = Node(Policy(patience_s=60)).serves(BLUE, 10).probe(GREEN, False, only=0).wish(GREEN, 11)
    node.wait(61).heard()
    node.k = replace(node.k, formed=frozenset())
    told = report(node.snapshot, node.action, version="1", proxy="haproxy 2.6")

    assert (told["because"], told["desired"]["refused"]) == (Because.STARTING, True)


def test_a_refusal_counts_whatever_is_waited_for_since() -> None:
    """What a majority has refused stays refused while some of it start anew."""
    starting = replace(refusing("lb-2", Because.STARTING), refused=True)
    node = Node().serves(BLUE, 10).wish(GREEN, 11).members(starting, refusing("lb-3"))

    assert node.because is Because.WISH_EXPIRED


def test_a_release_that_was_unrejected_is_refused_no_more() -> None:
    """The wish stands, and may be taken."""
    node = Node().serves(BLUE, 10).ledger(rejected=("2.0",)).wish(GREEN, 11).wait(5).heard().ledger()

    assert node.k.wish is not None
    assert node.k.wish.refused == "2.0"
    assert not has_refused(node.snapshot)


def test_a_start_takes_what_is_served_once_it_has_read_the_members() -> None:
    """The same colour under a newer number."""
    node = Node()
    node.k = replace(node.k, serving=Serving(BLUE, 10, "1.0"))
    node.ready().wish(BLUE, 11).members()
    assert node.k.backends[BLUE] == backends(BLUE, 3)

    assert isinstance(node.action, Take)
