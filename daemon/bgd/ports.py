"""What the loop needs from the world. The adapters in store, proxy and host fit these shapes."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from bgd.core.actions import Write
from bgd.core.advance import Failed, Overtaken, Proved, Written
from bgd.core.draining import Drain
from bgd.core.events import Event
from bgd.core.model import Backend, Backends, Colour, Wanted
from bgd.core.permission import Permission

__all__ = [
    "Clock",
    "Failed",
    "Forecast",
    "Observer",
    "Post",
    "Prober",
    "Proved",
    "Proxy",
    "State",
    "Still",
    "Store",
    "Warmup",
]

Post = Callable[[Event], None]
"""Puts an event into the loop's mailbox. Never blocks; may be called from any thread."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a flip would do, were it made now."""

    via: str  # "runtime" or "reload"
    by: str
    """How, for people, such as "by map"."""
    sessions: int | None = None
    """What is open on the colour that is left, in all workers; None when it cannot be counted."""
    diff: str = ""


Still = Callable[[], bool]
"""Whether what was begun is wanted still. Quick; asked from any thread, again and again."""

Warmup = Callable[[str, Colour, Iterable[Backend], Still], int | Failed]
"""Sends an app's warm-up requests to each of these backends, for as long as that is wanted.

Returns how many each of them has had at least, or why one is not warm.
"""


class Clock(Protocol):
    """Time: monotonic seconds for ages, wall seconds to bridge a restart, UTC text for showing."""

    def now_s(self) -> float: ...
    def wall_s(self) -> float: ...
    def at(self) -> str: ...
    def shown(self, moment_s: float) -> str:
        """A monotonic moment as UTC text: the same whenever it is asked about."""


class Proxy(Protocol):
    """One proxy on this host. No method raises for the world's faults."""

    def look(self, post: Post) -> None:
        """Ask the proxy what it decides and has answered; post ProxySeen or ProxyLost, and TrafficSeen."""

    def flip(self, app: str, colour: Colour, wanted: Wanted | None) -> Proved | Failed:
        """Make the proxy decide `colour` for `app`, prove it, else restore what was.

        `wanted` is what the app is to hold (None: keep what it has).
        """

    def sync(self, wanted: Mapping[str, Wanted | None]) -> Mapping[str, Failed]:
        """Bring servers and structure in step with `wanted`; the apps that could not be, with why.

        Only an app that is not configured any more leaves the proxy: one that is not in `wanted`, or
        stands there as None, keeps what it has (it may just now be on its way in by `flip`). A colour
        is never changed by it.
        """

    def forecast(self, app: str, colour: Colour, wanted: Wanted | None, *, diff: bool) -> Forecast | Failed:
        """What a flip to `colour` would do now, checked by the proxy itself; nothing is changed.

        With `diff` also what of bgd's part would change.
        """

    def count(self, drains: Mapping[str, Drain]) -> None:
        """From now on each look counts the sessions of exactly these apps, posting SessionsSeen.

        What is left on a colour whose moment has come is cut.
        """

    def permit(self, permitted: Mapping[str, Permission]) -> None:
        """From now on the proxy may leave the live colour of exactly these apps by itself."""


class Prober(Protocol):
    """Probes every backend of both colours at its app's interval, posting Probed."""

    def watch(self, app: str, backends: Backends) -> None:
        """From now on these are the app's backends."""


class Store(Protocol):
    """Consul, as the loop sees it. But for `write`, calls return at once, and answers come as events."""

    def publish(self, app: str, report: Mapping[str, Any]) -> None:
        """Write this node's report; only the newest waits."""

    def record(self, app: str, generation: int, event: Mapping[str, Any]) -> None:
        """Create the history entry of a generation, unless another node has."""

    def follow_members(self, app: str, wanted: bool) -> None:
        """Read the app's members now and as they change while wanted, posting MembersSeen."""

    def write(self, app: str, action: Write) -> Written | Overtaken | Failed:
        """Write for the whole fleet, in one transaction. Takes as long as Consul does."""


class State(Protocol):
    """What this node knows of an app over a reboot. Raises OSError when it cannot be written."""

    def save(self, app: str, remembered: Mapping[str, Any]) -> None: ...
    def forget(self, app: str) -> None: ...


class Observer(Protocol):
    """Is told what happened, for the status page and the metrics. Never blocks."""

    def reported(self, app: str, report: Mapping[str, Any]) -> None:
        """This is the app's newest report."""

    def forgotten(self, app: str) -> None:
        """The app is not in the configuration any more."""

    def flipped(self, app: str, result: str, via: str, took_s: float) -> None:
        """A flip ended; `result` is "proved" or a reason code, `took_s` from wish seen to proved."""

    def reverted(self, app: str, because: str) -> None:
        """This node wrote a revert; `because` says whose evidence it was: "probes" or "traffic"."""

    def probed(self, app: str, colour: Colour, took_s: float) -> None: ...
    def counted(self, app: str, colour: Colour, states: Mapping[str, int]) -> None:
        """How many backends of a colour are in which state (healthy, unhealthy, unknown, objected)."""

    def store_up(self, up: bool) -> None: ...
    def store_failed(self) -> None: ...
    def reloaded(self, result: str) -> None: ...
    def old_workers(self, count: int | None) -> None: ...
    def looped(self, took_s: float) -> None:
        """One turn of the loop took so long."""
