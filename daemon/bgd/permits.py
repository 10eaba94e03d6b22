"""When the proxy is told what it may do by itself: at once when that changes, and often enough to last.

Permissions end by themselves. So nothing here must ever be undone for safety, only renewed for comfort.
"""

from collections.abc import Mapping

from bgd.core.model import Colour
from bgd.core.permission import Permission
from bgd.hands import Hands

RENEW_S = 10.0


class Permits:
    """What every app's proxy may do. One telling at a time; the newest counts."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._now: dict[str, Permission] = {}
        self._told: Mapping[str, Colour] = {}
        self._running = False
        self._renew_s = 0.0

    def note(self, app: str, found: Permission | None) -> None:
        """This is what the app's proxy may do from now on."""
        if found is None:
            self._now.pop(app, None)
        else:
            self._now[app] = found

    def turn(self, now_s: float) -> None:
        """Tell the proxy when it must know."""
        lives = {app: each.live for app, each in self._now.items()}
        if self._running or (lives == self._told and (not lives or now_s < self._renew_s)):
            return
        self._told, self._renew_s, self._running = lives, now_s + RENEW_S, True
        self._hands.permit(dict(self._now))

    def ended(self) -> None:
        """The telling has ended."""
        self._running = False
