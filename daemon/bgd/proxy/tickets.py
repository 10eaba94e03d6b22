"""Flips that wait for a reload: those that wait together share one.

Rule that lives here: who comes while a reload is under way waits for the next one, and whoever gets to
that first carries out everybody's.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from bgd.core.model import Colour
from bgd.ports import Failed
from bgd.proxy.blocks import Block
from bgd.proxy.errors import WorldError


@dataclass(slots=True)
class Ticket:
    """One app's flip, and once it is done what came of it."""

    block: Block
    colour: Colour | None
    """None: the app keeps the one that it has."""
    failed: Failed | None = None
    done: bool = False

    def redeem(self) -> None:
        """Raise WorldError if it could not be done."""
        assert self.done, "a ticket is redeemed when it has been carried out"
        if self.failed:
            raise WorldError(self.failed.because, self.failed.detail)


class Tickets:
    """Those that wait, the newest of each app."""

    def __init__(self) -> None:
        self._waiting: dict[str, Ticket] = {}

    def draw(self, app: str, block: Block, colour: Colour | None) -> Ticket:
        """From now on this flip waits."""
        ticket = self._waiting[app] = Ticket(block, colour)
        return ticket

    def take(self) -> dict[str, Ticket]:
        """All that wait now; from now on they do no more."""
        return {app: self._waiting.pop(app) for app in list(self._waiting)}


def settle(tickets: Mapping[str, Ticket], failed: Mapping[str, Failed]) -> None:
    """Say what came of tickets."""
    for app, ticket in tickets.items():
        ticket.failed, ticket.done = failed.get(app), True
