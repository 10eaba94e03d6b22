"""What can be observed. Adapters only report these; what they mean is `learn`'s business."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bgd.core.model import Backends, Colour, Ledger, LiveKey, Member


@dataclass(frozen=True, slots=True)
class LiveSeen:
    """The watch over all apps answered: the live keys that have changed, or all when Consul is back."""

    keys: Mapping[str, LiveKey]
    ledgers: Mapping[str, Ledger] = field(default_factory=dict)
    """Read in the same answer: a wish is never judged by an older ledger."""


@dataclass(frozen=True, slots=True)
class StoreHeard:
    """Consul answered a watch, and nothing has changed: these apps' wishes, or with `app` its catalog."""

    app: str | None = None
    apps: frozenset[str] | None = None
    """None: of all."""


@dataclass(frozen=True, slots=True)
class StoreLost:
    """Consul does not answer, or answers with an error, about these apps' wishes."""

    detail: str
    apps: frozenset[str] | None = None
    """None: about all."""


@dataclass(frozen=True, slots=True)
class StoreDenied:
    """Consul refuses, or answers so emptily that the right to read must be gone, about these apps."""

    detail: str
    apps: frozenset[str] | None = None
    """None: about all."""


@dataclass(frozen=True, slots=True)
class CatalogSeen:
    """Both colours' backends of an app. `left_out` says, a sentence each, what was not fit to render."""

    app: str
    backends: Backends
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MembersSeen:
    """Every member of an app, this node included, by its last report; `gone` are known to have left."""

    app: str
    members: tuple[Member, ...]
    gone: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Probed:
    """One probe of one backend (`name` as in Backend.name) has ended."""

    app: str
    colour: Colour
    name: str
    ok: bool
    took_s: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TrafficSeen:
    """What the proxy saw of its own traffic to one colour since `since_s`, at most one window ago.

    `requests` is None when it cannot be known: a restarted proxy, a reader that was away.
    """

    app: str
    colour: Colour
    since_s: float
    requests: int | None
    errors: int = 0
    mean_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SessionsSeen:
    """How many requests, websockets and TCP sessions are open on each colour of an app, in all workers.

    A colour whose number is None, or that is missing, could not be counted.
    """

    app: str
    asked_s: float
    sessions: Mapping[Colour, int | None]
    cut: int = 0
    """How many of the idle colour's were cut since its drain began."""


@dataclass(frozen=True, slots=True)
class ProxySeen:
    """The running proxy was asked. `decided` holds every app that its map or flags know.

    `asked_s` is when the question was put: an answer older than the app's last change is void.
    """

    asked_s: float
    decided: Mapping[str, Colour]
    old_workers: int | None
    version: str


@dataclass(frozen=True, slots=True)
class ProxyLost:
    """The running proxy did not answer."""

    asked_s: float
    detail: str


Event = (
    LiveSeen
    | StoreHeard
    | StoreLost
    | StoreDenied
    | CatalogSeen
    | MembersSeen
    | Probed
    | TrafficSeen
    | SessionsSeen
    | ProxySeen
    | ProxyLost
)
