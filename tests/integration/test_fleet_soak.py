"""One order for six load balancers, many times over."""

import signal
from statistics import median

import pytest

from tests.integration.fleet_flips import AT_ONCE_MS, deaths, endings, figures, flip_all
from tests.integration.fleet_kills import asked, asking, frozen
from tests.integration.fleet_world import Fleet, other
from tests.integration.waiting import eventually

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]


def test_fifty_flips_of_a_fleet_lose_nothing(six: Fleet) -> None:
    """Fifty orders under load on all six nodes; `make bench` has the figures of a quiet machine."""
    flips = flip_all(six, 50, kept=3, new=3)

    print(figures(flips))
    assert median(flip.skew_ms for flip in flips) < AT_ONCE_MS


def test_something_is_killed_a_hundred_times(six: Fleet) -> None:
    """bgctl, a daemon, Consul's leader and a proxy, 25 times each, at random moments of an order."""
    print(endings(deaths(six, 100, seed=2)))


def test_who_dies_between_the_phases_leaves_nothing_behind(six: Fleet) -> None:
    """While its session lives others are told of it; then the preparation is gone, and an order works."""
    before, node = six.until_settled(), six.nodes[4]
    colour = other(before.colour)
    with frozen(node), asking(six.consul, colour, SUDO_USER="alice") as one:
        eventually(lambda: six.left_over(), "the order is being prepared", within_s=30)
        one.signal(signal.SIGKILL)
        assert one.end().exit == -signal.SIGKILL
        told = asked(six, colour, "--timeout", "1s")
        assert (told.exit, told.told["error"]["because"]) == (4, "flip-in-progress"), told
        assert "alice" in told.detail
    eventually(lambda: not six.left_over(), "the preparation is gone", within_s=30)
    assert six.until_settled() == before
    assert asked(six, colour).exit == 0
    assert six.until_settled().colour == colour
