"""What the proxy may do by itself when live dies under it, before this node has noticed: and until when.

The rule that lives here: the proxy is never allowed what this node would not do itself at this moment
(fallback, and all that forbids it), and never for longer than what is known of the idle colour counts.
"""

from dataclasses import dataclass

from bgd.core import way_back
from bgd.core.knowledge import KNOWN_S, Link
from bgd.core.model import Colour
from bgd.core.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Permission:
    """While `live` has no server that answers, its requests may go to the other colour."""

    live: Colour
    until_s: float
    """By this node's monotonic clock."""


def permission(s: Snapshot) -> Permission | None:
    """What the proxy may do from now on; None: it sends requests to what was decided, and nowhere else."""
    if s.wish is None or not s.served or s.astray or s.link is Link.UNSEEN:
        return None
    if way_back.forbidden(s) or way_back.not_good(s) or way_back.not_alive(s):
        return None
    until_s = s.now_s - s.known_age_s + KNOWN_S
    return Permission(s.wish.colour, until_s) if until_s > s.now_s else None
