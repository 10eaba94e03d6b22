"""kill -9 at a random moment of an order: bgctl, a daemon, Consul's leader, or a proxy of six."""

import random
import time
from collections import Counter

import pytest

from tests.integration.fleet_kills import KINDS, Round, lost, strays, strike, untrue
from tests.integration.fleet_world import Fleet, other

TOGETHER = 10
"""So many rounds see the same load, whose records are held until it ends."""


def rounds(six: Fleet, number: int, seed: int) -> list[Round]:
    """So many deaths, as many of each kind; nothing is lost but by a proxy that is dead."""
    draw = random.Random(seed)
    kinds = [KINDS[each % len(KINDS)] for each in range(number)]
    draw.shuffle(kinds)
    done = list[Round]()
    for start in range(0, number, TOGETHER):
        long_s = how_long(six)
        with six.load() as loads:
            some = [strike(six, kind, draw, long_s) for kind in kinds[start : start + TOGETHER]]
        assert not lost(some, loads), lost(some, loads)[:3]
        assert not strays(some, loads), strays(some, loads)[:3]
        assert not untrue(some), "\n".join(untrue(some))
        done += some
    return done


def how_long(six: Fleet) -> float:
    """How long an order takes on this machine that nothing disturbs."""
    colour = other(six.until_settled().colour)
    began_s = time.monotonic()
    six.bgctl("set-live", colour, check=True)
    return time.monotonic() - began_s


def told(done: list[Round]) -> str:
    """How the orders ended, and how long after its return what was killed was as good as new."""
    ends = Counter((each.victim.kind, each.said.exit) for each in done)
    rows = [f"{kind}: exit {code} {number} times" for (kind, code), number in sorted(ends.items())]
    return "\n".join([*rows, f"settled within {max(each.settled_s for each in done):.1f} s"])


def test_killed_at_a_random_moment(six: Fleet) -> None:
    """Every node ends where the key points, what bgctl said is true, and no other node loses anything."""
    print(told(rounds(six, 4, seed=1)))


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_killed_a_hundred_times(six: Fleet) -> None:
    """The same a hundred times."""
    print(told(rounds(six, 100, seed=2)))
