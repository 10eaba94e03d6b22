"""How an app stands, judged from its live key and its members' reports. Pure: nothing is asked here.

Rules that live here: a silent member counts in every denominator; *unknown* is waited for and never an
answer; a wish is done when every member has proved its very generation; an operator is told the worst
first.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from bgctl.ending import Ended, late, refused
from bgctl.told import ColourTold, Member
from bgd.core.model import Colour, Desired, KeyBad, KeyGone, Ledger, LiveKey, Verdict
from bgd.core.reasons import Because

_WORST_VERDICT = (Verdict.DOWN, Verdict.UNKNOWN, Verdict.WEAK, Verdict.UP)
_SUFFERS = 3
_NO_WISH = (Because.NO_LIVE_KEY, Because.BAD_LIVE_VALUE)
_CALM = ("", Because.CONVERGED, Because.PROBATION, Because.PREPARING, Because.PREPARED)
_EARLY = (Because.FLIPPING, Because.STARTING)
_LOUD = (
    Because.REVERTING,
    Because.REVERT_NO_GOOD,
    Because.REVERT_RELEASE_CHANGED,
    Because.REVERT_TARGET_DOWN,
    Because.REVERT_WAITING_QUORUM,
    # These three are said by a member only while live is down:
    Because.PAUSED,
    Because.AUTO_OFF,
    Because.AFTER_REVERT,
)


@dataclass(frozen=True, slots=True)
class App:
    """One app as Consul shows it at one moment."""

    name: str
    live: LiveKey
    members: tuple[Member, ...] = ()
    ledger: Ledger = field(default_factory=Ledger)

    @property
    def desired(self) -> Desired | None:
        return self.live if isinstance(self.live, Desired) else None

    @property
    def generation(self) -> int | None:
        return self.desired.generation if self.desired else None

    @property
    def exists(self) -> bool:
        return bool(self.members) or not isinstance(self.live, KeyGone)

    @property
    def alive(self) -> tuple[Member, ...]:
        return tuple(member for member in self.members if member.alive)

    @property
    def silent(self) -> tuple[Member, ...]:
        return tuple(member for member in self.members if not member.alive)

    def proved(self, wish: Desired) -> tuple[Member, ...]:
        """The members that have proved this wish."""
        return tuple(m for m in self.members if m.proved(wish.colour, wish.generation))

    def unproved(self, wish: Desired) -> tuple[Member, ...]:
        """The members that have not."""
        return tuple(m for m in self.members if not m.proved(wish.colour, wish.generation))

    @property
    def converged(self) -> bool:
        """Named by the key and proved by every member, of which there is one at least."""
        return bool(self.desired and self.members and not self.unproved(self.desired))

    def serves_everywhere(self, colour: Colour) -> bool:
        """Whether this colour is named and proved by all: then there is nothing to do."""
        return self.desired is not None and self.desired.colour is colour and self.converged

    @property
    def highest_generation(self) -> int:
        return max((member.highest_generation for member in self.members), default=0)

    def releases(self, colour: Colour) -> frozenset[str]:
        """What its living members say that a colour runs; one that sees several says nothing."""
        return frozenset(member.colour(colour).release for member in self.alive) - {""}

    def release(self, colour: Colour) -> str | None:
        """The colour's release, when all who know one agree."""
        known = self.releases(colour)
        return next(iter(known)) if len(known) == 1 else None


def steady_over(app: App, release: str) -> bool:
    """Whether a majority of members has served this release for its probation without a break."""
    over = [m for m in app.alive if m.steady.get("release") == release and m.steady.get("over") is True]
    return 2 * len(over) > len(app.members)


def names(members: Iterable[Member]) -> str:
    """The nodes' names in a sentence."""
    return ", ".join(member.node for member in members) or "none"


def named(live: LiveKey) -> str:
    """What the live key says, in words."""
    match live:
        case Desired(colour, generation):
            return f"{colour} (generation {generation})"
        case KeyBad(text):
            return f"{text!r}, which is no colour"
        case KeyGone():
            return "nothing: the key does not exist"


def author(live: LiveKey) -> str:
    """Who wished it; a key without an order was edited in Consul."""
    order = live.order if isinstance(live, Desired) else None
    return order.by if order else "consul"


def obstacle(app: App, colour: Colour, without: Collection[str] = ()) -> Ended | None:
    """Why this colour can surely not be flipped to now. None also while somebody does not know yet.

    The nodes that it is to be done `without` are not asked.
    """
    if not app.members:
        return late(
            Because.NODE_SILENT,
            f"no node has ever reported about {app.name}: nobody would carry this out",
            f"is bgd running with app {app.name} in its bgd.toml? (systemctl status bgd); "
            "--force writes the key nevertheless",
        )
    if silent := [member for member in app.silent if member.node not in without]:
        without_them = " ".join(f"--without {member.node}" for member in silent)
        return late(
            Because.NODE_SILENT,
            f"silent: {names(silent)} (bgd does not run there or cannot reach Consul)",
            f"start bgd there (systemctl start bgd); flip without: {without_them}; gone for good: "
            f"bgctl forget {silent[0].node} --app {app.name}",
        )
    return _refusal(app, colour, without)


def _refusal(app: App, colour: Colour, without: Collection[str]) -> Ended | None:
    said = {member.node: member.colour(colour).refusal for member in asked(app, colour, without)}
    against = {node: refusal for node, refusal in said.items() if refusal}
    if not against:
        return None
    code, _ = next(iter(against.values()))
    listed = "; ".join(f"{node}: {code}, {detail}" for node, (code, detail) in against.items())
    return refused(
        code,
        f"{colour} is not ready on {listed}",
        f"bgctl wait --ready {colour} --app {app.name}, or --force",
    )


def undecided(app: App, colour: Colour, without: Collection[str] = ()) -> tuple[Member, ...]:
    """The members that cannot say yet whether this colour is ready."""
    told = ((member, member.colour(colour)) for member in asked(app, colour, without))
    return tuple(member for member, seen in told if not seen.ready and not seen.refusal)


def asked(app: App, colour: Colour, without: Collection[str] = ()) -> tuple[Member, ...]:
    """The members without whose yes nothing is written."""
    return tuple(member for member in to_be_moved(app, colour) if member.node not in without)


def asked_for(app: App, colour: Colour, without: Collection[str] = ()) -> frozenset[str]:
    """The releases that these members would flip to: one, unless their catalogs differ for a moment."""
    seen = frozenset(member.colour(colour).release for member in asked(app, colour, without) if member.alive)
    return (seen or app.releases(colour)) - {""}


def orderable(app: App, colour: Colour, without: Collection[str] = ()) -> bool:
    """Whether an order can name what it is for: without a release it would be for whatever comes.

    Where all serve the colour no request is moved, and a wish repeated while it is mixed names none.
    """
    known = asked_for(app, colour, without)
    return len(known) == 1 or not (known or to_be_moved(app, colour))


def to_be_moved(app: App, colour: Colour) -> tuple[Member, ...]:
    """Who serves the colour already moves no request by the wish, and so is not asked."""
    return tuple(member for member in app.members if member.serves != colour)


def ready(app: App, colour: Colour) -> bool:
    """Whether every member, and there is one, would take a flip to this colour."""
    return bool(app.members) and not obstacle(app, colour) and not undecided(app, colour)


def worst(app: App) -> tuple[str, str]:
    """The one reason code, with its detail, that an operator should hear first."""
    match app.live:
        case KeyGone():
            return Because.NO_LIVE_KEY, "the live key does not exist"
        case KeyBad(text):
            return Because.BAD_LIVE_VALUE, f"the live key holds {text!r}"
    if not app.members:
        return Because.NODE_SILENT, "no node has ever reported: is bgd running?"
    loudest = max(app.members, key=lambda member: _severity(member.because))
    if app.silent and _severity(loudest.because) < _SUFFERS:
        return Because.NODE_SILENT, " · ".join(filter(None, (names(app.silent), _paused(app))))
    return _worst_told(app, loudest)


def _worst_told(app: App, member: Member) -> tuple[str, str]:
    if _severity(member.because):
        paused = "" if member.because == Because.PAUSED else _paused(app)
        return member.because, " · ".join(filter(None, (_said(member), paused)))
    if not app.converged:
        return Because.FLIPPING, f"not proved by {names(app.unproved(app.desired))}" if app.desired else ""
    return _calmest(app), _paused(app)


def _paused(app: App) -> str:
    return f"paused: {app.ledger.pause}" if app.ledger.pause is not None else ""


def _said(member: Member) -> str:
    return f"{member.node}: {member.detail}" if member.detail else member.node


def _calmest(app: App) -> Because:
    proving = any(member.because == Because.PROBATION for member in app.members)
    return Because.PROBATION if proving else Because.CONVERGED


def _severity(because: str) -> int:
    """How loud a word is: live is down (4), and replaced (3), something waits (2), works (1), is well (0)."""
    if because in _CALM:
        return 0
    if because in _LOUD:
        return _SUFFERS + 1
    if because == Because.FALLBACK_SERVING:
        return _SUFFERS
    return 1 if because in _EARLY else 2


def rank(app: App) -> tuple[int, str]:
    """For sorting: the worst app first, of those that are well the paused ones, equals by name."""
    because, _ = worst(app)
    if because in _NO_WISH:
        return _NO_WISH.index(Because(because)), app.name
    if because == Because.NODE_SILENT:
        return 3, app.name
    calm = 6 if app.ledger.pause is not None else 7
    return {0: calm, 1: 5, 2: 4}.get(_severity(because), 2), app.name


def colour_views(app: App, colour: Colour) -> list[tuple[Member, ColourTold]]:
    """What the living members see of a colour, the worst view first."""
    views = [(member, member.colour(colour)) for member in app.alive]
    return sorted(views, key=lambda view: (_WORST_VERDICT.index(view[1].verdict), view[1].healthy))
