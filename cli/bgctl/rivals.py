"""How a command ends that met somebody else's wish or preparation. Nothing of its own is written then."""

from bgctl import times
from bgctl.ending import Ended, late, refused
from bgctl.standing import author, named
from bgd.core.model import KeyGone, LiveKey, Preparation
from bgd.core.reasons import Because

UNTOUCHED = "nothing was written"


def moved(seen: LiveKey, now: LiveKey) -> bool:
    """Whether somebody has written the live key between these two looks at it."""
    return _generation(seen) != _generation(now)


def superseded(name: str, there: LiveKey) -> Ended:
    """Somebody else's wish was faster."""
    return refused(
        Because.SUPERSEDED,
        f"somebody was faster: {name}'s key names {named(there)}, by {author(there)}; {UNTOUCHED}",
        f"bgctl status {name}",
    )


def in_progress(name: str, other: Preparation | None) -> Ended:
    """Somebody else holds a preparation; None: of which nothing is understood."""
    who = (other.by if other else "") or "somebody else"
    what = f"{'a forecast of ' if other.dry else ''}{other.colour}" if other else "a flip"
    since = f" since {at}" if other and (at := times.clock(other.at)) else ""
    return refused(
        Because.FLIP_IN_PROGRESS,
        f"{who} is preparing {what} for {name}{since}; {UNTOUCHED}",
        f"bgctl status {name}, and again when that has ended; if their bgctl was killed, what it prepared "
        "goes by itself within 20 s",
    )


def lost(name: str) -> Ended:
    """Our own preparation does not stand any more, and nobody else's does."""
    return late(
        Because.STORE_LOST,
        f"our preparation of {name} does not stand any more: bgctl was stopped or could not reach Consul "
        f"for 20 s, or somebody deleted its key; {UNTOUCHED}",
        f"bgctl status {name}, then the same command again",
    )


def _generation(live: LiveKey) -> int:
    return 0 if isinstance(live, KeyGone) else live.generation
