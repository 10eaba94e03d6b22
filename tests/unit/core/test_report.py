"""What a node publishes of votes, steadiness and the way back."""

from typing import Any

from bgd.core.report import report
from tests.unit.core.world import BLUE, GREEN, Node


def told(node: Node) -> dict[str, Any]:
    return report(
        node.snapshot, node.action, version="1", proxy="p", shown=lambda at_s: f"{at_s - node.now_s:g}"
    )


def test_a_vote_is_told_with_its_evidence() -> None:
    """Proved, live down, idle alive."""
    node = Node().serves(GREEN, 10).ledger()
    assert told(node)["vote"] is None

    assert told(node.probe(GREEN, False))["vote"] == {
        "generation": 10,
        "live": "down",
        "idle": "alive",
        "evidence": "503",
    }


def test_nobody_votes_for_a_way_that_is_dead() -> None:
    """There is nowhere to go."""
    assert told(Node().serves(GREEN, 10).probe(GREEN, False).probe(BLUE, False))["vote"] is None


def test_a_node_astray_does_not_vote() -> None:
    """What it serves is not proved."""
    assert told(Node().serves(GREEN, 10).probe(GREEN, False).proxy(BLUE))["vote"] is None


def test_a_probation_is_told_with_its_end() -> None:
    """Since when, whether it is over, and until when."""
    node = Node().serves(GREEN, 10).ledger().wait(100)
    said = told(node)

    assert (said["because"], said["until"]) == ("probation", "200")
    assert said["steady"] == {"release": "2.0", "since": "-100", "over": False}
    assert told(node.wait(200))["steady"]["over"]


def test_the_way_back_is_told() -> None:
    """Open, or shut with the reason."""
    said = told(Node().serves(GREEN, 10).ledger(good={BLUE: "1.0"}))

    assert said["way_back"] == {"open": True, "because": None, "detail": "blue 1.0, 3/3", "until": None}


def test_a_fallback_is_told() -> None:
    """It serves, and is not the wish proved."""
    node = Node().serves(GREEN, 10).ledger(good={BLUE: "1.0"}).heard().probe(GREEN, False).act()
    serving = told(node)["serving"]

    assert (serving["colour"], serving["generation"], serving["fallback"]) == ("blue", 10, True)
