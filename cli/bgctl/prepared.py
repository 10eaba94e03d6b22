"""What the members answer to a preparation, judged from their reports. Pure: nothing is asked here.

Rules that live here: who serves the colour already moves no request, and so need not answer; the answer of
a silent member is none; a no of one ends it for all, with its gate's reason.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from bgctl import standing
from bgctl.ending import Ended, late, misused, refused
from bgctl.nearest import nearest
from bgctl.rivals import UNTOUCHED
from bgctl.standing import App
from bgctl.told import Member
from bgd.core.model import Gate, Preparation
from bgd.core.reasons import Because


@dataclass(frozen=True, slots=True)
class Answer:
    """What one member says to a preparation, gate by gate."""

    ok: bool
    gates: tuple[Gate, ...] = ()
    diff: str = ""
    """What would change in its proxy's configuration; only of a dry one."""

    @property
    def refusal(self) -> Gate:
        """The gate that says no; one without a name, where a report leaves it out."""
        return next((gate for gate in self.gates if not gate.ok), Gate("?", False, "it does not say why"))


@dataclass(frozen=True, slots=True)
class Round:
    """One preparation, and who is not asked for an acknowledgement."""

    asked: Preparation
    without: Collection[str] = field(default_factory=frozenset)

    def answer(self, member: Member) -> Answer | None:
        """A living member's answer, once it has given one."""
        told = member.report.get("prepared")
        if not member.alive or not isinstance(told, dict) or told.get("id") != self.asked.id:
            return None
        gates, diff = told.get("gates"), told.get("diff")
        return Answer(
            told.get("ok") is True,
            tuple(_gate(each) for each in gates if isinstance(each, dict)) if isinstance(gates, list) else (),
            diff if isinstance(diff, str) else "",
        )

    def needed(self, app: App) -> tuple[Member, ...]:
        """The members without whose acknowledgement nothing is written."""
        return standing.asked(app, self.asked.colour, self.without)

    def acknowledged(self, app: App) -> list[Member]:
        """The members that have said yes."""
        answers = ((each, self.answer(each)) for each in app.members if each.node not in self.without)
        return [member for member, answer in answers if answer is not None and answer.ok]

    def waiting(self, app: App) -> list[Member]:
        """The members that are needed and have not answered."""
        return [member for member in self.needed(app) if self.answer(member) is None]

    def refused(self, app: App) -> Ended | None:
        """Why it ends without a flip: a gate that says no, or another release than is asked for."""
        against = [(each, said) for each in self.needed(app) if (said := self.answer(each)) and not said.ok]
        if against:
            return self._closed(app, [(member, answer.refusal) for member, answer in against])
        return self._redeployed(app)

    def _closed(self, app: App, against: list[tuple[Member, Gate]]) -> Ended:
        _, first = against[0]
        said = "; ".join(f"{m.node} ({gate.gate}): {gate.because}, {gate.detail}" for m, gate in against)
        return refused(
            first.because or Because.TARGET_NOT_READY,
            f"{self.asked.colour} is refused by {said}; {UNTOUCHED}",
            f"bgctl why {app.name}; once it is mended: bgctl set-live {self.asked.colour} --app {app.name}",
        )

    def _redeployed(self, app: App) -> Ended | None:
        """A release that was deployed meanwhile is not the one that was asked for, nor tried."""
        colour, wanted = self.asked.colour, self.asked.release
        seen = {member.node: member.colour(colour).release for member in self.needed(app) if member.alive}
        other = {node: release for node, release in seen.items() if release and release != wanted}
        if not wanted or not other:
            return None
        where = "; ".join(f"{release} on {node}" for node, release in other.items())
        return refused(
            Because.WISH_EXPIRED,
            f"{colour} was redeployed meanwhile: asked for was {wanted}, it now runs {where}; {UNTOUCHED}",
            f"bgctl set-live {colour} --app {app.name} asks for what runs there now",
        )

    def too_late(self, app: App) -> Ended:
        """Not all have answered in time."""
        waiting = self.waiting(app)
        named = "; ".join(f"{member.node} ({member.reason})" for member in waiting)
        first = waiting[0].node if waiting else "NODE"
        return late(
            Because.NODE_SILENT,
            f"not acknowledged in time by {named}; {UNTOUCHED}: {app.name}'s key is untouched",
            f"bgctl why {app.name}; a longer --timeout; flip without it: --without {first}; gone for good: "
            f"bgctl forget {first} --app {app.name}",
        )


def check_names(app: App, without: Collection[str]) -> None:
    """Whoever is left out is a member, and not the last one."""
    members = [member.node for member in app.members]
    for node in without:
        if node not in members:
            raise misused(
                f"--without {node}: {app.name} has no such member{nearest(node, members)}",
                f"its members: {', '.join(members) or 'none'}",
            )
    if members and not set(members) - set(without):
        raise misused(
            f"--without names every member of {app.name}: nobody would be asked",
            "--force asks nobody; bgctl forget NODE ends a membership",
        )


def _gate(told: dict[str, Any]) -> Gate:
    name, detail, because = (
        value if isinstance(value := told.get(key), str) else "" for key in ("gate", "detail", "because")
    )
    return Gate(name, told.get("ok") is True, detail, because)
