"""The catalogs of all apps: a watch for each service, or, where Consul would not bear so many, rounds.

Consul lets one client address have 200 connections, whoever else on this host needs some of them; a watch
takes one, rounds take three altogether.
"""

from collections.abc import Iterable, Sequence

from bgd.config import AppSettings
from bgd.ports import Post
from bgd.store import catalog
from bgd.store.catalog_rounds import CatalogRounds
from bgd.store.catalog_watch import CatalogWatch
from bgd.store.client import Client
from bgd.store.presence import Presence
from bgd.store.rights import Rights

WATCHES_AT_MOST = 150


class Catalogs:
    """Posts what the catalog says of each app, from `start` to `close`."""

    def __init__(
        self,
        client: Client,
        apps: Sequence[AppSettings],
        post: Post,
        presence: Presence,
        rights: Rights,
        *,
        watches_at_most: int,
    ) -> None:
        self._client, self._post = client, post
        self._presence, self._rights = presence, rights
        self._watches_at_most = watches_at_most
        self._watches = {app.name: self._watch(app) for app in apps}
        self._rounds: CatalogRounds | None = None

    def start(self) -> None:
        """Begin to read; Consul need not be there yet."""
        if self._too_many(watch.app for watch in self._watches.values()):
            self._rounds = CatalogRounds(self._client, self._watches.values())
            self._rounds.start()
            return
        for watch in self._watches.values():
            watch.start()

    def reconfigure(self, apps: Sequence[AppSettings]) -> None:
        """From now on these are the apps; those whose backends are read as before are not read anew."""
        if self._too_many(apps) != (self._rounds is not None):
            self.close()
            self._watches = {app.name: self._watch(app) for app in apps}
            self.start()
            return
        sources = {app.name: _source(app) for app in apps}
        for name, watch in list(self._watches.items()):
            if sources.get(name) != _source(watch.app):
                self._end(self._watches.pop(name))
        for app in apps:
            if app.name not in self._watches:
                self._watches[app.name] = self._watch(app)
                self._begin(self._watches[app.name])

    def close(self) -> None:
        """Nothing is posted any more; threads end with the calls that they wait for."""
        for watch in self._watches.values():
            watch.stop()
        if self._rounds is not None:
            self._rounds.close()
            self._rounds = None

    def _too_many(self, apps: Iterable[AppSettings]) -> bool:
        return sum(len(catalog.services(app)) for app in apps) > self._watches_at_most

    def _watch(self, app: AppSettings) -> CatalogWatch:
        return CatalogWatch(self._client, app, self._post, self._presence, self._rights)

    def _begin(self, watch: CatalogWatch) -> None:
        if self._rounds is None:
            watch.start()
        else:
            self._rounds.add(watch)

    def _end(self, watch: CatalogWatch) -> None:
        watch.stop()
        if self._rounds is not None:
            self._rounds.drop(watch)


def _source(app: AppSettings) -> tuple[str, str, str]:
    """What an app's backends are read from."""
    return app.service, app.colour_by, app.release_meta
