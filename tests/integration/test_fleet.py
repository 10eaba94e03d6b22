"""One order for six load balancers: all flip, none loses a request, and all are done when it says so.

Also when a daemon stands still, when two ask at once, and when something is killed meanwhile.
"""

from contextlib import ExitStack
from statistics import median

import pytest

from tests.integration.fleet_flips import AT_ONCE_MS, deaths, endings, figures, flip_all
from tests.integration.fleet_kills import Asking, Said, asked, asking, frozen
from tests.integration.fleet_world import Fleet, other
from tests.integration.waiting import eventually

pytestmark = pytest.mark.timeout(400)  # six daemons begin, and end, on what cores there are
TOGETHER = ("flip-in-progress", "superseded")
TRIES = 10
"""Two commands meet only if neither takes much longer than the other to begin."""


def test_flips_of_a_fleet_lose_nothing(six: Fleet) -> None:
    """Five orders under load on all six nodes: 0 lost, and each is everywhere when bgctl says so."""
    flips = flip_all(six, 5)

    print(figures(flips))
    assert median(flip.skew_ms for flip in flips) < AT_ONCE_MS


def test_who_does_not_answer_stops_an_order_before_it_is_given(six: Fleet) -> None:
    """Exit 3 names the frozen daemon, the key is untouched; without it the rest flips; back, it follows."""
    before, node = six.until_settled(), six.nodes[1]
    colour = other(before.colour)
    without_it = {each.node: before.colour if each is node else colour for each in six.nodes}
    with six.load() as loads, ExitStack() as cold:
        cold.enter_context(frozen(node))
        refused = asked(six, colour, "--timeout", "5s")
        assert refused.exit == 3, refused
        assert refused.told["error"]["because"] == "node-silent"
        assert node.node in refused.detail
        assert six.key() == before
        assert set(six.answers().values()) == {before.colour}

        with asking(six.consul, colour, "--without", node.node) as one:
            eventually(lambda: six.answers() == without_it, "the others have flipped", within_s=30)
            cold.close()
            went = one.end()
        assert went.exit == 0, went  # it waits for the proof of those that it went without
        assert node.node in went.told["proved"]
        assert six.until_settled().colour == colour
    lost = {name: load.lost()[:3] for name, load in loads.items() if load.lost()}
    assert not lost, lost


def test_two_operators_at_once(six: Fleet) -> None:
    """One of them flips the fleet; the other is told by whom, and has written nothing."""
    for _ in range(TRIES):
        colour = other(six.until_settled().colour)
        ends = at_once(six, colour)
        assert 0 in [said.exit for said in ends.values()], ends
        assert six.until_settled().colour == colour
        losers = {name: said for name, said in ends.items() if said.exit}
        for name, said in losers.items():
            winner = next(each for each in ends if each != name)
            assert said.exit == 4, said
            assert said.told["error"]["because"] in TOGETHER, said
            assert winner in said.detail, said
        if losers:
            return
    raise AssertionError("they never met")


def at_once(six: Fleet, colour: str) -> dict[str, Said]:
    """Two who ask for the same, each of another server of Consul."""
    with ExitStack() as stack:
        begun: dict[str, Asking] = {}
        for name, server in zip(("alice", "bob"), six.quorum.servers[1:], strict=True):
            begun[name] = stack.enter_context(asking(server, colour, SUDO_USER=name))
        return {name: one.end() for name, one in begun.items()}


def test_something_is_killed_at_a_random_moment(six: Fleet) -> None:
    """Every node ends where the key points, what bgctl said is true, and no other node loses anything."""
    print(endings(deaths(six, 2, seed=1)))
