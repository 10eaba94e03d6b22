"""Reads the members of those apps that must agree just now → MembersSeen. Nobody watches reports.

Rules that live here: an answer without our own report is believed only when we can read what we have
written ourselves, and one in which we do not live only when we may read our own sign of life; what is read
is told at once when it differs, else once a second.
"""

import threading
import time
from dataclasses import dataclass

from bgd.core.events import MembersSeen
from bgd.ports import Post
from bgd.store import records, views
from bgd.store.client import Client, StoreFault
from bgd.store.follow import Backoff
from bgd.store.presence import Presence
from bgd.store.rights import Rights

LOOK_S, LONGEST_S = 0.25, 1.0
"""How long to wait between two looks: a revert follows the last vote that it needs within this."""
BUSY = 1 / 4
"""Reading takes no more than this share of the time, while that lets each app be read once a second."""
SAME_S = 1.0
"""So often is told what has not changed: who waits for an answer need not know whether it is a new one."""


@dataclass(frozen=True, slots=True)
class _Told:
    seen: MembersSeen
    at_s: float


class Members:
    """One thread for all apps. `follow` may be called from any thread and returns at once."""

    def __init__(self, client: Client, node: str, post: Post, presence: Presence, rights: Rights) -> None:
        self._client, self._node, self._post = client, node, post
        self._presence, self._rights = presence, rights
        self._changed = threading.Condition()
        self._stopping = False
        self._fresh = False
        self._last: dict[str, _Told | None] = {}
        self._thread = threading.Thread(target=self._run, name="members", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def follow(self, app: str, wanted: bool) -> None:
        """Read the app's members now and again and again, for as long as wanted."""
        with self._changed:
            if wanted and app not in self._last:
                self._last[app] = None
                self._fresh = True
                self._changed.notify()
            elif not wanted:
                self._last.pop(app, None)

    def close(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def _run(self) -> None:
        backoff = Backoff()
        pause_s: float | None = None
        while self._await_need(pause_s):
            try:
                began_s = time.monotonic()
                self._look()
                self._rights.well("members")
                took_s = time.monotonic() - began_s
                pause_s = min(LONGEST_S, max(LOOK_S, took_s * (1 / BUSY - 1)))
            except StoreFault as fault:
                self._rights.failed("members", fault)
                pause_s = LOOK_S + backoff.next_s()

    def _await_need(self, pause_s: float | None) -> bool:
        """Wait until it is time to look again, or somebody new is wanted; False at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or self._fresh, pause_s)
            self._changed.wait_for(lambda: self._stopping or bool(self._last))
            self._fresh = False
            return not self._stopping

    def _look(self) -> None:
        living = self._living()
        for app in list(self._last):
            seen = self._read(app, living)
            now_s = time.monotonic()
            with self._changed:
                if self._stopping or app not in self._last:
                    continue
                last = self._last[app]
                if last is not None and last.seen == seen and now_s - last.at_s < SAME_S:
                    continue
                self._last[app] = _Told(seen, now_s)
            self._post(seen)

    def _living(self) -> set[str]:
        living = views.living_nodes(self._client)
        if self._node not in living:
            # A right that is lost hides a key from a tree without a word, but not from a question for it.
            self._client.look(self._client.keys.alive(self._node))
        return living

    def _read(self, app: str, living: set[str]) -> MembersSeen:
        found = self._members(app, living)
        if not any(member.node == self._node for member in found.members):
            self._presence.prove_right(app)
            found = self._members(app, living)
        return found

    def _members(self, app: str, living: set[str]) -> MembersSeen:
        entries = self._client.read_tree(self._client.keys.members(app))[1]
        found = views.members_of(self._client, entries, living)
        members = tuple(
            records.member_in(view.node, view.report, alive=view.alive, stamp=view.stamp)
            for view in found
            if not view.gone
        )
        return MembersSeen(app, members, frozenset(view.node for view in found if view.gone))
