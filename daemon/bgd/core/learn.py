"""learn(knowledge, event) → knowledge: what an observation means for one app.

Rules that live here: which wish is accepted (W), that an empty answer never empties the colour that
is served, when a verdict is formed, that what the proxy was asked before its last change is void, that a
member leaves by its tombstone only, and that a release once refused under a wish stays what it was
refused for.
Returns the same object when nothing has changed, so that the loop need not decide again.
"""

from collections.abc import Mapping
from dataclasses import replace

from bgd.core import fleet, health
from bgd.core.clocks import keep_time
from bgd.core.events import (
    CatalogSeen,
    Event,
    LiveSeen,
    MembersSeen,
    Probed,
    ProxyLost,
    ProxySeen,
    SessionsSeen,
    StoreDenied,
    StoreHeard,
    StoreLost,
    TrafficSeen,
)
from bgd.core.knowledge import (
    CATALOG_LAG_S,
    KNOWN_S,
    SESSIONS_TOLD_S,
    VOTE_STALE_S,
    Knowledge,
    Link,
    Sessions,
    Sight,
    Wish,
)
from bgd.core.model import (
    Backend,
    Colour,
    Desired,
    KeyBad,
    KeyGone,
    Ledger,
    LiveKey,
    Member,
    Prepared,
    Serving,
)
from bgd.core.reasons import Because


def learn(knowledge: Knowledge, event: Event, *, now_s: float, at: str) -> Knowledge:
    """Fold one event into what is known of one app."""
    learnt = _uncount(_refuse(_catch_up(_fold(knowledge, event, now_s, at)), now_s))
    return keep_time(learnt, now_s)


def repeats(k: Knowledge, event: Probed) -> bool:
    """Whether a probe says only what is known already, so that nothing is to be learnt from it."""
    before = k.healths[event.colour].get(event.name)
    if before is None or _may_refuse(k):  # which waits for a time, and takes any event for its clock
        return False
    return health.probed(before, event.ok, event.detail, k.policy) is before


def _fold(knowledge: Knowledge, event: Event, now_s: float, at: str) -> Knowledge:
    match event:
        case LiveSeen(keys, ledgers):
            return _seen(knowledge, keys.get(knowledge.app), ledgers.get(knowledge.app), now_s)
        case StoreHeard(app):
            if app is None:
                return replace(knowledge, heard_s=now_s)
            return replace(knowledge, catalog_heard_s=now_s)
        case StoreLost(detail):
            return _lost(knowledge, Link.LOST, detail, now_s)
        case StoreDenied(detail):
            return _lost(knowledge, Link.DENIED, detail, now_s)
        case CatalogSeen():
            return form(_catalog(knowledge, event, at, now_s), now_s)
        case MembersSeen():
            return _adopt(_members(knowledge, event, now_s), now_s)
        case TrafficSeen():
            return _traffic(knowledge, event, now_s)
        case SessionsSeen():
            return _sessions(knowledge, event, now_s)
        case Probed():
            return _probed(knowledge, event, now_s)
        case ProxySeen():
            return _proxy_seen(knowledge, event)
        case ProxyLost(asked_s, detail):
            if asked_s < knowledge.settled_s:
                return knowledge
            return replace(knowledge, sight=Sight.LOST, sight_detail=detail, decided=None)


def unheard(k: Knowledge) -> Knowledge:
    """Members are not read any more: who they are stays known, and what they say does not."""
    return replace(k, members=tuple(Member(node=member.node, alive=False) for member in k.members))


def _lost(k: Knowledge, link: Link, detail: str, now_s: float) -> Knowledge:
    lost_s = now_s if k.link is Link.UP else k.lost_s
    return replace(unheard(k), link=link, link_detail=detail, lost_s=lost_s, behind=Because.STORE_LOST)


def _catch_up(k: Knowledge) -> Knowledge:
    """Once the wish is served, or the members are read, whatever wish comes next is new when it comes."""
    if k.behind is None or k.link is not Link.UP:
        return k
    return replace(k, behind=None) if k.served or fleet.lives(k.node, k.members) else k


def accepts(wish: Desired | None, key: Desired) -> bool:
    """Whether a key that was read becomes the wish.

    A generation orders wishes as long as Consul's index only grows. After a restore it does not:
    then the same colour only brings a new number, and another colour counts when its order says
    that it was given in knowledge of the wish (`after`).
    """
    if wish is None or key.generation > wish.generation:
        return True
    if key.colour is wish.colour:
        return key != wish
    return key.order is not None and key.order.after >= wish.generation


def _seen(k: Knowledge, key: LiveKey | None, ledger: Ledger | None, now_s: float) -> Knowledge:
    if k.link is Link.UP and now_s - k.heard_s > KNOWN_S:  # this daemon was frozen, or its watch was
        k = replace(unheard(k), behind=Because.STORE_LOST)
    if ledger is not None and ledger != k.ledger:
        k = replace(k, ledger=ledger, prepared=_still_asked(k.prepared, ledger))
    if key is not None:
        k = _live(k, key, now_s)
    return k if k.heard_s == now_s else replace(k, heard_s=now_s)


def _still_asked(prepared: Prepared | None, ledger: Ledger) -> Prepared | None:
    asked = ledger.preparation
    return prepared if prepared and asked and prepared.id == asked.id else None


def _refuse(k: Knowledge, now_s: float) -> Knowledge:
    """Note the release for which a wish is refused here: what comes after it was not asked for."""
    if k.wish is None or k.ledger is None or not _may_refuse(k):
        return k
    if now_s - k.wish.seen_s < CATALOG_LAG_S:
        return k
    order, releases = k.wish.desired.order, k.wished_releases
    if (order is not None and order.force) or not releases or not releases <= k.ledger.rejected:
        return k
    return replace(k, wish=replace(k.wish, refused=min(releases)))


def _may_refuse(k: Knowledge) -> bool:
    return bool(k.wish and not k.wish.refused and k.ledger and k.ledger.rejected and not k.served)


def _members(k: Knowledge, event: MembersSeen, now_s: float) -> Knowledge:
    """A member that is missing from an answer was lost by the store, and is silent until it says more."""
    told = {member.node for member in event.members} | event.gone
    lost = tuple(Member(node=each.node, alive=False) for each in k.members if each.node not in told)
    mine = max((each.stamp for each in event.members if each.node == k.node and each.vote), default=None)
    moved = {
        member.node: k.moved[member.node]
        if k.moved.get(member.node, (None,))[0] == member.stamp
        else (member.stamp, now_s if _is_news(k, member, mine, now_s) else float("-inf"))
        for member in event.members
    }
    return replace(k, members=event.members + lost, moved=moved, members_s=now_s)


def _is_news(k: Knowledge, member: Member, mine: int | None, now_s: float) -> bool:
    """Whether what differs was written just now: who only begins to read cannot know, unless it came after
    this node's own vote. So at least the first to vote counts all others at once."""
    if fleet.lives(k.node, k.members):
        return now_s - k.members_s <= VOTE_STALE_S
    return mine is not None and member.stamp > mine


def _traffic(k: Knowledge, event: TrafficSeen, now_s: float) -> Knowledge:
    """What was counted before the last change to the proxy, or cannot be known, says nothing."""
    known = {colour: seen for colour, seen in k.traffic.items() if colour is not event.colour}
    if event.requests is not None and event.since_s >= k.settled_s:
        known[event.colour] = health.Traffic(event.requests, event.errors, event.mean_s, now_s)
    return k if known == k.traffic else replace(k, traffic=known)


def _sessions(k: Knowledge, event: SessionsSeen, now_s: float) -> Knowledge:
    """What was counted before the last change to the proxy says nothing. That the idle colour is empty must
    be seen twice: between a try and its next one a request is open, and no session is."""
    if event.asked_s < k.settled_s or k.serving is None:
        return k
    idle, before, counted = k.serving.colour.other, k.sessions, dict(event.sessions)
    if not _live_answers(k):
        counted[idle] = counted.get(idle) or None
    empty = counted.get(idle) == 0
    drained = empty and before.empty
    taken_back = before.open.get(idle) == 0 and not empty
    due = now_s - before.told_s >= SESSIONS_TOLD_S or event.cut != before.cut or taken_back
    if empty and not drained:
        due, counted[idle] = False, before.open.get(idle)
    if not (drained or due):
        return k if empty == before.empty else replace(k, sessions=replace(before, empty=empty))
    if (counted, event.cut) == (before.open, before.cut):
        return k if empty == before.empty else replace(k, sessions=replace(before, empty=empty))
    return replace(k, sessions=Sessions(open=counted, cut=event.cut, told_s=now_s, empty=empty))


def _uncount(k: Knowledge) -> Knowledge:
    """While live has no healthy backend the proxy may go over by itself: no colour is known to be empty."""
    if k.serving is None or k.sessions.open.get(k.serving.colour.other) != 0 or _live_answers(k):
        return k
    return replace(k, sessions=Sessions(cut=k.sessions.cut))


def _live_answers(k: Knowledge) -> bool:
    healths = k.healths[k.serving.colour] if k.serving else {}
    return any(health.healthy for health in healths.values())


def _live(k: Knowledge, key: LiveKey, now_s: float) -> Knowledge:
    if k.link is Link.UP and (key is k.live or key == k.live):
        return k
    linked_s = k.linked_s if k.link is Link.UP else now_s
    k = replace(k, link=Link.UP, link_detail="", live=key, linked_s=linked_s)
    if isinstance(key, Desired) and accepts(k.wish.desired if k.wish else None, key):
        return _accept(k, key, now_s)
    return _adopt(k, now_s)


def _accept(k: Knowledge, desired: Desired, now_s: float, after: int = 0) -> Knowledge:
    """Whatever is accepted is newer than the wish before it."""
    before = max(k.wish.desired.generation, k.wish.after) if k.wish else 0
    told = desired.order.after if desired.order else 0
    wish = Wish(desired, now_s, after=max(after, told, before))
    return replace(k, wish=wish, flip_trouble=None, warm_trouble=None)


def _adopt(k: Knowledge, now_s: float) -> Knowledge:
    """While the key is gone or bad, the newest wish of the living counts: a node that was away follows.

    Not when the store itself went back: then nobody's number can be trusted; and never a number that this
    store has not reached yet.
    """
    if not isinstance(k.live, (KeyGone, KeyBad)):
        return k
    if isinstance(k.live, KeyGone) and k.wish and k.live.index < k.wish.desired.generation:
        return k
    newest = fleet.newest_wish(k.members, k.live.index if isinstance(k.live, KeyGone) else k.live.generation)
    if newest is None or (k.wish and fleet.rank(newest[0].generation, newest[1]) <= _rank(k.wish)):
        return k
    return _accept(k, newest[0], now_s, newest[1])


def _rank(wish: Wish) -> tuple[int, int]:
    return fleet.rank(wish.desired.generation, wish.after)


def _catalog(k: Knowledge, event: CatalogSeen, at: str, now_s: float) -> Knowledge:
    backends: dict[Colour, tuple[Backend, ...]] = {}
    kept: dict[Colour, str] = {}
    for colour in Colour:
        backends[colour] = tuple(event.backends.get(colour, ()))
        if not backends[colour] and _holds(k, colour):
            backends[colour] = _still_passing(k, colour)
            if backends[colour]:
                kept[colour] = k.kept_since_at.get(colour, at)
    healths = {
        colour: {
            backend.name: k.healths[colour].get(backend.name, health.NO_RESULTS)
            for backend in backends[colour]
        }
        for colour in Colour
    }
    return replace(
        k,
        catalog_seen=True,
        catalog_heard_s=now_s,
        backends=backends,
        kept_since_at=kept,
        healths=healths,
        left_out=event.left_out,
    )


def _holds(k: Knowledge, colour: Colour) -> bool:
    """The catalog never empties the colour that customers are on."""
    return k.serving is not None and k.serving.colour is colour


def _still_passing(k: Knowledge, colour: Colour) -> tuple[Backend, ...]:
    return tuple(
        backend
        for backend in k.backends[colour]
        if k.healths[colour].get(backend.name, health.NO_RESULTS).healthy is not False
    )


def _probed(k: Knowledge, event: Probed, now_s: float) -> Knowledge:
    healths = k.healths[event.colour]
    before = healths.get(event.name)
    if before is None:  # left the catalog while its last probe was under way
        return k
    after = health.probed(before, event.ok, event.detail, k.policy)
    if after is before:
        return form(k, now_s)
    k = replace(k, healths={**k.healths, event.colour: {**healths, event.name: after}})
    if event.colour in k.kept_since_at and after.healthy is False:
        k = _drop_kept(k, event.colour)
    return form(k, now_s)


def _drop_kept(k: Knowledge, colour: Colour) -> Knowledge:
    """A kept backend that fails is no longer kept: its address may be somebody else's by now."""
    backends = _still_passing(k, colour)
    kept: Mapping[Colour, str] = k.kept_since_at
    if not backends:
        kept = {other: since for other, since in kept.items() if other is not colour}
    return replace(k, backends={**k.backends, colour: backends}, kept_since_at=kept)


def form(k: Knowledge, now_s: float) -> Knowledge:
    """Verdicts are formed once every backend has shown itself, at the latest after a fixed while."""
    if len(k.formed) == len(Colour) or not (k.catalog_seen or any(k.backends.values())):
        return k
    late = now_s - k.started_s >= 3 * k.policy.interval_s + k.policy.timeout_s
    formed = frozenset(
        colour
        for colour in Colour
        if colour in k.formed or late or health.formed(k.backends[colour], k.healths[colour])
    )
    return k if formed == k.formed else replace(k, formed=formed)


def _proxy_seen(k: Knowledge, event: ProxySeen) -> Knowledge:
    if event.asked_s < k.settled_s:
        return k
    decided = event.decided.get(k.app)
    if (k.sight, k.decided, k.old_workers) == (Sight.SEEN, decided, event.old_workers):
        return k
    first = k.sight is Sight.UNSEEN
    k = replace(k, sight=Sight.SEEN, sight_detail="", decided=decided, old_workers=event.old_workers)
    if first and k.serving is None and decided is not None:
        # The disk's word on this app is lost; the proxy's own is as good.
        return replace(k, serving=Serving(decided, 0, via="found"))
    return k
