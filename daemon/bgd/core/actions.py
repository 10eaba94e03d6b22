"""All that may happen: what `decide` can answer. Doing nothing is an answer with a reason."""

from dataclasses import dataclass

from bgd.core.model import Colour, Desired, Gate, Preparation, Serving
from bgd.core.reasons import Because


@dataclass(frozen=True, slots=True)
class Hold:
    """Deliberately do nothing."""

    because: Because
    detail: str = ""
    until_s: float | None = None
    """When it ends by itself, by this node's clock, if that is known."""


@dataclass(frozen=True, slots=True)
class Flip:
    """Point this node's proxy at the desired colour, and prove it."""

    desired: Desired


@dataclass(frozen=True, slots=True)
class Warm:
    """Warm up the wish's backends, which run this release, before a flip that nobody has prepared.

    Beside all else: it changes nothing here, and ends as soon as there is another answer.
    """

    desired: Desired
    release: str | None


@dataclass(frozen=True, slots=True)
class Prepare:
    """Answer a preparation, beside all else: it changes nothing. `gates` are those that need no hands."""

    preparation: Preparation
    gates: tuple[Gate, ...]


@dataclass(frozen=True, slots=True)
class Take:
    """Take a wish's generation: its colour is served already, so nothing is touched."""

    desired: Desired


@dataclass(frozen=True, slots=True)
class Repair:
    """Make the proxy decide again what this node serves by its own disk."""

    serving: Serving


@dataclass(frozen=True, slots=True)
class FallBack:
    """Serve the idle colour on this node alone, while live has no healthy backend."""

    desired: Desired
    colour: Colour
    release: str


@dataclass(frozen=True, slots=True)
class Confirm:
    """Write down that live's release is known good."""

    desired: Desired
    release: str


@dataclass(frozen=True, slots=True)
class Revert:
    """Write the fleet back to the idle colour, and reject what failed."""

    desired: Desired
    colour: Colour
    release: str
    rejected: tuple[str, ...]
    because: str
    by_traffic: bool = False
    """The evidence is what the proxy saw of its answers, not probes."""
    force: bool = False
    """Ordered by a person, to a colour that is not known good."""


@dataclass(frozen=True, slots=True)
class Decline:
    """Write a wish back that no node could take, to what is served."""

    desired: Desired
    colour: Colour
    release: str | None
    because: Because
    detail: str


Touch = Flip | Take | Repair | FallBack
"""What changes this node, and nobody else."""

Write = Confirm | Revert | Decline
"""What is written for the whole fleet, in one transaction that only one node wins."""

Action = Hold | Warm | Touch | Write
