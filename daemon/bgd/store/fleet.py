"""Consul as the loop sees it: all watches and the one writer, for the apps of a configuration.

Rules that live here: what an app that is configured no more still says or asks is ignored; nothing is
written for the fleet before our sign of life stands; whose write ended a wish says so in its history.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bgd.config import AppSettings
from bgd.core.actions import Confirm, Decline, Revert, Write
from bgd.core.advance import Failed, Overtaken, Written
from bgd.core.reasons import Because
from bgd.ports import Post
from bgd.store import acts
from bgd.store.alive import SecondDaemon
from bgd.store.catalogs import WATCHES_AT_MOST, Catalogs
from bgd.store.chronicle import Chronicle, Told
from bgd.store.client import Client
from bgd.store.members import Members
from bgd.store.presence import Presence
from bgd.store.rights import Rights
from bgd.store.shares import ENOUGH, shares
from bgd.store.wish_watch import WishWatch

__all__ = ["Fleet", "SecondDaemon"]


def _nobody(_: Mapping[str, Any]) -> None:
    pass


class Fleet:
    """Fits ports.Store. `second` is called when another daemon lives in this one's place, `told` with each
    event and each outcome that this node has written."""

    def __init__(
        self,
        client: Client,
        apps: Sequence[AppSettings],
        *,
        node: str,
        instance: str,
        post: Post,
        second: Callable[[SecondDaemon], None],
        told: Told = _nobody,
        watches_at_most: int = WATCHES_AT_MOST,
        read_together: int = ENOUGH,
    ) -> None:
        self._read_together = read_together
        self._client, self._node, self._post = client, node, post
        self._apps = {app.name: app for app in apps}
        self._rights = Rights(post, self._again)
        self._presence = Presence(
            client,
            node,
            instance,
            self._rights,
            second,
            Chronicle(client, node, told),
            list(self._apps),
        )
        self._members = Members(client, node, post, self._presence, self._rights)
        self._wishes = self._watches()
        self._catalogs = Catalogs(
            client, apps, post, self._presence, self._rights, watches_at_most=watches_at_most
        )

    def start(self) -> None:
        """Begin to watch and to live; Consul need not be there yet."""
        self._presence.start()
        self._members.start()
        for watch in self._wishes:
            watch.start()
        self._catalogs.start()

    def publish(self, app: str, report: Mapping[str, Any]) -> None:
        """Write this node's report; only the newest waits."""
        if app in self._apps:
            self._presence.publish(app, report)

    def record(self, app: str, generation: int, event: Mapping[str, Any]) -> None:
        """Create the history entry of a generation, unless another node has."""
        if app in self._apps:
            self._presence.record(app, generation, event)

    def write(self, app: str, action: Write) -> Written | Overtaken | Failed:
        """Write for the whole fleet, in one transaction; what it means for the history follows later."""
        if app not in self._apps:
            return Failed(Because.STORE_LOST, f"{app} is not configured any more")
        if not self._presence.lives:
            return Failed(Because.STORE_LOST, "our own sign of life does not stand in Consul yet")
        outcome = acts.write(self._client, app, action, by=f"bgd on {self._node}")
        if isinstance(outcome, Written):
            self._conclude(app, action, outcome)
        return outcome

    def _conclude(self, app: str, action: Write, written: Written) -> None:
        generation = action.desired.generation
        match action:
            case Confirm():
                self._presence.conclude(app, generation, "confirmed")
            case Revert():
                self._presence.conclude(app, generation, "reverted")
            case Decline():
                self._presence.record(app, generation, acts.declined(action, written))

    def follow_members(self, app: str, wanted: bool) -> None:
        """Read the app's members now and again and again while wanted, posting MembersSeen."""
        self._members.follow(app, wanted and app in self._apps)

    def withdraw(self, app: str) -> None:
        """End this node's membership of an app that is not configured any more."""
        self._presence.withdraw(app, self._node)

    def reconfigure(self, apps: Sequence[AppSettings]) -> None:
        """From now on these are the apps; the membership of those that are gone ends."""
        before, self._apps = self._apps, {app.name: app for app in apps}
        for name in before.keys() - self._apps.keys():
            self._members.follow(name, False)
            self.withdraw(name)
        self._catalogs.reconfigure(apps)
        if before.keys() != self._apps.keys():
            self._stop_watches()
            self._wishes = self._watches()
            for watch in self._wishes:
                watch.start()

    def close(self) -> None:
        """Say goodbye, and end every thread that waits for Consul."""
        self._stop_watches()
        self._catalogs.close()
        self._members.close()
        self._presence.close()
        self._client.close()

    def _watches(self) -> list[WishWatch]:
        return [
            WishWatch(self._client, apps, self._post, self._presence, prefix)
            for prefix, apps in shares(self._apps, enough=self._read_together)
        ]

    def _stop_watches(self) -> None:
        for watch in self._wishes:
            watch.stop()

    def _again(self) -> None:
        for watch in self._wishes:
            watch.again()
