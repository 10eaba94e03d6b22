"""How fast a wish went through the fleet: from the key to the last proof, and from the first to the last.

Rules that live here: a node's own time of its proof is believed when it lies between the moment in which
we sent the wish and the moment in which its report reached us, both by our clock: its clock is off by less
than that then. Of any other node only these two bounds are known; what follows from them is told as an
upper bound.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from bgctl import times
from bgctl.told import Member

_ROUNDED = timedelta(milliseconds=1)
"""Reports tell times in whole milliseconds, cut off."""


@dataclass(frozen=True, slots=True)
class Measured:
    """How long it took, in milliseconds."""

    key_to_last_ms: float
    skew_ms: float
    exact: bool
    """By the nodes' own clocks; else both are upper bounds."""

    def __str__(self) -> str:
        sign = "" if self.exact else "≤ "
        return f"skew {sign}{_shown(self.skew_ms)} · key to last node {sign}{_shown(self.key_to_last_ms)}"


@dataclass(slots=True)
class Pace:
    """The moments of one wish: when it was sent, and when each member's proof was heard of."""

    sent: datetime
    heard: dict[tuple[str, str], datetime] = field(default_factory=dict)
    """By node and by what it says of when it proved."""

    def note(self, proved: Iterable[Member], now: datetime | None = None) -> None:
        """These members have proved it, as is known now."""
        for member in proved:
            self.heard.setdefault(_proof(member), now or datetime.now(UTC))

    def measured(self, proved: Iterable[Member]) -> Measured | None:
        """How long it took to these proofs; None when there are none, or not all were heard of."""
        proofs = [_proof(member) for member in proved]
        if not proofs or not all(proof in self.heard for proof in proofs):
            return None
        bounds = [self._between(proof) for proof in proofs]
        first, last = min(early for early, _ in bounds), max(late for _, late in bounds)
        return Measured(
            _ms(last - self.sent), _ms(last - first), all(early == late for early, late in bounds)
        )

    def _between(self, proof: tuple[str, str]) -> tuple[datetime, datetime]:
        told, heard = times.moment(proof[1]), self.heard[proof]
        if told is not None and self.sent - _ROUNDED <= told <= heard:
            return told, told
        return self.sent, heard


def _proof(member: Member) -> tuple[str, str]:
    return member.node, str(member.serving.get("since"))


def _ms(duration: timedelta) -> float:
    return round(max(0.0, duration.total_seconds() * 1000), 1)


def _shown(duration_ms: float) -> str:
    return f"{duration_ms:.0f} ms" if duration_ms < 10_000 else times.lasting(duration_ms / 1000)
