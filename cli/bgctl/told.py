"""What a member told: its report, read with tolerance.

Rules that live here: fields and words that are not known are *unknown*, never an answer; a report that
cannot be read is as good as none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bgd.core.fleet import REFUSALS
from bgd.core.model import Colour, Verdict
from bgd.core.reasons import Because

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Member:
    """One node's last word about an app, and whether its daemon lives."""

    node: str
    alive: bool
    report: Json = field(default_factory=dict)

    @property
    def because(self) -> str:
        """Its reason code; of a silent member, that it is silent."""
        return _text(self.report, "because") if self.alive else Because.NODE_SILENT

    @property
    def detail(self) -> str:
        return _text(self.report, "detail")

    @property
    def reason(self) -> str:
        """Code and detail in one."""
        if not self.alive:
            return f"{Because.NODE_SILENT}: its bgd does not run or cannot reach Consul"
        return ": ".join(filter(None, (self.because or "unreadable report", self.detail)))

    @property
    def serving(self) -> Json:
        return _part(self.report, "serving")

    @property
    def serves(self) -> str:
        """The colour it serves, or empty."""
        return _text(self.serving, "colour")

    @property
    def serves_generation(self) -> int:
        return _number(self.serving, "generation")

    @property
    def serving_release(self) -> str:
        return _text(self.serving, "release")

    @property
    def in_fallback(self) -> bool:
        """Whether it serves a colour by its own choice, instead of the one that is live."""
        return self.serving.get("fallback") is True

    @property
    def until(self) -> str:
        """When what it says ends by itself, in ISO 8601, or empty."""
        return _text(self.report, "until")

    @property
    def way_back(self) -> Json:
        """Where a revert would go, as it sees it; empty when it does not say."""
        return _part(self.report, "way_back")

    @property
    def vote(self) -> Json:
        """Its vote for a revert, while it has one."""
        return _part(self.report, "vote")

    @property
    def steady(self) -> Json:
        """The release that it serves without a break, since when, and whether for long enough."""
        return _part(self.report, "steady")

    @property
    def left_out(self) -> list[str]:
        """What Consul told that is not fit to be rendered, a sentence each."""
        sentences = self.report.get("left_out")
        return [str(each) for each in sentences] if isinstance(sentences, list) else []

    @property
    def highest_generation(self) -> int:
        """The newest generation that this member has heard of."""
        return max(self.serves_generation, _number(_part(self.report, "desired"), "generation"))

    def why_not(self, generation: int) -> tuple[str, str]:
        """Code and words for not having proved a wish; what was said before one heard of it is no reason."""
        if self.alive and self.highest_generation < generation:
            return Because.NODE_SILENT, f"{Because.NODE_SILENT}: it has not heard of it, or cannot say so"
        return self.because or Because.STARTING, self.reason

    def refuses(self, generation: int) -> bool:
        """Whether it will not take this very wish."""
        heard = _number(_part(self.report, "desired"), "generation")
        return self.alive and heard == generation and self.because in REFUSALS

    def proved(self, colour: Colour, generation: int) -> bool:
        """Whether it lives and has shown that its proxy decides for this very wish."""
        return (
            self.alive
            and self.serves == colour
            and self.serves_generation == generation
            and self.serving.get("proved") is True
        )

    def colour(self, colour: Colour) -> "ColourTold":
        """What it sees of a colour."""
        return ColourTold(_part(_part(self.report, "colours"), colour.value))


@dataclass(frozen=True, slots=True)
class ColourTold:
    """One member's view of one colour."""

    told: Json

    @property
    def verdict(self) -> Verdict:
        try:
            return Verdict(_text(self.told, "verdict"))
        except ValueError:
            return Verdict.UNKNOWN

    @property
    def why(self) -> str:
        """The gate's answer: why it could not be flipped to, or empty."""
        return _text(self.told, "why")

    @property
    def release(self) -> str:
        return _text(self.told, "release")

    @property
    def healthy(self) -> int:
        return _number(self.told, "healthy")

    @property
    def registered(self) -> int:
        return _number(self.told, "registered")

    @property
    def sessions(self) -> int | None:
        value = self.told.get("sessions")
        return value if isinstance(value, int) else None

    @property
    def refusal(self) -> tuple[str, str] | None:
        """Reason code and detail when this colour is no target; None while it is one, or unknown."""
        if self.why:
            code, _, detail = self.why.partition(": ")
            return code, detail or code
        if self.verdict in (Verdict.WEAK, Verdict.DOWN):
            return Because.TARGET_NOT_READY, f"{self.verdict}, {self.healthy}/{self.registered} healthy"
        return None

    @property
    def ready(self) -> bool:
        """Whether a flip to it would be taken."""
        return self.verdict is Verdict.UP and not self.why


def _part(whole: Json, name: str) -> Json:
    value = whole.get(name)
    return value if isinstance(value, Mapping) else {}


def _text(whole: Json, name: str) -> str:
    value = whole.get(name)
    return value if isinstance(value, str) else ""


def _number(whole: Json, name: str) -> int:
    value = whole.get(name)
    return value if isinstance(value, int) else 0
