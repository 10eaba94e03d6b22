"""What the live keys say, with the orders that belong to them.

Rules that live here: an order belongs to a live key only while both were written last in one
transaction; a key that is gone is told with the index of the whole store, which never goes backwards
while the store is the same.
"""

from collections.abc import Iterable

from bgd.core.model import KeyGone, LiveKey
from bgd.store import records
from bgd.store.client import Client, Entry


def live_key(live: Entry, order: Entry | None) -> LiveKey:
    """What a live key that exists says."""
    belongs = order is not None and order.modify_index == live.modify_index
    told = records.order_in(order.value) if order is not None and belongs else None
    return records.live_in(live.value, live.modify_index, told)


def read_live(client: Client, app: str, *, consistent: bool = False) -> LiveKey:
    """What an app's live key says now."""
    return told_by(client, app, _entries(client, app, consistent=consistent))


def told_by(client: Client, app: str, entries: Iterable[Entry]) -> LiveKey:
    """What an app's live key says, as it stands among these entries."""
    found = {entry.key: entry for entry in entries}
    live = found.get(client.keys.live(app))
    if live is None:
        return missing(client, app)
    return live_key(live, found.get(client.keys.order(app)))


def missing(client: Client, app: str) -> LiveKey:
    """Ask for a live key that was not in a tree: the answer tells the index of the whole store."""
    index, live = client.look(client.keys.live(app), consistent=True)
    return KeyGone(index) if live is None else live_key(live, client.read(client.keys.order(app)))


def store_index(client: Client, app: str) -> int:
    """The index of the whole store, as the answer to a live key that is missing tells it."""
    return client.look(client.keys.live(app), consistent=True)[0]


def _entries(client: Client, app: str, *, consistent: bool) -> list[Entry]:
    return client.read_tree(client.keys.wishes(app), consistent=consistent)[1]
