"""One recursive blocking query over many wishes and ledgers → LiveSeen, or StoreHeard when all is as it was.

Rules that live here: only what changed is parsed; an answer that lacks a key of before is believed only
when we can read what we have written ourselves, and may read that very key, since a lost right answers as
emptily as a deleted key; only apps whose wish or ledger changed its meaning are posted, both in one event,
and all of them when Consul is back; that Consul answers at all is said at least each `WAIT_S`, also while
some apps change all the time.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bgd.core.events import LiveSeen, StoreDenied, StoreHeard, StoreLost
from bgd.core.model import KeyGone, Ledger, LiveKey
from bgd.ports import Post
from bgd.store import ledgers, wishes
from bgd.store.client import Client, Fault, StoreFault
from bgd.store.entry import Entry, Tree
from bgd.store.follow import WAIT_S, follow
from bgd.store.presence import Presence

PAUSE_S = 0.002
SHORTEST_S = 1.0
"""So often at most it is said that nothing has changed, whoever else writes below this prefix."""
OVERDUE_S = 30.0
"""So long other apps' news may keep us from an answer without any."""


@dataclass(frozen=True, slots=True)
class _Told:
    """What one app's keys said, and the entries that said it."""

    entries: Mapping[str, Entry]
    key: LiveKey
    ledger: Ledger


class WishWatch:
    """Watches the wishes and ledgers of some apps, in one thread, until it is stopped.

    `prefix` is how all their names begin: only what lies below it is asked for.
    """

    def __init__(
        self, client: Client, apps: Sequence[str], post: Post, presence: Presence, prefix: str = ""
    ) -> None:
        self._client, self._apps = client, tuple(apps)
        self._place, self._whose = client.keys.apps + prefix, frozenset(apps)
        self._post_event, self._presence = post, presence
        self._stop = threading.Event()
        self._posting = threading.Lock()
        self._told: Mapping[str, _Told] = {}
        self._tree: Tree | None = None
        self._well = False
        self._heard_s = float("-inf")
        """When all apps were last told that Consul answers."""
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
                self._tell(self._told)

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
        self._post((StoreDenied if denied else StoreLost)(fault.detail, self._whose))

    def _seen(self, told: Mapping[str, _Told]) -> None:
        before = self._told if self._well else {}
        self._well, self._told = True, told
        news = {app: each for app, each in told.items() if _differs(each, before.get(app))}
        if news:
            self._tell(news)
            # The loop needs the interpreter more than we do; and what comes together is read together.
            self._stop.wait(PAUSE_S)
        quiet_s = time.monotonic() - self._heard_s
        if quiet_s >= (OVERDUE_S if news else SHORTEST_S):
            self._heard_s = time.monotonic()
            self._post(StoreHeard(apps=self._whose))

    def _tell(self, news: Mapping[str, _Told]) -> None:
        if len(news) == len(self._apps):
            self._heard_s = time.monotonic()
        keys = {app: each.key for app, each in news.items()}
        self._post(LiveSeen(keys, {app: each.ledger for app, each in news.items()}))

    def _post(self, event: LiveSeen | StoreHeard | StoreLost | StoreDenied) -> None:
        if not self._stop.is_set():
            self._post_event(event)

    # -- asking -------------------------------------------------------------------------------------

    def _ask(self, index: int) -> tuple[int, Mapping[str, _Told]]:
        # After a fault or a step backwards nothing of what was read before counts.
        before = self._tree if index else None
        tree = self._client.watch_tree(self._place, before, wait_s=self._wait_s())
        known = self._told if before is not None and tree.index >= before.index else {}
        told = self._read(tree, known)
        self._tree = tree
        return tree.index, told

    def _wait_s(self) -> float:
        left_s = self._heard_s + WAIT_S - time.monotonic()
        return min(WAIT_S, max(SHORTEST_S, left_s))

    def _read(self, tree: Tree, known: Mapping[str, _Told]) -> Mapping[str, _Told]:
        found = self._by_app(tree)
        if tree.whole:
            entries = {app: found.get(app, {}) for app in self._apps}
        else:
            entries = {app: {**known[app].entries, **changed} for app, changed in found.items()}
        gone = _Once(self._gone)
        told = {app: self._told_by(app, each, known.get(app), gone) for app, each in entries.items()}
        return told if tree.whole else {**known, **told}

    def _by_app(self, tree: Tree) -> dict[str, dict[str, Entry]]:
        """The entries of an answer that are of our apps."""
        start = len(self._client.keys.apps)
        ours = dict.fromkeys(self._apps)
        found: dict[str, dict[str, Entry]] = {}
        for entry in tree.entries:
            key: str = entry.told["Key"]
            app, _, word = key[start:].partition("/")
            if word and app in ours:
                found.setdefault(app, {})[key] = entry
        return found

    def _gone(self, app: str) -> KeyGone:
        return KeyGone(wishes.store_index(self._client, app))

    def _told_by(self, app: str, entries: Mapping[str, Entry], known: _Told | None, gone: "_Once") -> _Told:
        """What an app's entries say; an order belongs only to a live key that was written with it."""
        if known is not None and _stamps(entries) == _stamps(known.entries):
            return known
        self._prove(app, entries)
        keys = self._client.keys
        live, order = entries.get(keys.live(app)), entries.get(keys.order(app))
        if live is not None:
            key = wishes.live_key(live, order)
        elif known is not None and isinstance(known.key, KeyGone):
            key = known.key
        else:
            key = gone(app)
        if known is not None and key == known.key:
            key = known.key
        return _Told(entries, key, ledgers.ledger(keys, app, entries.values()))

    def _prove(self, app: str, entries: Mapping[str, Entry]) -> None:
        """Raise StoreFault unless what is missing is really gone, and not only hidden from us."""
        before = self._told.get(app)
        live = self._client.keys.live(app)
        if live not in entries and not (before and isinstance(before.key, KeyGone)):
            self._presence.prove_right(app)
        vanished = before.entries.keys() - entries.keys() - {live} if before else ()
        kinds = {key.removeprefix(live.removesuffix("live")).partition("/")[0]: key for key in vanished}
        kinds.pop("prepare", None)  # it goes with each flip; who cannot see it is asked nothing
        if kinds.keys() & {"good", "rejected", "pause"}:
            self._presence.prove_right(app)
        for key in kinds.values():
            # A right that is lost hides a key from a tree without a word, but not from a question for it.
            if self._client.look(key, consistent=True)[1] is not None:
                raise StoreFault(
                    Fault.DENIED, f"{key} was hidden from us just before, or has only just come back"
                )


class _Once:
    """The index of the whole store, asked for when the first missing key of an answer needs it."""

    def __init__(self, ask: Callable[[str], KeyGone]) -> None:
        self._ask = ask
        self._answer: KeyGone | None = None

    def __call__(self, app: str) -> KeyGone:
        if self._answer is None:
            self._answer = self._ask(app)
        return self._answer


def _stamps(entries: Mapping[str, Entry]) -> dict[str, int]:
    return {key: entry.modify_index for key, entry in entries.items()}


def _differs(told: _Told, before: _Told | None) -> bool:
    if told is before:
        return False
    return before is None or (told.key, told.ledger) != (before.key, before.ledger)
