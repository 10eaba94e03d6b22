"""One order for six load balancers: all flip, none loses a request, and all are done when it says so."""

import time
from datetime import datetime
from statistics import median

import pytest

from tests.integration import fleet_seen
from tests.integration.fleet_seen import Asked
from tests.integration.fleet_world import Fleet, other

AT_ONCE_MS = 1000.0
"""Far above what a machine of one's own needs, below what a node that was forgotten for a while would."""


def set_live(six: Fleet, colour: str) -> Asked:
    """Ask for a colour as a script does, and look at every front as soon as bgctl has ended."""
    begun_ns = time.monotonic_ns()
    six.bgctl("set-live", colour, check=True)
    ended_ns = time.monotonic_ns()
    assert set(six.answers().values()) == {colour}, six.answers()
    written = datetime.fromisoformat(six.order()["at"])
    return Asked(colour, begun_ns, fleet_seen.monotonic_ns(written.timestamp()), ended_ns)


def flip_all(six: Fleet, number: int, **lanes: int) -> list[fleet_seen.Flipped]:
    """So many flips under load on each node; nothing is lost, and nothing strays to the colour before."""
    asked, colour = [], six.until_settled().colour
    with six.load(**lanes) as loads:
        for _ in range(number):
            colour = other(colour)
            asked.append(set_live(six, colour))
            six.until_settled()
    records = {node: load.records for node, load in loads.items()}
    lost = {node: load.lost()[:3] for node, load in loads.items() if load.lost()}
    assert not lost, lost
    assert not fleet_seen.strays(asked, records)
    print("\nrequests", sum(len(each) for each in records.values()), "lost 0")
    return fleet_seen.flips(asked, records)


def told(flips: list[fleet_seen.Flipped]) -> str:
    """The figures, which depend on the machine: six daemons share its cores."""
    figures = {
        "skew": [each.skew_ms for each in flips],
        "both colours": [each.both_ms for each in flips],
        "key to last node": [each.late_ms for each in flips],
    }
    rows = ((name, *fleet_seen.spread(values)) for name, values in figures.items())
    return "\n".join(f"{name:16} median {a:.1f} ms, p90 {b:.1f}, worst {c:.1f}" for name, a, b, c in rows)


def test_flips_of_a_fleet_lose_nothing(six: Fleet) -> None:
    """Five orders under load on all six nodes: 0 lost, and each is everywhere when bgctl says so."""
    flips = flip_all(six, 5)

    print(told(flips))
    assert median(flip.skew_ms for flip in flips) < AT_ONCE_MS


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_fifty_flips_of_a_fleet_lose_nothing(six: Fleet) -> None:
    """The same fifty times, under more load; `make bench` has the figures of a quiet machine."""
    flips = flip_all(six, 50, kept=3, new=3)

    print(told(flips))
    assert median(flip.skew_ms for flip in flips) < AT_ONCE_MS
