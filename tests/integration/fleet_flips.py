"""Orders to a fleet under load: flips that nothing disturbs, and those in which something is killed."""

import random
import time
from collections import Counter
from datetime import datetime

from tests.integration import fleet_seen, fleet_truth
from tests.integration.fleet_kills import KINDS, Round, strike
from tests.integration.fleet_seen import Asked, Flipped
from tests.integration.fleet_world import Fleet, other

AT_ONCE_MS = 1000.0
"""Far above what a machine of one's own needs, below what a node that was forgotten for a while would."""
TOGETHER = 10
"""So many deaths see the same load, whose records are held until it ends."""


def set_live(six: Fleet, colour: str) -> Asked:
    """Ask for a colour as a script does, and look at every front as soon as bgctl has ended."""
    begun_ns = time.monotonic_ns()
    six.bgctl("set-live", colour, check=True)
    ended_ns = time.monotonic_ns()
    assert set(six.answers().values()) == {colour}, six.answers()
    written = datetime.fromisoformat(six.order()["at"])
    return Asked(colour, begun_ns, fleet_seen.monotonic_ns(written.timestamp()), ended_ns)


def flip_all(six: Fleet, number: int, **lanes: int) -> list[Flipped]:
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


def figures(flips: list[Flipped]) -> str:
    """Figures that depend on the machine: six daemons share its cores."""
    found = {
        "skew": [each.skew_ms for each in flips],
        "both colours": [each.both_ms for each in flips],
        "key to last node": [each.late_ms for each in flips],
    }
    rows = ((name, *fleet_seen.spread(values)) for name, values in found.items())
    return "\n".join(f"{name:16} median {a:.1f} ms, p90 {b:.1f}, worst {c:.1f}" for name, a, b, c in rows)


def deaths(six: Fleet, number: int, seed: int) -> list[Round]:
    """So many deaths, as many of each kind; what bgctl says is true, and only a dead proxy loses anything."""
    draw = random.Random(seed)
    kinds = [KINDS[each % len(KINDS)] for each in range(number)]
    draw.shuffle(kinds)
    done = list[Round]()
    for start in range(0, number, TOGETHER):
        long_s = how_long(six)
        with six.load() as loads:
            some = [strike(six, kind, draw, long_s) for kind in kinds[start : start + TOGETHER]]
        lost, strays = fleet_truth.lost(some, loads), fleet_truth.strays(some, loads)
        assert not lost, lost[:3]
        assert not strays, strays[:3]
        untrue = fleet_truth.untrue(some)
        assert not untrue, "\n".join(untrue)
        done += some
    return done


def how_long(six: Fleet) -> float:
    """How long an order takes just now that nothing disturbs."""
    colour = other(six.until_settled().colour)
    began_s = time.monotonic()
    six.bgctl("set-live", colour, check=True)
    return time.monotonic() - began_s


def endings(done: list[Round]) -> str:
    """How the orders ended, and how long after its return what was killed was as good as new."""
    ends = Counter((each.victim.kind, each.said.exit) for each in done)
    rows = [f"{kind}: exit {code} {number} times" for (kind, code), number in sorted(ends.items())]
    return "\n".join([*rows, f"settled within {max(each.settled_s for each in done):.1f} s"])
