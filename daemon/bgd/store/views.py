"""What bgctl reads: apps, one app with its members and its ledger, its history; and waiting for a change.

Rules that live here: every node that ever reported is a member, until a stone stands in its place; a
member whose `alive` key is missing is silent.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bgd.core.model import KeyGone, Ledger, LiveKey
from bgd.store import ledgers, records, writes
from bgd.store.client import Client, Entry, StoreFault
from bgd.store.follow import Backoff
from bgd.store.keys import Keys
from bgd.store.wishes import live_key

LOOK_S = 1.0
"""Who is alive is read at least so often: a daemon that falls silent changes no report."""


@dataclass(frozen=True, slots=True)
class MemberView:
    """One node's last word about an app."""

    node: str
    alive: bool
    report: Mapping[str, Any]
    """Empty when it cannot be understood."""
    gone: bool = False
    """Not a member any more; a stone stands in its place."""
    stamp: int = field(default=0, compare=False)
    """The report's ModifyIndex; that it was written once more is no change of it."""


@dataclass(frozen=True, slots=True)
class AppView:
    """One app at one moment."""

    app: str
    live: LiveKey
    members: tuple[MemberView, ...] = ()
    ledger: Ledger = field(default_factory=Ledger)


def apps(client: Client) -> list[str]:
    """Every app that has a wish or a report."""
    keys = client.keys
    found = {keys.app_of(key) for tree in (keys.apps, keys.nodes) for key in client.names(tree)}
    return sorted(app for app in found if app)


def app_view(client: Client, app: str) -> AppView:
    """One app as it is now."""
    return _view(client, app, client.read_tree(client.keys.members(app))[1])


def follow_app(client: Client, app: str, timeout_s: float) -> Iterator[AppView]:
    """The app now, and again whenever it has changed, until the time is over.

    A fault is raised at once at the beginning; later on it is waited out, and raised at the end.
    """
    deadline_s = time.monotonic() + timeout_s
    index, entries = client.read_tree(client.keys.members(app))
    last = _view(client, app, entries)
    yield last
    backoff = Backoff()
    lost: StoreFault | None = None
    while (left_s := deadline_s - time.monotonic()) > 0:
        try:
            before = index
            index, entries = _changed(client, app, index, min(left_s, LOOK_S))
            view, lost = _view(client, app, entries), None
        except StoreFault as fault:
            index, lost = 0, fault
            time.sleep(min(left_s, backoff.next_s()))
            continue
        if index < before:
            index = 0
        if view != last:
            last = view
            yield view
    if lost:
        raise lost


def events(client: Client, app: str, count: int) -> list[dict[str, Any]]:
    """The newest events of an app, newest first."""
    return events_in(client, client.read_tree(client.keys.history(app))[1])[:count]


def events_in(client: Client, entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """The events that these entries of a history tell, newest first."""
    return [
        {**event, "generation": generation}
        for generation, entry in reversed(writes.in_order(client, entries))
        if (event := records.decode(entry.value)) is not None
    ]


def members_of(client: Client, entries: list[Entry], living: set[str]) -> tuple[MemberView, ...]:
    """Members as their reports stand in these entries."""
    found = ((client.keys.member_of(entry.key), entry) for entry in entries)
    return tuple(_member(node, entry, living) for node, entry in found if node is not None)


def living_nodes(client: Client) -> set[str]:
    """The nodes whose daemon lives."""
    return living_in(client.keys, client.read_tree(client.keys.living)[1])


def living_in(keys: Keys, entries: Iterable[Entry]) -> set[str]:
    """The nodes whose daemon lives, as these entries of the tree say."""
    nodes = (keys.living_node(entry.key) for entry in entries if entry.session)
    return {node for node in nodes if node is not None}


def view_of(
    client: Client, app: str, wishes: Mapping[str, Entry], reports: Iterable[Entry], living: set[str]
) -> AppView:
    """One app as its entries of the trees, by their keys, say."""
    keys = client.keys
    live = wishes.get(keys.live(app))
    wish = live_key(live, wishes.get(keys.order(app))) if live else KeyGone(0)
    ledger = ledgers.ledger(keys, app, wishes.values())
    return AppView(app, wish, members_of(client, list(reports), living), ledger)


def _view(client: Client, app: str, entries: list[Entry]) -> AppView:
    seen = ledgers.read(client, app)
    live = seen.keys[app]
    if isinstance(live, KeyGone):
        live = KeyGone(0)  # the index of the whole store changes all the time, and means nothing here
    return AppView(app, live, members_of(client, entries, living_nodes(client)), seen.ledgers[app])


def _changed(client: Client, app: str, index: int, wait_s: float) -> tuple[int, list[Entry]]:
    return client.read_tree(client.keys.members(app), index=index, wait_s=max(0.01, wait_s))


def _member(node: str, entry: Entry, living: set[str]) -> MemberView:
    report = records.decode(entry.value) or {}
    return MemberView(node, node in living, report, records.is_gone(report), entry.modify_index)
