"""How fast a wish went through the fleet, as far as clocks allow."""

from datetime import UTC, datetime, timedelta

import pytest

from bgctl.pace import Measured, Pace
from bgctl.told import Member
from tests.unit.bgctl.fleet import report

SENT = datetime(2026, 1, 31, 12, tzinfo=UTC)


def after(duration_ms: float) -> datetime:
    return SENT + timedelta(milliseconds=duration_ms)


def proof(node: str, proved_ms: float | None) -> Member:
    """A member whose own clock says that it proved so long after the wish was sent."""
    told = report(node, "green")
    told["serving"]["since"] = None if proved_ms is None else after(proved_ms).isoformat()
    return Member(node, True, told)


def measured(*proofs: tuple[Member, float]) -> Measured | None:
    """What follows from these proofs, each with when it was heard of."""
    pace = Pace(SENT)
    for member, heard_ms in proofs:
        pace.note([member], after(heard_ms))
    return pace.measured([member for member, _ in proofs])


def test_by_the_nodes_clocks():
    """Clocks that agree with ours, as far as can be seen, tell it exactly."""
    found = measured((proof("a", 6), 20), (proof("b", 18), 25))

    assert found == Measured(18.0, 12.0, exact=True)
    assert str(found) == "skew 12 ms · key to last node 18 ms"


@pytest.mark.parametrize("wrong_ms", [-400, 30_000, None], ids=["slow", "fast", "none"])
def test_a_clock_that_is_wrong(wrong_ms: float | None):
    """A proof before the wish, or after it was heard of, tells no time: both are upper bounds then."""
    found = measured((proof("a", 6), 20), (proof("b", wrong_ms), 25))

    assert found == Measured(25.0, 25.0, exact=False)
    assert str(found) == "skew ≤ 25 ms · key to last node ≤ 25 ms"


def test_a_report_tells_whole_milliseconds():
    """A proof within the millisecond in which the wish was sent may seem to be before it."""
    found = measured((proof("a", -0.9), 4))

    assert found is not None
    assert found.exact
    assert found.key_to_last_ms == 0


def test_only_the_first_hearing_counts():
    """A proof that is seen again later was heard of when it was seen first; a new proof anew."""
    pace, old, new = Pace(SENT), proof("a", None), proof("a", 50)
    pace.note([old], after(10))
    pace.note([old], after(40))
    assert pace.measured([old]) == Measured(10.0, 10.0, exact=False)

    pace.note([new], after(60))
    assert pace.measured([new]) == Measured(50.0, 0.0, exact=True)


def test_nothing_to_measure():
    """Without a proof, or with one that was not waited for, there is nothing to tell."""
    assert Pace(SENT).measured([]) is None
    assert Pace(SENT).measured([proof("a", 6)]) is None
