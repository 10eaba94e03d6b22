"""Some hundred storms over the real core, and that a storm can be replayed and cut down."""

import pytest

from tests.simulation.flips import flips
from tests.simulation.storm import broken, shrunk, storm, trace


@pytest.mark.parametrize("first", range(0, 300, 50))
def test_storms_break_no_invariant(first: int) -> None:
    """Safety in every step, and calm once the faults stop."""
    for seed in range(first, first + 50):
        assert not broken(storm(seed)), trace(storm(seed))


@pytest.mark.parametrize("first", range(0, 120, 40))
def test_storms_of_flips_break_no_invariant(first: int) -> None:
    """Whoever prepares, commits or dies in between; and the colour that was left is drained in the end."""
    for seed in range(first, first + 40):
        assert not broken(flips(seed)), trace(flips(seed))


def test_a_seed_is_a_storm() -> None:
    """The same seed is the same storm, with the same end."""
    told = [storm(7).run(talks=True).said for _ in range(2)]

    assert told[0] == told[1]


def test_a_broken_storm_is_cut_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left breaks the same, and is short."""
    monkeypatch.setattr("bgd.core.keeping.fleet.is_majority", lambda *_: True)
    found = next(storm(seed) for seed in range(200) if broken(storm(seed)))
    small = shrunk(found)

    assert broken(small)
    assert len(small.steps) < len(found.steps) / 2
