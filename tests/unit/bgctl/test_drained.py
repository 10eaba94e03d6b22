"""Whether the colour that was left may be destroyed."""

from typing import Any

import pytest

from bgctl import cells, drained
from bgctl.ending import Exit
from bgctl.standing import App
from bgctl.told import Member
from bgd.core.model import Colour, Desired, Good, KeyBad, KeyGone, Ledger, Order, OrderKind, Preparation
from bgd.core.reasons import Because
from tests.unit.bgctl import fleet

BLUE, GREEN = Colour.BLUE, Colour.GREEN
GOOD = Ledger(good={GREEN: Good("2.5.0", 9)})
LIVE = Desired(GREEN, 10)


def member(node: str = "lb-1", sessions: int | None = 0, serves: str = "green", **told: Any) -> Member:
    """A member that serves green, with so many open on blue."""
    alive = told.pop("alive", True)
    report = fleet.report(node, serves, **told)
    report["colours"]["blue"]["sessions"] = sessions
    return Member(node, alive, report)


def app(*members: Member, live: Any = LIVE, ledger: Ledger = GOOD) -> App:
    return fleet.app(*members, live=live, ledger=ledger)


def said(told: App, *, now: bool = False) -> str:
    """What the one row that is not done says."""
    (row,) = (row for row in drained.rows(told, BLUE, now=now) if row.done is not True)
    return f"{row.node}: {row.phase}: {row.detail}"


def test_nothing_is_open_and_live_is_good() -> None:
    """Then it may be destroyed."""
    assert drained.drained(app(member("lb-1"), member("lb-2")), BLUE)
    assert all(row.done for row in drained.rows(app(member()), BLUE))


@pytest.mark.parametrize(
    ("one", "row"),
    [
        (member("lb-2", 3), "lb-2: 3 open on blue: "),
        (member("lb-2", None), "lb-2: does not know yet what is open on blue: converged"),
        (member("lb-2", serves="blue", generation=9), "lb-2: serves blue: converged"),
        (member("lb-2", proved=False), "lb-2: serves green: not proved: converged"),
        (member("lb-2", generation=9), "lb-2: serves green: not proved: converged"),
        (
            member("lb-2", serves="blue", fallback=True, because="fallback-serving"),
            "lb-2: serves blue: fallback-serving",
        ),
        (
            member("lb-2", vote={"generation": 10}, because="revert-waiting-quorum"),
            "lb-2: may go back: revert-waiting-quorum",
        ),
        (
            member("lb-2", alive=False),
            "lb-2: silent: served green; nobody knows what it serves now",
        ),
        (Member("lb-2", True, {}), "lb-2: serves nothing: not proved: unreadable report"),
    ],
)
def test_one_member_is_enough_to_wait_for(one: Member, row: str) -> None:
    """Whoever has any, serves it, may serve it, or does not say."""
    told = app(member(), one)

    assert not drained.drained(told, BLUE)
    assert not drained.drained(told, BLUE, now=True)
    assert said(told, now=True) == row


def test_a_silent_member_counts_whatever_it_said_last() -> None:
    """Its bgd may run on, cut off from Consul, and fall back."""
    told = app(member(), member("lb-2", alive=False))

    ended = drained.not_in_time(told, BLUE)

    assert (ended.exit, ended.because) == (Exit.LATE, Because.NODE_SILENT)
    assert "bgctl forget NODE" in ended.cure


def test_until_live_is_good_a_revert_may_bring_it_back() -> None:
    """Only --now does not wait for it."""
    told = app(member(because="probation", until="2026-01-31T12:05:00Z"), ledger=Ledger())

    assert not drained.drained(told, BLUE)
    assert drained.drained(told, BLUE, now=True)
    assert "green 2.5.0 is not known good yet: on probation until" in said(told)
    assert drained.not_in_time(told, BLUE).because == Because.PROBATION


def test_another_release_than_the_good_one_is_on_probation() -> None:
    """Redeployed in place, green is not what was confirmed."""
    assert not drained.drained(app(member(release="2.6.0")), BLUE)


def test_it_is_not_drained_while_somebody_flips_to_it() -> None:
    """A preparation comes before the key; a forecast comes before nothing."""
    real = Ledger(good=GOOD.good, preparation=Preparation(id="1", colour=BLUE, by="bob"))
    forecast = Ledger(good=GOOD.good, preparation=Preparation(id="1", colour=BLUE, by="bob", dry=True))

    assert not drained.drained(app(member(), ledger=real), BLUE, now=True)
    assert said(app(member(), ledger=real)) == "lb-1: blue drained: bob is flipping to it"
    assert drained.drained(app(member(), ledger=forecast), BLUE)


@pytest.mark.parametrize("live", [KeyGone(0), KeyBad("purple", 9)])
def test_without_a_wish_nothing_is_drained(live: Any) -> None:
    """Nobody knows which colour may go."""
    assert not drained.drained(app(member(), live=live), BLUE, now=True)


def test_nobody_is_no_proof() -> None:
    """An app about which no node has reported is not drained."""
    assert not drained.drained(app(), BLUE, now=True)
    assert drained.not_in_time(app(), BLUE).because == Because.NODE_SILENT


@pytest.mark.parametrize(
    ("told", "shown"), [((0, 0), "0"), ((3, 4), "7"), ((3, None), "3+"), ((0, None), "0+"), ((None,), None)]
)
def test_the_sum_says_when_somebody_does_not_know(told: tuple[int | None, ...], shown: str | None) -> None:
    """What is not known is not none in `bgctl status` either."""
    members = [member(f"lb-{number}", sessions) for number, sessions in enumerate(told)]

    assert cells.colour_row(app(*members), BLUE)[3] == shown


def test_what_is_live_is_not_waited_for() -> None:
    """It would be drained never; after a revert the exit code says that it was one."""
    by = {"colour": BLUE, "by": "lb-1", "reason": "green is down"}
    named = app(member(serves="blue"), live=Desired(BLUE, 11))
    reverted = app(live=Desired(BLUE, 11, Order(kind=OrderKind.REVERT, **by, after=10)))

    assert drained.taken_back(app(member()), BLUE, None) is None
    ended = drained.taken_back(named, BLUE, None)
    assert ended is not None
    assert (ended.exit, ended.because) == (Exit.REFUSED, Because.SUPERSEDED)
    for wish in (None, LIVE):
        ended = drained.taken_back(reverted, BLUE, wish)
        assert ended is not None
        assert ended.exit is Exit.REVERTED
