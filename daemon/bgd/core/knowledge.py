"""What this node knows of one app, and the frozen snapshot that a decision sees.

Knowledge is only ever replaced: by `learn` when something was observed, by `advance` when an action
has ended. `freeze` derives from it, for one moment, everything that `decide` may ask.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bgd.core import health
from bgd.core.health import ColourView, Health
from bgd.core.model import (
    Backend,
    Colour,
    Desired,
    KeyBad,
    KeyGone,
    LiveKey,
    Member,
    Policy,
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


@dataclass(frozen=True, slots=True)
class Wish:
    """W: the accepted desired, and when this node first saw it (by its monotonic clock)."""

    desired: Desired
    seen_s: float


NO_BACKENDS: Mapping[Colour, tuple[Backend, ...]] = {Colour.BLUE: (), Colour.GREEN: ()}
NO_HEALTH: Mapping[Colour, Mapping[str, Health]] = {Colour.BLUE: {}, Colour.GREEN: {}}


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

    serving: Serving | None = None
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

    flip_trouble: Trouble | None = None
    repair_trouble: Trouble | None = None
    sync_trouble: Trouble | None = None

    def wanted(self, *, patient: bool = False) -> Wanted | None:
        """What the proxy is to hold; None while nothing is known of backends.

        A `patient` asker leaves a colour as it is until all of its backends are known after a start.
        """
        if not (self.catalog_seen or any(self.backends.values())):
            return None
        servers = {each: self.rotation(each) for each in Colour if not self._in_suspense(each, patient)}
        healthy = frozenset(
            name for each in Colour for name, found in self.healths[each].items() if found.healthy is True
        )
        return Wanted(servers=servers, healthy=healthy)

    def rotation(self, colour: Colour) -> frozenset[Server]:
        return health.rotation(self.backends[colour], self.healths[colour])

    def _in_suspense(self, colour: Colour, patient: bool) -> bool:
        """Some of its backends are strangers, and nobody else is known to serve: all are new, or their
        story was lost. Until they are known, the proxy knows better."""
        strangers = any(each.healthy is None and not each.vetted for each in self.healths[colour].values())
        return strangers and (not self.rotation(colour) or (patient and colour not in self.formed))


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that one decision may see."""

    now_s: float
    app: str
    node: str
    policy: Policy
    link: Link
    link_detail: str
    live: LiveKey | None
    wish: Desired | None
    wish_age_s: float
    members: tuple[Member, ...]
    serving: Serving | None
    sight: Sight
    sight_detail: str
    decided: Colour | None
    formed: bool
    colours: Mapping[Colour, ColourView]
    left_out: tuple[str, ...]
    """What Consul told of this app that is not fit to be rendered, a sentence each."""
    old_workers_over: int | None
    """The number of old workers when it is above the budget, else None."""
    flip_trouble: Trouble | None
    repair_trouble: Trouble | None
    sync_trouble: Trouble | None

    @property
    def served(self) -> bool:
        """Whether this node serves exactly the wish: its colour under its generation."""
        return (
            self.wish is not None
            and self.serving is not None
            and (self.serving.colour, self.serving.generation) == (self.wish.colour, self.wish.generation)
        )

    @property
    def target(self) -> ColourView:
        """The wish's colour."""
        assert self.wish is not None, "only asked when there is a wish"
        return self.colours[self.wish.colour]

    @property
    def rewound(self) -> bool:
        """Whether Consul's answer is older than what was accepted: a restore or lost data."""
        if self.wish is None:
            return False
        if isinstance(self.live, KeyGone):
            return self.live.index < self.wish.generation
        return (
            isinstance(self.live, Desired)
            and self.live.generation <= self.wish.generation
            and self.live.colour is not self.wish.colour
        )

    @property
    def key_unusable(self) -> bool:
        return isinstance(self.live, (KeyGone, KeyBad))


def freeze(knowledge: Knowledge, now_s: float) -> Snapshot:
    """The app as it is at `now_s`, with verdicts judged."""
    k = knowledge
    over = k.old_workers is not None and k.old_workers > k.max_old_workers
    return Snapshot(
        now_s=now_s,
        app=k.app,
        node=k.node,
        policy=k.policy,
        link=k.link,
        link_detail=k.link_detail,
        live=k.live,
        wish=k.wish.desired if k.wish else None,
        wish_age_s=now_s - k.wish.seen_s if k.wish else 0.0,
        members=k.members,
        serving=k.serving,
        sight=k.sight,
        sight_detail=k.sight_detail,
        decided=k.decided,
        formed=k.sight is not Sight.UNSEEN and all(colour in k.formed for colour in Colour),
        colours={colour: _judge(k, colour) for colour in Colour},
        left_out=k.left_out,
        old_workers_over=k.old_workers if over else None,
        flip_trouble=k.flip_trouble,
        repair_trouble=k.repair_trouble,
        sync_trouble=k.sync_trouble,
    )


def _judge(k: Knowledge, colour: Colour) -> ColourView:
    live = k.serving.colour if k.serving else colour.other
    registered, live_registered = len(k.backends[colour]), len(k.backends[live])
    return health.view(
        k.backends[colour],
        k.healths[colour],
        needed=k.policy.min_healthy.needed(registered, live_registered),
        formed=colour in k.formed,
        kept_since_at=k.kept_since_at.get(colour),
    )
