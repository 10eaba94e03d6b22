"""What the proxy may do by itself: never what this node would not do, and never for long."""

from bgd.core.events import StoreDenied, StoreLost
from bgd.core.knowledge import KNOWN_S
from bgd.core.model import Policy
from bgd.core.permission import Permission, permission
from tests.unit.core.world import BLUE, GREEN, Node


def ready(policy: Policy | None = None) -> Node:
    """Green serves, and blue is known good."""
    return Node(policy).serves(GREEN, 10).ledger(good={BLUE: "1.0"}).heard()


def test_a_way_back_is_a_permission() -> None:
    """For as long as what is known of the idle colour counts."""
    node = ready()
    assert permission(node.snapshot) == Permission(GREEN, node.now_s + KNOWN_S)


def test_a_permission_ends_with_what_is_known() -> None:
    """Consul is silent: nothing prolongs it, and after a while there is none."""
    node = ready()
    until_s = node.now_s + KNOWN_S
    node.see(StoreLost("gone")).wait(KNOWN_S - 1)
    assert permission(node.snapshot) == Permission(GREEN, until_s)

    node.wait(2)
    assert permission(node.snapshot) is None


def test_a_lost_right_ends_no_permission() -> None:
    """As with a lost Consul, what is known must do."""
    assert permission(ready().see(StoreDenied("no right")).snapshot) is not None


def test_what_forbids_fallback_forbids_it_to_the_proxy() -> None:
    """Pause, auto off, no known good release, a colour that fails: none is permitted."""
    assert permission(ready().ledger(good={BLUE: "1.0"}, pause="freeze").snapshot) is None
    assert permission(ready(Policy(auto=False)).snapshot) is None
    assert permission(ready().ledger(good={}).snapshot) is None
    assert permission(ready().probe(BLUE, False).snapshot) is None
    assert permission(ready().probe(BLUE, False, times=1).snapshot) is None


def test_who_waits_for_a_flip_permits_nothing() -> None:
    """The decision is on its way: nothing is to be led past it."""
    assert permission(ready().wish(BLUE, 11).snapshot) is None
