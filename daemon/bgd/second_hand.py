"""The second hand: keeps servers and structure in step, coalesced, beside whatever the table does.

It never changes a colour, and no flip waits for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bgd.core.advance import Failed, again
from bgd.core.knowledge import Knowledge, Trouble
from bgd.core.model import Wanted
from bgd.hands import Hands

GAP_S = 0.2
"""Changes within this time share one check and one write of the file."""
RESYNC_S = 30.0
"""Levels, not edges: so often everything is compared although nothing seems to have changed."""

NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one app wants by what is known of it, and the part of it that makes a sync due."""

    knowledge: Knowledge
    wanted: Wanted | None
    due_for: Wanted | None


class SecondHand:
    """When to sync, and what came of it. One sync runs at a time."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._asked: dict[str, Wanted | None] | None = None
        self._seen: dict[str, _Seen] = {}
        self._running = False
        self._earliest_s = 0.0
        self._at_latest_s = 0.0
        self._trouble: dict[str, Trouble] = {}
        self._pending = False

    @property
    def wake_s(self) -> float:
        """When the loop must turn for it before its next tick."""
        if self._running:
            return float("inf")
        return self._earliest_s if self._pending else float("inf")

    def look_again(self) -> None:
        """Something may be out of step: compare with the next turn."""
        self._asked = None

    def turn(self, apps: Mapping[str, Knowledge], now_s: float) -> None:
        """Start a sync when something differs from what was last asked for, or it is time."""
        if self._running:
            return
        self._seen = {
            app: self._see(app, knowledge) for app, knowledge in apps.items() if knowledge.serving is not None
        }
        due_for = {app: seen.due_for for app, seen in self._seen.items()}
        retry = any(now_s >= trouble.retry_s for trouble in self._trouble.values())
        due = due_for != self._asked or retry or now_s >= self._at_latest_s
        self._pending = due and _known(apps)
        if not self._pending or now_s < self._earliest_s:
            return
        self._asked, self._running, self._pending = due_for, True, False
        self._hands.sync({app: seen.wanted for app, seen in self._seen.items()})

    def _see(self, app: str, knowledge: Knowledge) -> _Seen:
        """Work out what an app wants once for each change of it; what is equal stays the same object,
        so that comparing all apps with each turn costs next to nothing."""
        before = self._seen.get(app)
        if before is not None and before.knowledge is knowledge:
            return before
        wanted = knowledge.wanted(patient=True)
        due_for = replace(wanted, healthy=NOBODY) if wanted else None
        if before is not None and before.due_for == due_for:
            due_for = before.due_for
        return _Seen(knowledge, wanted, due_for)

    def ended(
        self, apps: Mapping[str, Knowledge], failed: Mapping[str, Failed], now_s: float
    ) -> dict[str, Knowledge]:
        """Fold a sync's outcome in; returns the apps with their trouble, or without."""
        self._running, self._pending = False, True  # what was asked meanwhile has had no answer
        self._earliest_s, self._at_latest_s = now_s + GAP_S, now_s + RESYNC_S
        self._trouble = {app: again(self._trouble.get(app), why, now_s) for app, why in failed.items()}
        return {
            app: knowledge
            if knowledge.sync_trouble == self._trouble.get(app)
            else replace(knowledge, sync_trouble=self._trouble.get(app))
            for app, knowledge in apps.items()
        }


def _known(apps: Mapping[str, Knowledge]) -> bool:
    """Before the proxy has been asked once, nothing is touched: the disk's word on an app may be lost."""
    return all(knowledge.sight != "unseen" for knowledge in apps.values())
