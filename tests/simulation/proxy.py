"""One node's proxy: what it decides, what it may do by itself, and what is open through it.

It lives with or without its daemon.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bgd.core.model import Colour
from bgd.core.permission import Permission

if TYPE_CHECKING:
    from tests.simulation.world import World


@dataclass(frozen=True, slots=True)
class Session:
    """A request, a websocket or a connection: to which backend, since when, and when it ends by itself."""

    colour: Colour
    backend: str
    began_s: float
    ends_s: float
    step: int
    """That of the storm in which it began."""


class Proxy:
    """`decided` is what it serves."""

    world: "World"

    def __init__(self) -> None:
        self.decided: Colour | None = None
        self.permitted: Permission | None = None
        """What it may do by itself."""
        self.blind: set[Colour] = set()
        self.uncountable = False
        """What is open cannot be told, as when an old worker does not answer."""
        self._sessions: list[Session] = []
        self.unseen: set[Session] = set()
        """For which it went over by itself, and its daemon has not seen live dead since."""

    def browse(self, seconds: float) -> Session | None:
        """Somebody comes, and stays so long; None: nobody serves them."""
        colour = self.decided
        by_permission = colour is not None and not self._answering(colour) and self._may_leave(colour)
        if colour is None:
            return None
        colour = colour.other if by_permission else colour
        answering = self._answering(colour)
        if not answering:
            return None
        now_s = self.world.now_s
        session = Session(colour, answering[0], now_s, now_s + seconds, self.world.step)
        self._sessions.append(session)
        if by_permission:
            self.unseen.add(session)
        return session

    def cut(self, backend: str) -> None:
        """The backend has died, and what was open to it with it."""
        self._sessions = [each for each in self._sessions if each.backend != backend]

    def open(self, colour: Colour) -> list[Session]:
        """What is truly open on a colour."""
        self._sessions = [each for each in self._sessions if each.ends_s > self.world.now_s]
        return [each for each in self._sessions if each.colour is colour]

    def count(self) -> dict[Colour, int | None]:
        """What it says is open."""
        return {colour: None if self.uncountable else len(self.open(colour)) for colour in Colour}

    def _may_leave(self, colour: Colour) -> bool:
        given = self.permitted
        return given is not None and given.live is colour and self.world.now_s < given.until_s

    def _answering(self, colour: Colour) -> list[str]:
        boxes = self.world.boxes[colour]
        return [box.name for box in boxes if box.up and box.registered and colour not in self.blind]
