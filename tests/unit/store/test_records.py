"""Records and what is understood of them."""

import json
from typing import Any

import pytest

from bgd.core.model import Colour, Desired, Good, KeyBad, Order, OrderKind
from bgd.store import records

ORDER = Order(
    kind=OrderKind.FLIP,
    colour=Colour.GREEN,
    release="2.5.0",
    by="alice",
    reason="ticket 4711 ✓",
    force=True,
    prepared=("lb-1", "lb-2"),
    after=7,
    at="2026-01-31T12:00:00.123Z",
)


@pytest.mark.parametrize("value", [b"green", b"GREEN", b"Green\n", b" \t green \r\n"])
def test_a_colour_is_read_with_tolerance(value: bytes) -> None:
    """Case and surrounding whitespace of the live key mean nothing."""
    assert records.live_in(value, 7, None) == Desired(Colour.GREEN, 7)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"", ""),
        (b"purple", "purple"),
        (b"gre\nen", r"gre\nen"),
        (b"\x1b[2J", r"\x1b[2J"),
        (b"\xff\xfe", r"\xff\xfe"),
        ("blue\u202e".encode(), "blue\\u202e"),
        (b"x" * 1000, "x" * 59 + "…"),
    ],
)
def test_what_names_no_colour_is_shown_harmlessly(value: bytes, text: str) -> None:
    """A bad value is told on one line, cut, and with nothing in it that a terminal would obey."""
    assert records.live_in(value, 7, None) == KeyBad(text, 7)


def test_an_order_comes_back_as_it_was_given() -> None:
    """An order survives being written and read."""
    assert records.order_in(records.order_out(ORDER)) == ORDER


def test_an_order_of_another_colour_is_not_this_wishs() -> None:
    """An order counts only for the colour that it names."""
    assert records.live_in(b"blue", 7, ORDER) == Desired(Colour.BLUE, 7)
    assert records.live_in(b"green", 7, ORDER) == Desired(Colour.GREEN, 7, ORDER)


@pytest.mark.parametrize(
    "change",
    [{"kind": "teleport"}, {"colour": "purple"}, {"schema": 2}, {"kind": None}, {"colour": ["green"]}],
)
def test_an_unknown_word_makes_an_unknown_order(change: dict[str, Any]) -> None:
    """A kind, colour or schema that is not known is no order."""
    told = {**json.loads(records.order_out(ORDER)), **change}
    assert records.order_in(json.dumps(told).encode()) is None


@pytest.mark.parametrize("value", [b"", b"no json", b"[]", b"7", b"null", b"\xff", b"[" * 100_000, b"{}"])
def test_what_is_no_record_is_none(value: bytes) -> None:
    """What cannot be read is no record, and never an error."""
    assert records.decode(value) is None
    assert records.order_in(value) is None


@pytest.mark.parametrize(
    "value",
    ["NaN", "-Infinity", "1e999", "9" * 30, "9" * 5000, "[" * 900 + "]" * 900, '{"a":' * 30 + "0" + "}" * 30],
)
def test_what_could_not_be_shown_as_json_again_is_no_record(value: str) -> None:
    """Numbers beyond all bounds and depths without end come from nobody who writes records."""
    assert records.decode(f'{{"schema":1,"x":{value}}}'.encode()) is None


def test_fields_that_are_not_known_are_ignored() -> None:
    """A newer writer's fields, and a field of a strange kind, leave the rest as it is."""
    told = {**json.loads(records.order_out(ORDER)), "shiny": 1, "after": "many", "prepared": "all", "by": 5}
    order = records.order_in(json.dumps(told).encode())
    assert order is not None
    assert (order.colour, order.after, order.prepared, order.by) == (Colour.GREEN, 0, (), "unknown")


def test_a_members_word() -> None:
    """A report is a member's word: what it wishes, what it serves, and whether that is proved."""
    report = {
        "desired": {"colour": "green", "generation": 8},
        "serving": {"colour": "blue", "generation": 7, "since": "t", "via": "runtime", "proved": True},
        "because": "target-not-ready",
    }
    member = records.member_in("lb-1", report, alive=True)
    assert (member.alive, member.proved, member.because) == (True, True, "target-not-ready")
    assert member.desired == Desired(Colour.GREEN, 8)
    assert member.serving is not None
    assert (member.serving.colour, member.serving.generation) == (Colour.BLUE, 7)


@pytest.mark.parametrize(
    "report",
    [
        {},
        {"desired": None, "serving": None},
        {"desired": {"colour": "purple", "generation": 1}, "serving": {"colour": 3, "proved": "yes"}},
        {"desired": [], "serving": "blue"},
    ],
)
def test_a_strange_report_is_no_vote(report: dict[str, Any]) -> None:
    """What is not understood of a report is unknown: no wish, nothing served, nothing proved."""
    member = records.member_in("lb-1", report, alive=True)
    assert (member.desired, member.serving, member.proved) == (None, None, False)


def test_the_time_is_no_meaning() -> None:
    """Two reports that differ only in when they were made mean the same."""
    assert records.meaning({"a": 1, "at": "x"}) == records.meaning({"a": 1, "at": "y"})


def test_a_stone_says_who_set_it() -> None:
    """The end of a membership is a record of its own, with who ended it."""
    told = records.decode(records.encode(records.gone("alice")))
    assert told is not None
    assert records.is_gone(told)
    assert told["by"] == "alice"


def test_a_members_vote_and_steadiness() -> None:
    """A vote counts when it says all it must; a release is steady when its probation is over."""
    report = {
        "vote": {"generation": 8, "live": "down", "idle": "alive", "evidence": "503"},
        "steady": {"release": "2.0", "since": "t", "over": True},
    }
    member = records.member_in("lb-1", report, alive=True, stamp=77)
    assert (member.vote, member.steady, member.stamp) == (8, "2.0", 77)


@pytest.mark.parametrize(
    "report",
    [
        {"vote": {"generation": 8, "live": "sideways", "idle": "alive"}, "steady": {"release": "2.0"}},
        {"vote": {"generation": "8", "live": "down", "idle": "alive"}, "steady": {"over": True}},
        {"vote": 8, "steady": {"release": "2.0", "over": "yes"}},
    ],
)
def test_a_strange_vote_is_none(report: dict[str, Any]) -> None:
    """Words that are not known are unknown."""
    member = records.member_in("lb-1", report, alive=True)
    assert (member.vote, member.steady) == (0, "")


def test_what_is_good_comes_back_as_it_was_written() -> None:
    """A record without a release says nothing."""
    good = Good("2.5.0", 412, "2026-01-31T12:00:00.123Z")
    assert records.good_in(records.good_out(good)) == good
    assert records.good_in(b'{"schema":1}') is None
