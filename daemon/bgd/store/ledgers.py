"""What the fleet has written down about an app: good, rejected, pause, and what is being prepared.

Rules that live here: a rejection counts by its key alone, whoever wrote it and whatever it holds; what is
known good counts only when its record is understood; a preparation counts only while its session lives.
"""

from collections.abc import Iterable

from bgd.core.events import LiveSeen
from bgd.core.model import Colour, Good, Ledger, Preparation
from bgd.store import records, wishes
from bgd.store.client import Client, Entry
from bgd.store.keys import Keys, release_in


def ledger(keys: Keys, app: str, entries: Iterable[Entry]) -> Ledger:
    """An app's ledger as it stands among these entries of its tree."""
    good: dict[Colour, Good] = {}
    rejected: set[str] = set()
    pause: str | None = None
    preparation: Preparation | None = None
    goods = {keys.good(app, colour): colour for colour in Colour}
    for entry in entries:
        if entry.key in goods:
            found = records.good_in(entry.value)
            good |= {goods[entry.key]: found} if found else {}
        elif entry.key.startswith(keys.rejections(app)):
            rejected |= _rejected(keys, app, entry)
        elif entry.key == keys.pause(app):
            pause = records.shown(entry.value)
        elif entry.key == keys.prepare(app) and entry.session:
            preparation = records.preparation_in(entry.value)
    return Ledger(good, frozenset(rejected), pause, preparation)


def read(client: Client, app: str, *, consistent: bool = False) -> LiveSeen:
    """An app's wish with its ledger, from one answer."""
    entries = client.read_tree(client.keys.wishes(app), consistent=consistent)[1]
    live = wishes.told_by(client, app, entries)
    return LiveSeen({app: live}, {app: ledger(client.keys, app, entries)})


def _rejected(keys: Keys, app: str, entry: Entry) -> set[str]:
    word = entry.key.removeprefix(keys.rejections(app))
    named = records.rejected_in(entry.value)
    if named and keys.rejected(app, named) == entry.key:
        return {named}
    plain = release_in(word)
    return {plain} if plain else set()
