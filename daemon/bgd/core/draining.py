"""What is left on the colour that is not served any more: what is counted, and when the rest is cut.

Rules that live here: the time until the cut begins with the flip that left the colour, over restarts too;
a flip back ends it; a fallback is no flip, and cuts nothing.
"""

from dataclasses import dataclass

from bgd.core.model import Colour
from bgd.core.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Drain:
    """What is open on `colour` is counted, until none is."""

    colour: Colour
    cut_s: float | None = None
    """When what is then still open is cut, by this node's monotonic clock; None: never."""


def drain(s: Snapshot) -> Drain | None:
    """What is to be counted and cut from now on; None: the colour that was left has been drained."""
    if s.serving is None or not s.drains:
        return None
    cuts = s.policy.drain_s > 0 and not s.serving.fallback
    return Drain(s.serving.colour.other, s.left_s + s.policy.drain_s if cuts else None)
