"""One recursive blocking query over all wishes → LiveSeen.

Rules that live here: only what changed is parsed; an answer that lacks a wish of before is believed only
when we can read what we have written ourselves, since a lost right answers as emptily as a deleted key;
only wishes whose meaning changed are posted, and all of them when Consul is back.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bgd.core.events import LiveSeen, StoreDenied, StoreLost
from bgd.core.model import Desired, KeyGone, LiveKey
from bgd.ports import Post
from bgd.store import wishes
from bgd.store.client import Client, Fault, StoreFault
from bgd.store.entry import Entry, Tree
from bgd.store.follow import WAIT_S, follow
from bgd.store.presence import Presence

PAUSE_S = 0.002


@dataclass(frozen=True, slots=True)
class _Told:
    """One app's wish as it was told, with what tells whether it has changed."""

    stamp: tuple[int, int]
    key: LiveKey


_GONE = (0, 0)


class WishWatch:
    """Watches the wishes of some apps, in one thread, until it is stopped."""

    def __init__(self, client: Client, apps: Sequence[str], post: Post, presence: Presence) -> None:
        self._client, self._apps = client, tuple(apps)
        self._post_event, self._presence = post, presence
        keys = client.keys
        self._lives = {keys.live(app): app for app in apps}
        self._orders = {keys.order(app): app for app in apps}
        self._stop = threading.Event()
        self._posting = threading.Lock()
        self._told: Mapping[str, _Told] = {}
        self._tree: Tree | None = None
        self._well = False
        self._thread = threading.Thread(target=self._run, name="wishes", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Nothing is posted any more; the thread ends with the call that it waits for."""
        with self._posting:
            self._stop.set()

    def again(self) -> None:
        """Post once more what is known, if Consul answers."""
        with self._posting:
            if self._well:
                self._post(LiveSeen(self._keys()))

    def _run(self) -> None:
        for answer in follow(self._ask, self._stop):
            with self._posting:
                if isinstance(answer, StoreFault):
                    self._failed(answer)
                else:
                    self._seen(answer)

    def _failed(self, fault: StoreFault) -> None:
        self._well = False
        denied = fault.kind is Fault.DENIED
        self._post(StoreDenied(fault.detail) if denied else StoreLost(fault.detail))

    def _seen(self, told: Mapping[str, _Told]) -> None:
        before = self._keys() if self._well else {}
        self._well, self._told = True, told
        news = {app: key for app, key in self._keys().items() if before.get(app) != key}
        if news:
            self._post(LiveSeen(news))
            # The loop needs the interpreter more than we do; and what comes together is read together.
            self._stop.wait(PAUSE_S)

    def _post(self, event: LiveSeen | StoreLost | StoreDenied) -> None:
        if not self._stop.is_set():
            self._post_event(event)

    def _keys(self) -> dict[str, LiveKey]:
        return {app: told.key for app, told in self._told.items()}

    # -- asking -------------------------------------------------------------------------------------

    def _ask(self, index: int) -> tuple[int, Mapping[str, _Told]]:
        # After a fault or a step backwards nothing of what was read before counts.
        before = self._tree if index else None
        tree = self._client.watch_tree(self._client.keys.apps, before, wait_s=WAIT_S)
        known = self._told if before is not None and tree.index >= before.index else {}
        told = self._read(tree, known)
        if not tree.whole:
            told = {**known, **told}
        elif len(told) < len(self._apps):
            self._add_missing(told, known)
        self._tree = tree
        return tree.index, told

    def _read(self, tree: Tree, known: Mapping[str, _Told]) -> dict[str, _Told]:
        """What these entries say; an order belongs only to a live key that changed with it."""
        lives, orders = {}, {}
        for entry in tree.entries:
            key = entry.told["Key"]
            if key in self._lives:
                lives[self._lives[key]] = entry
            elif key in self._orders:
                orders[self._orders[key]] = entry
        told = {app: _told(live, orders.get(app), known.get(app)) for app, live in lives.items()}
        if tree.whole:  # an order alone: its live key is gone, not unchanged
            return told
        lone = {app: known[app] for app in orders if app not in lives and app in known}
        return {**told, **{app: _without_order(told) for app, told in lone.items()}}

    def _add_missing(self, told: dict[str, _Told], known: Mapping[str, _Told]) -> None:
        missing = [app for app in self._apps if app not in told]
        for app in missing:
            before = self._told.get(app)
            if before is None or before.stamp != _GONE:
                self._presence.prove_right(app)
        fresh: _Told | None = None
        for app in missing:
            before = known.get(app)
            if before is not None and before.stamp == _GONE:
                told[app] = before
            else:
                fresh = fresh or _Told(_GONE, KeyGone(wishes.store_index(self._client, app)))
                told[app] = fresh


def _told(live: Entry, order: Entry | None, known: _Told | None) -> _Told:
    stamp = (live.modify_index, order.modify_index if order else 0)
    return known if known and known.stamp == stamp else _Told(stamp, wishes.live_key(live, order))


def _without_order(told: _Told) -> _Told:
    return replace(told, key=replace(told.key, order=None)) if isinstance(told.key, Desired) else told
