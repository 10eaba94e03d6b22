"""Who is where, told while a command waits: a line on stderr each time a member's word changes."""

from dataclasses import dataclass, field

from bgctl import output, times
from bgctl.standing import App
from bgctl.told import Member
from bgd.core.model import Colour, Desired


@dataclass(slots=True)
class Progress:
    """Says only what has not been said yet."""

    said: dict[str, str] = field(default_factory=dict)

    def proof(self, app: App, wish: Desired) -> None:
        """Every member's way to proving the wish."""
        for member in app.members:
            self._tell(member.node, _towards(member, wish))

    def gate(self, app: App, colour: Colour) -> None:
        """What every member says of the colour as a target."""
        for member in app.members:
            self._tell(member.node, _readiness(member, colour))

    def probation(self, app: App) -> None:
        """How far every member is with the probation, or what stops it."""
        for member in app.members:
            until = times.clock(member.until)
            self._tell(member.node, f"{member.reason}{f', until {until}' if until else ''}")

    def _tell(self, node: str, line: str) -> None:
        if self.said.get(node) != line:
            self.said[node] = line
            output.say(f"  {node}  {line}")


def _towards(member: Member, wish: Desired) -> str:
    if member.proved(wish.colour, wish.generation):
        return f"{wish.colour} proved{_by_which_means(member)}"
    serves = member.serves or "nothing"
    if member.alive and member.highest_generation < wish.generation:
        return f"serves {serves}; has not heard of it yet"
    return f"serves {serves}; {member.reason}"


def _by_which_means(member: Member) -> str:
    via, took = member.serving.get("via"), member.serving.get("took_ms")
    return f" ({via}, {took} ms)" if via and took is not None else ""


def _readiness(member: Member, colour: Colour) -> str:
    told = member.colour(colour)
    if not member.alive:
        return member.reason
    if told.refusal:
        return f"{colour} is not ready; {': '.join(told.refusal)}"
    count = f"{told.healthy}/{told.registered} healthy"
    return f"{colour} is ready, {count}" if told.ready else f"does not know {colour} yet, {count}"
