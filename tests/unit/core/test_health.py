"""Probes to health, health to verdicts, and which backends take traffic."""

import pytest

from bgd.core.health import NO_RESULTS, Health, probed, rotation
from bgd.core.model import MinHealthy, Policy, Verdict
from tests.unit.core.world import BLUE, GREEN, Node, backends

POLICY = Policy(rise=2, fall=3)


def after(*results: bool, start: Health = NO_RESULTS) -> Health:
    for ok in results:
        start = probed(start, ok, "" if ok else "503", POLICY)
    return start


@pytest.mark.parametrize(
    ("results", "healthy"),
    [
        ((), None),
        ((True,), None),
        ((True, True), True),
        ((False, False), None),
        ((False, False, False), False),
        ((True, False, True), None),
        ((True, True, False, False), True),
        ((True, True, False, False, False), False),
        ((False, False, False, True), False),
        ((False, False, False, True, True), True),
    ],
)
def test_health_changes_after_rise_or_fall_results_in_a_row(
    results: tuple[bool, ...], healthy: bool | None
) -> None:
    """Fewer results in a row leave it as it was."""
    assert after(*results).healthy is healthy


def test_a_result_that_changes_nothing_is_the_same_object() -> None:
    """The loop does not decide again for it."""
    steady = after(True, True)

    assert after(True, start=steady) is steady


def test_one_good_verdict_vets_a_backend_for_good() -> None:
    """Once in, its own failures do not take it out: the proxy's checks do."""
    assert after(True, True, False, False, False).vetted


@pytest.mark.parametrize(
    ("healthy", "verdict"), [(3, Verdict.UP), (2, Verdict.WEAK), (1, Verdict.WEAK), (0, Verdict.DOWN)]
)
def test_a_verdict_says_how_many_are_healthy(healthy: int, verdict: Verdict) -> None:
    """All: up; some: weak; none: down."""
    node = Node().serves(BLUE, 10)
    for i in range(3):
        node.probe(BLUE, i < healthy, only=i)

    assert node.snapshot.colours[BLUE].verdict is verdict


def test_a_verdict_without_evidence_is_unknown() -> None:
    """Just started, and no probe has answered."""
    node = Node().catalog(backends(BLUE, 3), ()).proxy(None)

    assert node.snapshot.colours[BLUE].verdict is Verdict.UNKNOWN


def test_a_broken_prober_never_makes_a_colour_down() -> None:
    """Past the time to form a verdict, and still not one result."""
    node = Node().catalog(backends(BLUE, 3), backends(GREEN, 3)).proxy(None).wait(60)

    assert node.snapshot.formed
    assert node.snapshot.colours[BLUE].verdict is Verdict.UNKNOWN


def test_a_colour_nobody_registered_is_down_at_once() -> None:
    """There is nothing to wait for."""
    node = Node().catalog(backends(BLUE, 3), ()).probe(BLUE, True).proxy(None)

    assert node.snapshot.formed
    assert node.snapshot.colours[GREEN].verdict is Verdict.DOWN


@pytest.mark.parametrize(
    ("rule", "registered", "live", "needed"),
    [
        (MinHealthy(100), 3, 9, 3),
        (MinHealthy(50), 3, 9, 2),
        (MinHealthy(0), 3, 9, 1),
        (MinHealthy(2, "count"), 3, 9, 2),
        (MinHealthy(80, "percent-of-live"), 3, 5, 4),
    ],
)
def test_min_healthy_rounds_up_and_is_never_nothing(
    rule: MinHealthy, registered: int, live: int, needed: int
) -> None:
    """A share of backends is a whole number of them."""
    assert rule.needed(registered, live) == needed


def test_a_new_backend_waits_outside_until_it_was_healthy() -> None:
    """The proxy would take it for healthy at once."""
    two = backends(BLUE, 2)

    assert {server.name for server in rotation(two, {two[0].name: Health(vetted=True, healthy=True)})} == {
        two[0].name
    }


def test_consuls_objection_takes_a_backend_out() -> None:
    """One of three, in maintenance."""
    three = (*backends(BLUE, 2), *backends(BLUE, 3, objection="maintenance")[2:])
    healthy = {backend.name: Health(vetted=True, healthy=True) for backend in three}

    assert len(rotation(three, healthy)) == 2


def test_objections_to_more_than_half_take_nobody_out() -> None:
    """Then the checks are in doubt, not the backends."""
    three = (*backends(BLUE, 1), *backends(BLUE, 3, objection="disk")[1:])
    healthy = {backend.name: Health(vetted=True, healthy=True) for backend in three}

    assert len(rotation(three, healthy)) == 3
