"""What is known of the fleet, kept up by one blocking query per tree; for the live screen.

Rules that live here: a Consul that does not answer takes nothing away: what was known stays, with since when
nobody has answered; of a tree only what has changed is read anew; how often a large tree is read is
bounded by its size. The history is read of one app at a time, by a client of its own that can be cut.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from bgctl.call import Call, app_of
from bgctl.standing import App
from bgd.store import views
from bgd.store.client import Client
from bgd.store.entry import Entry, Tree
from bgd.store.faults import StoreFault
from bgd.store.follow import WAIT_S, follow

_BEAT_S = 5.0
"""So often the smallest tree is asked for at least, so that a frozen Consul is noticed."""
_KEYS_PER_S = 5000
"""A tree of so many keys is read once a second at most."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Consul does not answer: since when (of this machine's monotonic clock), and what was said last."""

    since_s: float
    known_at: datetime
    detail: str


@dataclass(slots=True)
class _Branch:
    """One tree, as it was told last."""

    prefix: str
    wait_s: float = WAIT_S
    tree: Tree | None = None
    entries: dict[str, Entry] = field(default_factory=dict)
    lost: Lost | None = None
    heard_at: datetime = field(default_factory=lambda: datetime.now(UTC))


class Sight:
    """The apps below a prefix, or one of them. `changed` is called by the threads that read."""

    def __init__(self, call: Call, app: str | None, changed: Callable[[], None]) -> None:
        self._call, self._app, self._changed = call, app, changed
        self._client, keys = call.client, call.client.keys
        self._wishes = _Branch(keys.wishes(app) if app else keys.apps)
        self._reports = _Branch(keys.members(app) if app else keys.nodes)
        self._living = _Branch(keys.living, _BEAT_S)
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._apps: dict[str, App] = {}
        self._silent_at: dict[str, datetime] = {}
        self._history: _History | None = None

    def start(self) -> None:
        """Read all trees once, raising a fault of it, and follow them from now on."""
        for branch in (self._wishes, self._reports, self._living):
            self._ask(branch, 0)
        self._read({*self._names()})
        for branch in (self._wishes, self._reports, self._living):
            threading.Thread(target=self._follow, args=(branch,), daemon=True).start()

    def close(self) -> None:
        """End all threads; a call under way is cut."""
        self._stop.set()
        self._client.close()
        if self._history:
            self._history.close()

    # -- what is known ------------------------------------------------------------------------------

    @property
    def apps(self) -> list[App]:
        """Every app that exists; the one that was asked for in any case."""
        with self._lock:
            return [app for name, app in self._apps.items() if app.exists or name == self._app]

    @property
    def lost(self) -> Lost | None:
        """Since when a tree has not been answered for; None while all are."""
        with self._lock:
            lost = (branch.lost for branch in (self._wishes, self._reports, self._living))
            return min(filter(None, lost), key=lambda one: one.since_s, default=None)

    @property
    def silent_at(self) -> Mapping[str, datetime]:
        """When nodes fell silent, as far as this was watched."""
        with self._lock:
            return dict(self._silent_at)

    def events(self, app: str) -> list[dict[str, Any]]:
        """An app's history, newest first, from when on it is known; one app's at a time."""
        if self._history is None or self._history.app != app:
            if self._history:
                self._history.close()
            self._history = _History(replace(self._call).client, app, self._changed)
        return self._history.events

    # -- following ----------------------------------------------------------------------------------

    def _follow(self, branch: _Branch) -> None:
        for answer in follow(lambda index: self._ask(branch, index), self._stop):
            if isinstance(answer, StoreFault):
                self._failed(branch, answer)
            elif answer:
                self._read(answer)
            self._changed()
            self._stop.wait(len(branch.entries) / _KEYS_PER_S)

    def _failed(self, branch: _Branch, fault: StoreFault) -> None:
        with self._lock:
            since_s = branch.lost.since_s if branch.lost else time.monotonic()
            branch.lost = Lost(since_s, branch.heard_at, fault.detail)

    def _ask(self, branch: _Branch, index: int) -> tuple[int, set[str]]:
        """The tree when it has changed, and the apps that this is about."""
        before = branch.tree if index else None
        tree = self._client.watch_tree(branch.prefix, before, wait_s=branch.wait_s)
        found = {entry.key: entry for entry in tree.entries}
        with self._lock:
            gone = branch.entries.keys() - found.keys() if tree.whole else set()
            changed = {key for key, entry in found.items() if _differs(entry, branch.entries.get(key))}
            branch.tree = tree
            branch.entries = found if tree.whole else branch.entries | found
            branch.lost, branch.heard_at = None, datetime.now(UTC)
        return tree.index, self._touched(branch, gone | changed)

    def _touched(self, branch: _Branch, keys: set[str]) -> set[str]:
        if branch is self._living:
            return self._names() if keys else set()
        named = (self._client.keys.app_of(key) for key in keys)
        return {name for name in named if name}

    def _names(self) -> set[str]:
        keys = [*self._wishes.entries, *self._reports.entries]
        named = {self._client.keys.app_of(key) for key in keys}
        return {name for name in named if name} | ({self._app} if self._app else set())

    def _read(self, names: set[str]) -> None:
        """Put these apps together anew from the entries of all trees."""
        with self._lock:
            living = views.living_in(self._client.keys, self._living.entries.values())
            wishes, reports = self._of(self._wishes, names), self._of(self._reports, names)
            for name in names:
                view = views.view_of(self._client, name, wishes[name], reports[name].values(), living)
                self._hear(app_of(view), self._apps.get(name))

    def _of(self, branch: _Branch, names: set[str]) -> dict[str, dict[str, Entry]]:
        found: dict[str, dict[str, Entry]] = {name: {} for name in names}
        for key, entry in branch.entries.items():
            if (name := self._client.keys.app_of(key)) in found:
                found[name or ""][key] = entry
        return found

    def _hear(self, app: App, before: App | None) -> None:
        """Note an app, and who has fallen silent since it was noted last."""
        self._apps[app.name] = app
        spoke = {member.node for member in before.alive} if before else set()
        for member in app.members:
            if member.alive:
                self._silent_at.pop(member.node, None)
            elif member.node in spoke:
                self._silent_at.setdefault(member.node, datetime.now(UTC))


class _History:
    """One app's events, followed until it is closed."""

    def __init__(self, client: Client, app: str, changed: Callable[[], None]) -> None:
        self.app, self.events = app, list[dict[str, Any]]()
        self._client, self._changed, self._stop = client, changed, threading.Event()
        threading.Thread(target=self._follow, daemon=True).start()

    def close(self) -> None:
        self._stop.set()
        self._client.close()

    def _follow(self) -> None:
        for answer in follow(self._ask, self._stop):
            if not isinstance(answer, StoreFault):
                self.events = answer
                self._changed()

    def _ask(self, index: int) -> tuple[int, list[dict[str, Any]]]:
        tree = self._client.keys.history(self.app)
        index, entries = self._client.read_tree(tree, index=index, wait_s=WAIT_S)
        return index, views.events_in(self._client, entries)


def _differs(entry: Entry, before: Entry | None) -> bool:
    return before is None or entry.modify_index != before.modify_index or entry.session != before.session
