"""What this node knows of one app.

Knowledge is only ever replaced: by `learn` when something was observed, by `advance` when an action
has ended.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bgd.core import health
from bgd.core.actions import Warm
from bgd.core.health import Health, Traffic
from bgd.core.model import (
    Backend,
    Colour,
    Desired,
    Ledger,
    LiveKey,
    Member,
    Policy,
    Prepared,
    Server,
    Serving,
    Wanted,
)
from bgd.core.reasons import Because


class Link(StrEnum):
    """What Consul is to this node now."""

    UNSEEN = "unseen"
    UP = "up"
    LOST = "lost"
    DENIED = "denied"


class Sight(StrEnum):
    """What the running proxy is to this node now."""

    UNSEEN = "unseen"
    SEEN = "seen"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Trouble:
    """A try that failed: when it may be made again, and what to say until then."""

    because: Because
    detail: str
    tries: int
    retry_s: float
    generation: int = 0

    def waits(self, now_s: float) -> bool:
        """Whether its backoff still runs."""
        return now_s < self.retry_s


@dataclass(frozen=True, slots=True)
class Wish:
    """W: the accepted desired, and when this node first saw it (by its monotonic clock)."""

    desired: Desired
    seen_s: float
    refused: str = ""
    """The release for which this node has refused it: another one under it is not what was asked for."""
    after: int = 0
    """The highest generation that it is known to be newer than: after a restore its own may be lower."""


@dataclass(frozen=True, slots=True)
class Steady:
    """Since when this node has served a release without a break."""

    colour: Colour
    release: str
    since_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Falls:
    """This node's fallbacks from one wish: what the hold-down counts."""

    generation: int = 0
    count: int = 0
    up_since_s: float | None = None
    """Since when live has been up again; None: it is not."""
    returned_s: float = float("-inf")
    early_s: float = float("-inf")
    """When it last came back before the hold-down was over."""

    @property
    def hold_down_s(self) -> float:
        return float(min(HOLD_DOWN_FIRST_S * 2.0 ** min(max(self.count, 1) - 1, 10), HOLD_DOWN_MOST_S))


HOLD_DOWN_FIRST_S, HOLD_DOWN_MOST_S = 30.0, 600.0
VOTE_RENEWED_S, VOTE_STALE_S = 2.0, 10.0
"""How often a vote is published anew, and how old it may grow by its reader's clock."""
CATALOG_LAG_S = 5.0
"""How much later than a wish the catalog may tell of the release that it is about."""
KNOWN_S = 60.0
"""How old the knowledge of what the idle colour runs may be for anything automatic."""
NO_BACKENDS: Mapping[Colour, tuple[Backend, ...]] = {Colour.BLUE: (), Colour.GREEN: ()}
NO_HEALTH: Mapping[Colour, Mapping[str, Health]] = {Colour.BLUE: {}, Colour.GREEN: {}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """What is still open on each colour since the last change to the proxy, as it is told.

    Told at most every `SESSIONS_TOLD_S`, but at once when the idle colour has been drained.
    """

    open: Mapping[Colour, int | None] = field(default_factory=dict)
    cut: int = 0
    told_s: float = float("-inf")
    empty: bool = False
    """The idle colour had none when it was last counted. Once is chance: a retry has none for a moment."""


NOT_COUNTED = Sessions()
SESSIONS_TOLD_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """Everything known of one app. See `learn` and `advance` for how it grows."""

    app: str
    node: str
    policy: Policy
    started_s: float
    max_old_workers: int = 5

    link: Link = Link.UNSEEN
    link_detail: str = ""
    live: LiveKey | None = None
    """The live key as it was last read."""
    wish: Wish | None = None
    members: tuple[Member, ...] = ()
    moved: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    """Each member's report by its stamp, with when this node first saw that."""
    members_s: float = float("-inf")
    """When the members were last read."""
    ledger: Ledger | None = None
    heard_s: float = float("-inf")
    """When Consul last told of wishes, and of the catalog below."""
    catalog_heard_s: float = float("-inf")
    lost_s: float = float("-inf")
    linked_s: float = float("-inf")
    """When Consul was lost last, and when it told of wishes again."""
    behind: Because | None = Because.STARTING
    """Why others may have said what this node has not read: it has just started, or had lost Consul."""

    serving: Serving | None = None
    left_s: float = float("-inf")
    """Since when this colour is served: since then the other one drains."""
    steady: Steady | None = None
    falls: Falls = Falls()
    sight: Sight = Sight.UNSEEN
    sight_detail: str = ""
    decided: Colour | None = None
    """What the running proxy decides for this app; None: it does not know the app."""
    settled_s: float = float("-inf")
    """When the last change to the proxy ended: what it was asked before that is void."""
    old_workers: int | None = None

    catalog_seen: bool = False
    backends: Mapping[Colour, tuple[Backend, ...]] = field(default_factory=lambda: dict(NO_BACKENDS))
    left_out: tuple[str, ...] = ()
    kept_since_at: Mapping[Colour, str] = field(default_factory=dict)
    """Colours that vanished from the catalog while served, with since when they are kept."""
    healths: Mapping[Colour, Mapping[str, Health]] = field(default_factory=lambda: dict(NO_HEALTH))
    formed: frozenset[Colour] = frozenset()
    """Colours whose verdict has been formed since the start; it stays so."""

    traffic: Mapping[Colour, Traffic] = field(default_factory=dict)
    sessions: Sessions = NOT_COUNTED

    prepared: Prepared | None = None
    """The answer to the preparation that the ledger holds."""
    warmed: Warm | None = None
    """The newest warm-up that went well."""
    warm_trouble: Trouble | None = None

    flip_trouble: Trouble | None = None
    repair_trouble: Trouble | None = None
    sync_trouble: Trouble | None = None
    write_trouble: Trouble | None = None

    @property
    def served(self) -> bool:
        """Whether this node serves exactly the wish: its colour under its generation."""
        return self.wish is not None and serves(self.serving, self.wish.desired)

    @property
    def wished_releases(self) -> frozenset[str]:
        """What would go live: the order's release, or without one what the catalog shows."""
        if self.wish is None:
            return frozenset()
        order, colour = self.wish.desired.order, self.wish.desired.colour
        if order is not None and order.release:
            return frozenset((order.release,))
        return frozenset(backend.release for backend in self.backends[colour])

    def wanted(self, *, patient: bool = False) -> Wanted | None:
        """What the proxy is to hold; None while nothing is known of backends.

        A `patient` asker leaves a colour as it is until all of its backends are known after a start.
        """
        if not (self.catalog_seen or any(self.backends.values())):
            return None
        servers = {each: self.rotation(each) for each in Colour if not self._in_suspense(each, patient)}
        found = [item for each in Colour for item in self.healths[each].items()]
        healthy = frozenset(name for name, result in found if result.healthy is True)
        sick = frozenset(name for name, result in found if result.healthy is False)
        return Wanted(servers=servers, healthy=healthy, sick=sick)

    def rotation(self, colour: Colour) -> frozenset[Server]:
        return health.rotation(self.backends[colour], self.healths[colour])

    def _in_suspense(self, colour: Colour, patient: bool) -> bool:
        """Some of its backends are strangers, and nobody else is known to serve: all are new, or their
        story was lost. Until they are known, the proxy knows better."""
        strangers = any(each.healthy is None and not each.vetted for each in self.healths[colour].values())
        return strangers and (not self.rotation(colour) or (patient and colour not in self.formed))


def serves(serving: Serving | None, wish: Desired) -> bool:
    """Whether this is exactly the wish: its colour under its generation."""
    return serving is not None and (serving.colour, serving.generation) == (wish.colour, wish.generation)
