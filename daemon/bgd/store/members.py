"""Reads the members of those apps that must agree just now → MembersSeen. Nobody watches reports.

An answer without our own report is believed only when we can read what we have written ourselves.
"""

import threading

from bgd.core.events import MembersSeen
from bgd.core.model import Member
from bgd.ports import Post
from bgd.store import records, views
from bgd.store.client import Client, StoreFault
from bgd.store.follow import Backoff
from bgd.store.presence import Presence
from bgd.store.rights import Rights

LOOK_S = 1.0


class Members:
    """One thread for all apps. `follow` may be called from any thread and returns at once."""

    def __init__(self, client: Client, node: str, post: Post, presence: Presence, rights: Rights) -> None:
        self._client, self._node, self._post = client, node, post
        self._presence, self._rights = presence, rights
        self._changed = threading.Condition()
        self._stopping = False
        self._fresh = False
        self._last: dict[str, MembersSeen | None] = {}
        self._thread = threading.Thread(target=self._run, name="members", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def follow(self, app: str, wanted: bool) -> None:
        """Read the app's members now and each second, for as long as wanted."""
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
                self._look()
                self._rights.well("members")
                pause_s = LOOK_S
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
        living = views.living_nodes(self._client)
        for app in list(self._last):
            seen = MembersSeen(app, self._read(app, living))
            with self._changed:
                if self._stopping or app not in self._last or self._last[app] == seen:
                    continue
                self._last[app] = seen
            self._post(seen)

    def _read(self, app: str, living: set[str]) -> tuple[Member, ...]:
        found = self._members(app, living)
        if not any(member.node == self._node for member in found):
            self._presence.prove_right(app)
            found = self._members(app, living)
        return found

    def _members(self, app: str, living: set[str]) -> tuple[Member, ...]:
        entries = self._client.read_tree(self._client.keys.members(app))[1]
        return tuple(
            records.member_in(view.node, view.report, alive=view.alive)
            for view in views.members_of(self._client, entries, living)
            if not view.gone
        )
