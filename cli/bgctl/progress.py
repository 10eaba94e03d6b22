"""Who is where, shown while a command waits.

Rules that live here: all of it goes to stderr; on a terminal as a table that is replaced in place, and whose
last state stays; in a pipe, and with `-o json`, as a line each time that a member's word changes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from bgctl import output, times
from bgctl.prepared import Round
from bgctl.standing import App
from bgctl.told import Member
from bgd.core.model import Colour, Desired, Gate
from bgd.core.reasons import Because


@dataclass(frozen=True, slots=True)
class Row:
    """Where one member is on its way."""

    node: str
    phase: str
    """In a few words: `green proved`."""
    detail: str = ""
    """The evidence, the gate that refuses, or what is waited for."""
    done: bool | None = None
    """Arrived; False: something stands against it; None: under way."""


class View(Protocol):
    """Whoever shows rows."""

    def show(self, rows: Sequence[Row]) -> None:
        """Every member's row as it is now, instead of the rows before."""


@contextmanager
def shown(*, as_json: bool = False) -> Iterator[View]:
    """A view for as long as a command waits. Lines that are said meanwhile stand above its table."""
    if as_json or not output.redrawable():
        yield Lines()
        return
    from bgctl import live  # heavy; only terminals pay for it

    with live.table() as view:
        yield view


@dataclass(slots=True)
class Lines:
    """Says on stderr only what has not been said yet."""

    said: dict[str, str] = field(default_factory=dict)

    def show(self, rows: Sequence[Row]) -> None:
        for row in rows:
            line = ": ".join(filter(None, (row.phase, row.detail)))
            if self.said.get(row.node) != line:
                self.said[row.node] = line
                output.say(f"  {row.node}  {line}")


# -- rows -----------------------------------------------------------------------------------------


def proof(app: App, wish: Desired) -> list[Row]:
    """Every member's way to proving the wish."""
    return [_towards(member, wish) for member in app.members]


def gate(app: App, colour: Colour) -> list[Row]:
    """What every member says of the colour as a target."""
    return [_readiness(member, colour) for member in app.members]


def preparing(app: App, asked: Round) -> list[Row]:
    """What every member answers to a preparation."""
    return [_answering(member, asked) for member in app.members]


def probation(app: App) -> list[Row]:
    """How far every member is with the probation, or what stops it."""
    return [_baking(member) for member in app.members]


def _answering(member: Member, asked: Round) -> Row:
    answer, colour = asked.answer(member), asked.asked.colour
    if not member.alive:
        return Row(member.node, "silent", member.reason, False)
    if member.node in asked.without:
        return Row(member.node, "left out", "follows by itself")
    if answer is None:
        return Row(member.node, f"preparing {colour}", f"serves {member.serves or 'nothing'}")
    if answer.ok:
        return Row(member.node, f"prepared for {colour}", _brief(answer.gates), True)
    gate = answer.refusal
    return Row(member.node, f"refuses {colour}", f"{gate.gate}: {gate.because}, {gate.detail}", False)


def _brief(gates: Sequence[Gate]) -> str:
    """What an operator would ask first: with how many backends, and how it would flip."""
    return "; ".join(gate.detail for gate in gates if gate.gate in ("backends", "config") and gate.detail)


def _towards(member: Member, wish: Desired) -> Row:
    if member.proved(wish.colour, wish.generation):
        return Row(member.node, f"{wish.colour} proved", _by_which_means(member), True)
    serves = f"serves {member.serves or 'nothing'}"
    if member.alive and member.highest_generation < wish.generation:
        return Row(member.node, serves, "has not heard of it yet")
    stopped = not member.alive or member.refuses(wish.generation)
    return Row(member.node, serves, member.reason, False if stopped else None)


def _by_which_means(member: Member) -> str:
    via, took = member.serving.get("via"), member.serving.get("took_ms")
    return f"{via}, {took} ms" if via and took is not None else ""


def _readiness(member: Member, colour: Colour) -> Row:
    told = member.colour(colour)
    if not member.alive:
        return Row(member.node, "silent", member.reason, False)
    if told.refusal:
        return Row(member.node, f"{colour} is not ready", ": ".join(told.refusal), False)
    count = f"{told.healthy}/{told.registered} healthy"
    if told.ready:
        return Row(member.node, f"{colour} is ready", count, True)
    return Row(member.node, f"does not know {colour} yet", count)


def _baking(member: Member) -> Row:
    if not member.alive:
        return Row(member.node, "silent", member.reason, False)
    until = times.clock(member.until)
    detail = ", ".join(filter(None, (member.detail, f"until {until}" if until else "")))
    arrived = True if member.because == Because.CONVERGED else None
    return Row(member.node, member.because or "unreadable report", detail, arrived)
