"""Orders, reports and events ↔ JSON with its schema, and the live value ↔ a colour.

Rules that live here: fields that are not known are ignored; a word that is not known is *unknown*, never
a vote; an order counts only for the live key that was written with it. Nothing that can be read here
raises: what makes no sense is None, or a bad key.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from bgd.core.model import Colour, Desired, Good, KeyBad, Member, Order, OrderKind, Preparation, Serving

SCHEMA = 1
_DEEPEST = 20
_LARGEST = 2**63 - 1
_SHOWN = 60


def encode(record: Mapping[str, Any]) -> bytes:
    """A record as it is written."""
    return json.dumps({"schema": SCHEMA, **record}, separators=(",", ":"), ensure_ascii=False).encode(
        errors="replace"
    )


def decode(value: bytes) -> dict[str, Any] | None:
    """A record of a schema that we know, in which all that stands can be shown as JSON again."""
    try:
        record = _decoder.decode(value.decode())
    except (ValueError, RecursionError):
        return None
    known = isinstance(record, dict) and record.get("schema") == SCHEMA and _is_shallow(record)
    return record if known else None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _whole(text: str) -> int:
    """An integer that Consul's own indexes could be."""
    number = int(text)
    if abs(number) > _LARGEST:
        raise ValueError(text)
    return number


_decoder = json.JSONDecoder(parse_constant=_finite, parse_float=_finite, parse_int=_whole)


def _is_shallow(record: Mapping[str, Any]) -> bool:
    """Whether it is nested no deeper than records are: who shows it again goes as deep as it does."""
    level: list[Any] = [record]
    for _ in range(_DEEPEST):
        members = (each.values() if isinstance(each, dict) else each for each in level)
        level = [inner for inside in members for inner in inside if isinstance(inner, dict | list)]
    return not level


def now_at() -> str:
    """This moment as records show it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# -- the wish -------------------------------------------------------------------------------------


def live_in(value: bytes, generation: int, order: Order | None) -> Desired | KeyBad:
    """What a live key says. `order` is what was written in the same transaction, if anything was."""
    try:
        colour = Colour(value.decode().strip().lower())
    except ValueError:
        return KeyBad(shown(value), generation)
    return Desired(colour, generation, order if order and order.colour is colour else None)


def shown(value: bytes) -> str:
    """A value as people may see it: on one line, cut, nothing in it that a terminal would obey."""
    text = value[: 4 * _SHOWN].decode(errors="backslashreplace")
    plain = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    return plain if len(plain) <= _SHOWN else plain[: _SHOWN - 1] + "…"


def order_out(order: Order) -> bytes:
    """An order as it is written."""
    return encode(asdict(order))


def order_in(value: bytes) -> Order | None:
    """An order that was read; None when it says nothing that we understand."""
    told = decode(value)
    if told is None:
        return None
    try:
        return Order(
            kind=OrderKind(told["kind"]),
            colour=Colour(told["colour"]),
            release=_text(told, "release") or None,
            by=_text(told, "by") or "unknown",
            reason=_text(told, "reason"),
            force=told.get("force") is True,
            prepared=tuple(node for node in _list(told, "prepared") if isinstance(node, str)),
            after=_number(told, "after"),
            at=_text(told, "at"),
        )
    except (KeyError, TypeError, ValueError):
        return None


def preparation_out(preparation: Preparation) -> bytes:
    """A preparation as it is written."""
    return encode(asdict(preparation))


def preparation_in(value: bytes) -> Preparation | None:
    """A preparation that was read; None when it says nothing that we understand."""
    told = decode(value) or {}
    colour, name = _colour(told), _text(told, "id")
    if colour is None or not name:
        return None
    return Preparation(
        id=name,
        colour=colour,
        release=_text(told, "release") or None,
        by=_text(told, "by"),
        at=_text(told, "at"),
        dry=told.get("dry") is True,
    )


# -- what the fleet has written down ---------------------------------------------------------------


def good_out(good: Good) -> bytes:
    """What is known good, as it is written."""
    return encode(asdict(good))


def good_in(value: bytes) -> Good | None:
    """What is known good; None when it says nothing that we understand."""
    told = decode(value) or {}
    release = _text(told, "release")
    return Good(release, _number(told, "generation"), _text(told, "confirmed_at")) if release else None


def rejected_in(value: bytes) -> str | None:
    """The release that a rejection is of, if it names one."""
    return _text(decode(value) or {}, "release") or None


# -- members --------------------------------------------------------------------------------------


def meaning(report: Mapping[str, Any]) -> dict[str, Any]:
    """A report without its time: only when this changes is it worth a write."""
    return {name: value for name, value in report.items() if name != "at"}


def gone(by: str) -> dict[str, Any]:
    """The stone that stands, in place of a report, for a membership that has ended."""
    return {"gone": True, "by": by, "at": now_at()}


def is_gone(report: Mapping[str, Any]) -> bool:
    """Whether a report says that its node is no member any more."""
    return report.get("gone") is True


def member_in(node: str, report: Mapping[str, Any], *, alive: bool, stamp: int = 0) -> Member:
    """A member's word about an app, as far as it is understood. `stamp` is its report's ModifyIndex."""
    serving, steady = _part(report, "serving"), _part(report, "steady")
    return Member(
        node=node,
        alive=alive,
        desired=_desired(_part(report, "desired")),
        after=_number(_part(report, "desired"), "after"),
        serving=_serving(serving),
        proved=serving.get("proved") is True,
        because=_text(report, "because"),
        refused=_part(report, "desired").get("refused") is True,
        vote=_vote(_part(report, "vote")),
        steady=_text(steady, "release") if steady.get("over") is True else "",
        stamp=stamp,
    )


def _vote(told: Mapping[str, Any]) -> int:
    known = told.get("live") == "down" and told.get("idle") == "alive"
    return _number(told, "generation") if known else 0


def _desired(told: Mapping[str, Any]) -> Desired | None:
    colour, generation = _colour(told), _number(told, "generation")
    return Desired(colour, generation) if colour and generation else None


def _serving(told: Mapping[str, Any]) -> Serving | None:
    colour = _colour(told)
    if colour is None:
        return None
    return Serving(
        colour,
        _number(told, "generation"),
        release=_text(told, "release") or None,
        since_at=_text(told, "since"),
        via=_text(told, "via"),
        fallback=told.get("fallback") is True,
    )


def _colour(told: Mapping[str, Any]) -> Colour | None:
    try:
        return Colour(_text(told, "colour"))
    except ValueError:
        return None


def _part(whole: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = whole.get(name)
    return value if isinstance(value, Mapping) else {}


def _text(whole: Mapping[str, Any], name: str) -> str:
    value = whole.get(name)
    return value if isinstance(value, str) else ""


def _number(whole: Mapping[str, Any], name: str) -> int:
    value = whole.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _list(whole: Mapping[str, Any], name: str) -> list[Any]:
    value = whole.get(name)
    return value if isinstance(value, list) else []
