"""What goes on beside all else, as it changes nothing: answering a preparation, and warming up.

Rules that live here: each is begun once per app, ends as soon as it is not what is wanted any more, and
what comes of it then is nobody's.
"""

from dataclasses import replace

from bgd.core import advance, preparing
from bgd.core.actions import Action, Prepare, Warm
from bgd.core.knowledge import Knowledge
from bgd.core.snapshot import Snapshot
from bgd.hands import Answered, Hands, Warmed


class Beside:
    """Of all apps, each apart. Used by the loop's thread; whether something is wanted still, any may ask."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._preparing: dict[str, Prepare] = {}
        self._warming: dict[str, Warm] = {}

    def prepare(self, snapshot: Snapshot, knowledge: Knowledge) -> None:
        """Row 6: begin to answer who asks and has no answer yet."""
        app, begun = snapshot.app, self._preparing.get(snapshot.app)
        if begun is not None and begun.preparation != preparing.asked(snapshot):
            del self._preparing[app]
        action = preparing.due(snapshot)
        if action is not None and app not in self._preparing:
            self._preparing[app] = action
            self._hands.prepare(app, action, knowledge, lambda: self._preparing.get(app) is action)

    def warm(self, action: Action | None, knowledge: Knowledge) -> None:
        """Begin a warm-up when that is the table's answer; any other ends it."""
        app = knowledge.app
        if not isinstance(action, Warm):
            self._warming.pop(app, None)
        elif self._warming.get(app) != action:
            self._warming[app] = action
            self._hands.warm(app, action, knowledge, lambda: self._warming.get(app) is action)

    def answered(self, letter: Answered, knowledge: Knowledge | None) -> Knowledge | None:
        """A preparation has its answer."""
        if knowledge is None or self._preparing.get(letter.app) is not letter.action:
            return knowledge
        del self._preparing[letter.app]
        if knowledge.ledger is None or knowledge.ledger.preparation != letter.action.preparation:
            return knowledge
        return replace(knowledge, prepared=letter.prepared)

    def warmed(self, letter: Warmed, knowledge: Knowledge | None, now_s: float) -> Knowledge | None:
        """A warm-up has ended."""
        if knowledge is None or self._warming.get(letter.app) is not letter.action:
            return knowledge
        del self._warming[letter.app]
        return advance.warmed(knowledge, letter.action, letter.failed, now_s=now_s)

    def forget(self, app: str) -> None:
        """The app is gone: nothing of it goes on."""
        self._preparing.pop(app, None)
        self._warming.pop(app, None)
