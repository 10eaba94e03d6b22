"""The frozen snapshot that a decision sees: all that may be asked of one app at one moment.

`freeze` derives it from knowledge, and judges the colours.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from bgd.core import health
from bgd.core.actions import Warm
from bgd.core.health import ColourView
from bgd.core.knowledge import (
    CATALOG_LAG_S,
    KNOWN_S,
    VOTE_STALE_S,
    Falls,
    Knowledge,
    Link,
    Sessions,
    Sight,
    Steady,
    Trouble,
    serves,
)
from bgd.core.model import (
    Colour,
    Desired,
    KeyBad,
    KeyGone,
    Ledger,
    LiveKey,
    Member,
    Policy,
    Prepared,
    Serving,
)
from bgd.core.reasons import Because


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
    wished_releases: frozenset[str]
    refused: str
    wish_after: int
    members: tuple[Member, ...]
    fresh: frozenset[str]
    """The members whose reports are new enough for their votes to count."""
    ledger: Ledger | None
    known_age_s: float
    """How old the older of wishes and catalog is."""
    behind: Because | None
    """Why the wish may have been refused or taken unknown to this node; None: it may not."""
    catalog_behind: Because | None
    """Why the catalog may have changed unknown to this node."""
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
    write_trouble: Trouble | None
    steady: Steady | None
    falls: Falls
    sessions: Sessions
    left_s: float
    prepared: Prepared | None
    warmed: Warm | None
    warm_trouble: Trouble | None

    @property
    def served(self) -> bool:
        """Whether this node serves exactly the wish: its colour under its generation."""
        return self.wish is not None and serves(self.serving, self.wish)

    @property
    def in_fallback(self) -> bool:
        """Whether this node serves the other colour in place of this very wish."""
        return (
            self.wish is not None
            and self.serving is not None
            and self.serving.fallback
            and self.serving.generation == self.wish.generation
            and self.serving.colour is not self.wish.colour
        )

    @property
    def astray(self) -> bool:
        """Whether the running proxy does not decide what this node serves by its disk."""
        if self.serving is None or self.sight is Sight.UNSEEN:
            return False
        return self.decided is not self.serving.colour

    @property
    def target(self) -> ColourView:
        """The wish's colour: live."""
        assert self.wish is not None, "only asked when there is a wish"
        return self.colours[self.wish.colour]

    @property
    def idle(self) -> ColourView:
        """The other one."""
        assert self.wish is not None, "only asked when there is a wish"
        return self.colours[self.wish.colour.other]

    @property
    def votes(self) -> bool:
        """Whether this node sees what would justify a revert: live down for good, as far as it can
        tell, and the other colour able to serve."""
        return (
            (self.served or self.in_fallback)
            and self.sight is Sight.SEEN
            and not self.astray
            and self.target.down
            and (self.target.by_traffic or not self.target.stirring)
            and self.idle.passing
            and not (self.flip_trouble and self.flip_trouble.waits(self.now_s))
        )

    @property
    def drains(self) -> bool:
        """Whether the colour that is not served may still have sessions: then they are counted."""
        return self.serving is not None and self.sessions.open.get(self.serving.colour.other) != 0

    @property
    def steady_until_s(self) -> float | None:
        """When what is served has been steady for its whole probation."""
        return self.steady.since_s + self.policy.probation_s if self.steady else None

    @property
    def steady_over(self) -> bool:
        return self.steady_until_s is not None and self.now_s >= self.steady_until_s

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
        wished_releases=k.wished_releases,
        refused=k.wish.refused if k.wish else "",
        wish_after=k.wish.after if k.wish else 0,
        members=k.members,
        fresh=frozenset(node for node, (_, seen_s) in k.moved.items() if now_s - seen_s <= VOTE_STALE_S),
        ledger=k.ledger,
        known_age_s=now_s - min(k.heard_s, k.catalog_heard_s),
        behind=k.behind,
        catalog_behind=_catalog_behind(k, now_s),
        serving=k.serving,
        sight=k.sight,
        sight_detail=k.sight_detail,
        decided=k.decided,
        formed=k.sight is not Sight.UNSEEN and all(colour in k.formed for colour in Colour),
        colours={colour: judge(k, colour, now_s) for colour in Colour},
        left_out=k.left_out,
        old_workers_over=k.old_workers if over else None,
        flip_trouble=k.flip_trouble,
        repair_trouble=k.repair_trouble,
        sync_trouble=k.sync_trouble,
        write_trouble=k.write_trouble,
        steady=k.steady,
        falls=k.falls,
        sessions=k.sessions,
        left_s=k.left_s,
        prepared=k.prepared,
        warmed=k.warmed,
        warm_trouble=k.warm_trouble,
    )


def _catalog_behind(k: Knowledge, now_s: float) -> Because | None:
    """Wishes and catalog come by different watches: when both are back, either may be the first."""
    if k.catalog_heard_s == float("-inf"):
        return Because.STARTING
    just_back = k.catalog_heard_s < k.lost_s and now_s - k.linked_s < CATALOG_LAG_S
    return Because.STORE_LOST if just_back or now_s - k.catalog_heard_s > KNOWN_S else None


def judge(k: Knowledge, colour: Colour, now_s: float) -> ColourView:
    """One colour as it looks from here."""
    traffic = k.traffic.get(colour)
    live = k.serving.colour if k.serving else colour.other
    registered, live_registered = len(k.backends[colour]), len(k.backends[live])
    return health.view(
        k.backends[colour],
        k.healths[colour],
        needed=k.policy.min_healthy.needed(registered, live_registered),
        formed=colour in k.formed,
        kept_since_at=k.kept_since_at.get(colour),
        fault=traffic.fault(k.policy, now_s) if traffic else "",
    )
