"""All that may happen: what `decide` can answer. Doing nothing is an answer with a reason."""

from dataclasses import dataclass

from bgd.core.model import Desired, Serving
from bgd.core.reasons import Because


@dataclass(frozen=True, slots=True)
class Hold:
    """Deliberately do nothing."""

    because: Because
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Flip:
    """Point this node's proxy at the desired colour, and prove it."""

    desired: Desired


@dataclass(frozen=True, slots=True)
class Take:
    """Take a wish's generation: its colour is served already, so nothing is touched."""

    desired: Desired


@dataclass(frozen=True, slots=True)
class Repair:
    """Make the proxy decide again what this node serves by its own disk."""

    serving: Serving


Action = Hold | Flip | Take | Repair
