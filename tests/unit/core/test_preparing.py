"""Row 6 and its gates, and the warm-up of a wish that nobody has prepared."""

from dataclasses import replace
from typing import Any

import pytest

from bgd.core import advance, preparing
from bgd.core.actions import Flip, Hold, Warm
from bgd.core.advance import Failed
from bgd.core.events import LiveSeen
from bgd.core.model import Gate, Ledger, OrderKind, Policy, Preparation, Prepared
from bgd.core.reasons import Because
from bgd.core.report import report
from tests.unit.core.world import BLUE, GREEN, Node, backends, member, order

ALL = ["rejected", "release", "backends", "proxy"]


def asked(node: Node, *, rejected: tuple[str, ...] = (), **fields: Any) -> Node:
    """Somebody prepares a flip to green."""
    preparation = Preparation(**{"id": "p1", "colour": GREEN, "by": "alice", **fields})
    return node.see(LiveSeen({}, {"shop": Ledger({}, frozenset(rejected), preparation=preparation)}))


def withdrawn(node: Node) -> Node:
    return node.see(LiveSeen({}, {"shop": Ledger()}))


def gates(node: Node) -> tuple[Gate, ...]:
    """The gates of the answer that is owed."""
    action = preparing.due(node.snapshot)
    assert action is not None, "no answer is owed"
    return action.gates


def refusal(node: Node) -> tuple[str, str, str]:
    """Which gate refuses, for which reason, in which words; those before it let through."""
    *before, last = gates(node)
    assert [gate.gate for gate in before] == ALL[: len(before)]
    assert all(gate.ok for gate in before)
    assert not last.ok
    return last.gate, last.because, last.detail


def answered(node: Node, *, ok: bool = True) -> Node:
    action = preparing.due(node.snapshot)
    assert action is not None, "no answer is owed"
    last = Gate("config", ok, "as told", "" if ok else "check-failed")
    node.k = replace(node.k, prepared=Prepared(action.preparation.id, (*action.gates, last)))
    return node


def told(node: Node) -> dict[str, Any]:
    return report(node.snapshot, node.action, version="1", proxy="p")


# -- the gates -------------------------------------------------------------------------------------


def test_nothing_speaks_against_it() -> None:
    """Every gate lets through, and says what an operator wants to know before."""
    found = gates(asked(Node().serves(BLUE, 1)))

    assert [(gate.gate, gate.ok, gate.because) for gate in found] == [(name, True, "") for name in ALL]
    assert [gate.detail for gate in found] == [
        "no release of it was reverted",
        "2.0",
        "3/3 healthy; blue has 3/3",
        "decides blue",
    ]


def test_a_node_that_serves_nothing_yet() -> None:
    """Its proxy does not know the app: the first flip brings it in."""
    assert gates(asked(Node().ready().gone(1)))[-1] == Gate("proxy", True, "does not know the app yet")


def test_a_release_that_was_reverted() -> None:
    """By what is asked for, or by what the catalog shows."""
    node = Node().serves(BLUE, 1)
    expected = "rejected", "release-rejected", "2.0 was reverted"

    assert refusal(asked(node, rejected=("2.0",))) == expected
    assert refusal(asked(node, rejected=("2.0",), release="2.0")) == expected
    assert gates(asked(node, rejected=("1.9",)))[0].ok


def test_a_mixed_colour() -> None:
    """Nobody could say what would go live."""
    mixed = (*backends(GREEN, 2, "2.0"), *backends(GREEN, 3, "2.1")[2:])
    node = Node().serves(BLUE, 1).catalog(backends(BLUE, 3), mixed).probe(GREEN, True)

    assert refusal(asked(node)) == ("release", "mixed-releases", "it runs 2.0 and 2.1")


def test_another_release_than_was_asked_for() -> None:
    """Redeployed since somebody decided on it."""
    node = asked(Node().serves(BLUE, 1), release="1.9")

    assert refusal(node) == ("release", "wish-expired", "asked for is 1.9, green runs 2.0")


def test_a_colour_that_is_not_up() -> None:
    """Too few are healthy, or none is registered: in the words of a wish that waits for it."""
    sick = Node().serves(BLUE, 1).probe(GREEN, False, only=0)
    gone = Node().serves(BLUE, 1).catalog(backends(BLUE, 3), ())

    assert refusal(asked(sick))[:2] == ("backends", "target-not-ready")
    assert refusal(asked(gone))[:2] == ("backends", "too-few-backends")


def test_a_proxy_that_is_lost_or_astray() -> None:
    """Who does not know what it decides makes no promise."""
    lost, astray = Node().serves(BLUE, 1).proxy_lost(), Node().serves(BLUE, 1).proxy(GREEN)

    assert refusal(asked(lost)) == ("proxy", "proxy-lost", "connection refused")
    assert refusal(asked(astray))[:2] == ("proxy", "proxy-lost")


def test_old_workers_hold_up_only_who_needs_a_reload() -> None:
    """A flip by map starts no worker."""
    many = 10**6

    assert refusal(asked(Node().ready().proxy(None, many).gone(1)))[:2] == ("proxy", "too-many-old-workers")
    assert gates(asked(Node().serves(BLUE, 1).proxy(BLUE, many)))[-1].ok


def test_the_first_that_refuses_is_the_last_that_is_asked() -> None:
    """All that is wrong at once is told one by one, in the order in which it is cured."""
    node = Node().serves(BLUE, 1).probe(GREEN, False).proxy_lost()

    assert refusal(asked(node, rejected=("2.0",)))[0] == "rejected"
    assert refusal(asked(node, release="1.9"))[0] == "release"
    assert refusal(asked(node))[0] == "backends"


def test_a_forecast_asks_them_all() -> None:
    """Who only wants to know, wants to know everything."""
    node = Node().serves(BLUE, 1).probe(GREEN, False).proxy_lost()
    found = gates(asked(node, rejected=("2.0",), release="1.9", dry=True))

    assert [(gate.gate, gate.ok) for gate in found] == [
        ("rejected", True),
        ("release", False),
        ("backends", False),
        ("proxy", False),
    ]


# -- when it is answered ---------------------------------------------------------------------------


def test_one_answer_is_owed() -> None:
    """To each preparation, and none without one."""
    node = Node().serves(BLUE, 1)
    assert preparing.due(node.snapshot) is None

    answered(asked(node))
    assert preparing.due(node.snapshot) is None
    assert preparing.due(asked(node, id="p2").snapshot) is not None
    assert preparing.due(withdrawn(node).snapshot) is None


def test_no_answer_before_the_first_probes() -> None:
    """A daemon that has just started knows nothing."""
    node = Node().catalog(backends(BLUE, 3), backends(GREEN, 3, "2.0")).proxy(None).gone(1)

    assert preparing.due(asked(node).snapshot) is None
    assert preparing.due(node.probe(BLUE, True).probe(GREEN, True).snapshot) is not None


def test_a_lost_consul_asks_nothing() -> None:
    """Whether it is asked still cannot be known; what it says when it is back counts."""
    node = asked(Node().serves(BLUE, 1)).lost()
    assert preparing.due(node.snapshot) is None

    assert preparing.due(asked(node.wish(BLUE, 1)).snapshot) is not None


def test_nothing_changes_by_it() -> None:
    """The table's answer is the same with a preparation and without."""
    for node in (Node().serves(BLUE, 1).ledger(), Node().serves(BLUE, 1).ledger().wish(GREEN, 2)):
        before = node.action
        assert answered(asked(node)).action == before


def test_it_goes_with_who_asked() -> None:
    """The answer is gone from the report, and another question has none yet."""
    node = answered(asked(Node().serves(BLUE, 1)))
    assert told(node)["prepared"]["id"] == "p1"

    assert told(asked(node, id="p2"))["prepared"] is None
    assert told(withdrawn(answered(node)))["prepared"] is None


# -- what is told ----------------------------------------------------------------------------------


def test_a_yes_is_taken_back() -> None:
    """A gate that closes before the word comes is told, and when it opens again, that too."""
    node = answered(asked(Node().serves(BLUE, 1)))
    assert (told(node)["because"], told(node)["prepared"]["ok"]) == ("prepared", True)

    closed = told(node.probe(GREEN, False))
    assert (closed["because"], closed["prepared"]["ok"]) == ("probation", False)
    assert closed["prepared"]["gates"][-1]["because"] == "target-not-ready"
    assert told(node.probe(GREEN, True))["prepared"]["ok"]


def test_a_no_stays_a_no() -> None:
    """Who asked has been told, and has gone; whoever asks next is answered anew."""
    node = asked(Node().serves(BLUE, 1).probe(GREEN, False))
    node.k = replace(node.k, prepared=Prepared("p1", gates(node)))
    assert not told(node)["prepared"]["ok"]

    assert not told(node.probe(GREEN, True))["prepared"]["ok"]
    assert told(answered(asked(node, id="p2")))["prepared"]["ok"]


def test_what_is_told_meanwhile() -> None:
    """That it prepares and has prepared, where nothing worse is to be told; of a forecast nothing remains."""
    node = asked(Node().serves(BLUE, 1))
    assert (told(node)["because"], told(node)["detail"]) == ("preparing", "green for alice")
    assert told(asked(node, id="p2").proxy(GREEN))["because"] != "preparing"
    node.proxy(BLUE)

    assert told(answered(asked(node, id="p3", dry=True)))["because"] == "probation"


# -- a wish that nobody has prepared ---------------------------------------------------------------

WARM = Policy(warmup_requests=3)


def edited(policy: Policy = WARM) -> Node:
    """Green is wished by an edit in Consul's UI."""
    return Node(policy).serves(BLUE, 1).wish(GREEN, 2)


def warmed(node: Node, failed: Failed | None = None) -> Node:
    action = node.action
    assert isinstance(action, Warm), action
    node.k = advance.warmed(node.k, action, failed, now_s=node.now_s)
    return node


COLD = Failed(Because.TARGET_NOT_READY, "green is not warm: 503")


def test_it_is_warmed_up_before_its_flip() -> None:
    """Where the app asks for that; until then the node says what it does."""
    node = edited()
    assert isinstance(node.action, Warm)
    assert (told(node)["because"], told(node)["detail"]) == ("preparing", "warming up green, generation 2")

    assert isinstance(warmed(node).action, Flip)
    assert isinstance(edited(Policy()).action, Flip)


def test_a_colour_that_stays_cold_is_tried_again() -> None:
    """After a second, doubling; a new wish tries at once."""
    node = warmed(edited(), COLD)
    for pause_s in (1, 2, 4):
        assert node.action == Hold(Because.TARGET_NOT_READY, COLD.detail, node.now_s + pause_s)
        warmed(node.wait(pause_s), COLD)

    assert isinstance(node.wish(GREEN, 3).action, Warm)


def test_another_release_is_cold() -> None:
    """What is warm is what was warmed up."""
    node = warmed(edited()).catalog(backends(BLUE, 3), backends(GREEN, 3, "2.1")).probe(GREEN, True)

    assert isinstance(node.action, Warm)


@pytest.mark.parametrize("given", [{"prepared": ("lb-1",)}, {"force": True}, {"kind": OrderKind.REVERT}])
def test_what_has_been_prepared_or_is_urgent_is_not_warmed_up(given: dict[str, Any]) -> None:
    """Rows 8 and 12 flip at once."""
    assert isinstance(Node(WARM).serves(BLUE, 1).wish(GREEN, 2, order(GREEN, **given)).action, Flip)


def test_who_follows_does_not_warm_up() -> None:
    """Another node serves it: customers are there already."""
    assert isinstance(edited().members(member("lb-2", GREEN, 2)).action, Flip)


def test_who_serves_nobody_does_not_warm_up() -> None:
    """A cold answer is better than none; neither does the trouble of a warm-up hold it up."""
    assert isinstance(edited().probe(BLUE, False).action, Flip)
    assert isinstance(warmed(edited(), COLD).probe(BLUE, False).action, Flip)
    assert isinstance(Node(WARM).ready().wish(GREEN, 1).action, Flip)


def test_a_colour_that_goes_bad_meanwhile() -> None:
    """The gates are asked again after it, and a newer wish has the word at once."""
    assert edited().probe(GREEN, False, only=0).because is Because.TARGET_NOT_READY
    assert not isinstance(edited().wish(BLUE, 3).action, Warm)
