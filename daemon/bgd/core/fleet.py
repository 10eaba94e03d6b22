"""Other nodes' words: proofs, votes, refusals, steadiness; what a majority is.

Rules that live here: majority means majority of members, and silent ones are members; what a silent one
said of now (its vote, its steadiness, its refusal) does not count, what it serves does.
"""

from collections.abc import Iterable

from bgd.core.model import Colour, Desired, Member
from bgd.core.reasons import Because
from bgd.core.snapshot import Snapshot

REFUSALS = (Because.RELEASE_REJECTED, Because.WISH_EXPIRED)


def someone_proved(members: tuple[Member, ...], desired: Desired) -> bool:
    """Whether an alive member serves exactly this wish, proved."""
    return any(member.alive and _proved(member, desired) for member in members)


def nobody_proved(members: tuple[Member, ...], desired: Desired) -> bool:
    """Whether no member, silent or not, says that it serves this wish, or fell back from it."""
    return not any(_proved(member, desired) or _fell_from(member, desired) for member in members)


def newest_wish(members: tuple[Member, ...], limit: int) -> tuple[Desired, int] | None:
    """The newest wish up to generation `limit` that an alive member has accepted, with its `after`."""
    told = ((member.desired, member.after) for member in members if member.alive)
    wishes = [(desired, after) for desired, after in told if desired and desired.generation <= limit]
    return max(wishes, key=lambda wish: rank(wish[0].generation, wish[1]), default=None)


def rank(generation: int, after: int) -> tuple[int, int]:
    """For telling which of two wishes is the newer: after a restore, the order of the newer one says so."""
    return max(generation, after), after


def size(s: Snapshot) -> int:
    """How many members there are, this node among them."""
    return len({member.node for member in s.members} | {s.node})


def must_agree(s: Snapshot) -> bool:
    """Whether what this node does next depends on the others: only then are they asked."""
    if s.wish is None or s.key_unusable or not s.served or s.target.down:
        return True
    return s.steady_over and not (s.ledger and s.ledger.confirmed(s.wish.colour, s.target.release))


def heard(s: Snapshot) -> bool:
    """Whether members are read just now: then this node finds itself among the living."""
    return lives(s.node, s.members)


def lives(node: str, members: Iterable[Member]) -> bool:
    """Whether the node is found among the living."""
    return any(member.node == node and member.alive for member in members)


def is_majority(s: Snapshot, nodes: Iterable[str]) -> bool:
    """Whether these nodes are more than half of all members; never while those are not read."""
    return heard(s) and 2 * len(set(nodes)) > size(s)


def voters(s: Snapshot) -> frozenset[str]:
    """Who sees live down and the idle colour alive under this very wish, not too long ago."""
    assert s.wish is not None, "votes are about a wish"
    others = {member.node for member in _others(s) if member.vote == s.wish.generation}
    return frozenset(others & s.fresh) | ({s.node} if s.votes else frozenset())


def refusers(s: Snapshot) -> frozenset[str]:
    """The other nodes that live and refuse this very wish."""
    return frozenset(member.node for member in _others(s) if _refuses(member, s.wish))


def have_refused(s: Snapshot) -> frozenset[str]:
    """The other members, silent ones too, whose last word was to refuse it: time makes no wish younger."""
    return frozenset(
        member.node for member in s.members if member.node != s.node and _refuses(member, s.wish)
    )


def steady(s: Snapshot, colour: Colour, release: str) -> frozenset[str]:
    """Who has served this release for a whole probation without a break."""
    others = {
        member.node
        for member in _others(s)
        if member.steady == release and member.serving is not None and member.serving.colour is colour
    }
    mine = s.steady_over and s.steady is not None and (s.steady.colour, s.steady.release) == (colour, release)
    return frozenset(others | {s.node} if mine else others)


def _proved(member: Member, desired: Desired) -> bool:
    return (
        member.proved
        and member.serving is not None
        and (member.serving.colour, member.serving.generation) == (desired.colour, desired.generation)
    )


def _refuses(member: Member, wish: Desired | None) -> bool:
    """A restored store may give a number twice: then what the order is newer than tells its wish apart."""
    return (
        wish is not None
        and (member.because in REFUSALS or member.refused)
        and member.desired == Desired(wish.colour, wish.generation)
        and member.after >= (wish.order.after if wish.order else 0)
    )


def _fell_from(member: Member, desired: Desired) -> bool:
    serving = member.serving
    return serving is not None and serving.fallback and serving.generation == desired.generation


def _others(s: Snapshot) -> Iterable[Member]:
    """The living but this node: its own report is older than what it knows."""
    return (member for member in s.members if member.alive and member.node != s.node)
