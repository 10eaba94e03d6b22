"""learn(knowledge, event) → knowledge: what an observation means for one app.

Rules that live here: which wish is accepted (W), that an empty answer never empties the colour that
is served, when a verdict is formed, and that what the proxy was asked before its last change is void.
Returns the same object when nothing has changed, so that the loop need not decide again.
"""

from collections.abc import Mapping
from dataclasses import replace

from bgd.core import fleet, health
from bgd.core.events import (
    CatalogSeen,
    Event,
    LiveSeen,
    MembersSeen,
    Probed,
    ProxyLost,
    ProxySeen,
    StoreDenied,
    StoreLost,
)
from bgd.core.knowledge import Knowledge, Link, Sight, Wish
from bgd.core.model import Backend, Colour, Desired, KeyBad, KeyGone, LiveKey, Serving


def learn(knowledge: Knowledge, event: Event, *, now_s: float, at: str) -> Knowledge:
    """Fold one event into what is known of one app."""
    match event:
        case LiveSeen(keys):
            return _live(knowledge, keys[knowledge.app], now_s) if knowledge.app in keys else knowledge
        case StoreLost(detail):
            return replace(knowledge, link=Link.LOST, link_detail=detail)
        case StoreDenied(detail):
            return replace(knowledge, link=Link.DENIED, link_detail=detail)
        case CatalogSeen():
            return form(_catalog(knowledge, event, at), now_s)
        case MembersSeen(_, members):
            return _adopt(replace(knowledge, members=members), now_s)
        case Probed():
            return _probed(knowledge, event, now_s)
        case ProxySeen():
            return _proxy_seen(knowledge, event)
        case ProxyLost(asked_s, detail):
            if asked_s < knowledge.settled_s:
                return knowledge
            return replace(knowledge, sight=Sight.LOST, sight_detail=detail, decided=None)


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


def _live(k: Knowledge, key: LiveKey, now_s: float) -> Knowledge:
    if k.link is Link.UP and (key is k.live or key == k.live):
        return k
    k = replace(k, link=Link.UP, link_detail="", live=key)
    if isinstance(key, Desired) and accepts(k.wish.desired if k.wish else None, key):
        return _accept(k, key, now_s)
    return _adopt(k, now_s)


def _accept(k: Knowledge, desired: Desired, now_s: float) -> Knowledge:
    return replace(k, wish=Wish(desired, now_s), flip_trouble=None)


def _adopt(k: Knowledge, now_s: float) -> Knowledge:
    """While the key is gone or bad, the newest wish of the living counts: a node that was away follows.

    Not when the store itself went back: then nobody's number can be trusted.
    """
    if not isinstance(k.live, (KeyGone, KeyBad)):
        return k
    if isinstance(k.live, KeyGone) and k.wish and k.live.index < k.wish.desired.generation:
        return k
    newest = fleet.newest_wish(k.members)
    if newest is None or (k.wish and newest.generation <= k.wish.desired.generation):
        return k
    return _accept(k, newest, now_s)


def _catalog(k: Knowledge, event: CatalogSeen, at: str) -> Knowledge:
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
        k, catalog_seen=True, backends=backends, kept_since_at=kept, healths=healths, left_out=event.left_out
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
