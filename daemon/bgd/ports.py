"""What the loop needs from the world. The adapters in store, proxy and host fit these shapes."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from bgd.core.advance import Failed, Proved
from bgd.core.events import Event
from bgd.core.model import Backends, Colour, Wanted

__all__ = ["Clock", "Failed", "Observer", "Post", "Prober", "Proved", "Proxy", "State", "Store"]

Post = Callable[[Event], None]
"""Puts an event into the loop's mailbox. Never blocks; may be called from any thread."""


class Clock(Protocol):
    """Time: monotonic seconds for ages, wall seconds to bridge a restart, UTC text for showing."""

    def now_s(self) -> float: ...
    def wall_s(self) -> float: ...
    def at(self) -> str: ...


class Proxy(Protocol):
    """One proxy on this host. No method raises for the world's faults."""

    def look(self, post: Post) -> None:
        """Ask the running proxy what it decides; post ProxySeen or ProxyLost."""

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


class Prober(Protocol):
    """Probes every backend of both colours at its app's interval, posting Probed."""

    def watch(self, app: str, backends: Backends) -> None:
        """From now on these are the app's backends."""


class Store(Protocol):
    """Consul, as the loop sees it. Calls return at once; outcomes come back as events."""

    def publish(self, app: str, report: Mapping[str, Any]) -> None:
        """Write this node's report; only the newest waits."""

    def record(self, app: str, generation: int, event: Mapping[str, Any]) -> None:
        """Create the history entry of a generation, unless another node has."""

    def follow_members(self, app: str, wanted: bool) -> None:
        """Read the app's members now and each second while wanted, posting MembersSeen."""


class State(Protocol):
    """What this node knows of an app over a reboot. Raises OSError when it cannot be written."""

    def save(self, app: str, remembered: Mapping[str, Any]) -> None: ...


class Observer(Protocol):
    """Is told what happened, for the status page and the metrics. Never blocks."""

    def reported(self, app: str, report: Mapping[str, Any]) -> None:
        """This is the app's newest report."""

    def forgotten(self, app: str) -> None:
        """The app is not in the configuration any more."""

    def flipped(self, app: str, result: str, via: str, took_s: float) -> None:
        """A flip ended; `result` is "proved" or a reason code, `took_s` from wish seen to proved."""

    def probed(self, app: str, colour: Colour, took_s: float) -> None: ...
    def counted(self, app: str, colour: Colour, states: Mapping[str, int]) -> None:
        """How many backends of a colour are in which state (healthy, unhealthy, unknown, objected)."""

    def store_up(self, up: bool) -> None: ...
    def store_failed(self) -> None: ...
    def reloaded(self, result: str) -> None: ...
    def old_workers(self, count: int | None) -> None: ...
    def looped(self, took_s: float) -> None:
        """One turn of the loop took so long."""
