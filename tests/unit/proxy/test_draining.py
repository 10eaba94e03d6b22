"""When what is left is counted and cut; the proxy that is asked is a stand-in."""

import time
from collections.abc import Collection
from typing import Any

import pytest

from bgd.core.draining import Drain
from bgd.core.events import SessionsSeen
from bgd.core.model import Colour
from bgd.proxy.draining import Draining

BLUE, GREEN = Colour.BLUE, Colour.GREEN
LONG_AGO = 0.0


class Proxy:
    """Has so many open on green, and cuts them all."""

    def __init__(self, on_green: int | None = 3) -> None:
        self.on_green, self.over, self.fails = on_green, False, False
        self.asked: list[set[str]] = []

    def sessions(self, apps: Collection[str]) -> dict[tuple[str, Colour], int | None]:
        self.asked.append(set(apps))
        if self.fails:
            raise OSError("it does not answer")
        return {(app, colour): self.on_green if colour is GREEN else 0 for app in apps for colour in Colour}

    def cut(self, app: str, colour: Colour) -> int:
        assert colour is GREEN
        count, self.on_green = self.on_green or 0, 0
        return count

    def went_over(self) -> bool:
        return self.over


class Ear:
    """Hears what is logged and told."""

    def __init__(self) -> None:
        self.cuts: list[tuple[str, int]] = []
        self.said: list[str] = []

    def cut(self, app: str, count: int) -> None:
        self.cuts.append((app, count))

    def warning(self, event: str, **_: Any) -> None:
        self.said.append(event)

    def reloaded(self, result: str) -> None: ...
    def old_workers(self, count: int | None) -> None: ...


class Room:
    """A proxy that decides for blue, and what bgd counts and cuts there."""

    def __init__(self, cut_s: float | None = LONG_AGO) -> None:
        self.proxy, self.ear = Proxy(), Ear()
        proxy: Any = self.proxy
        self.draining = Draining(proxy, self.ear, self.ear)
        self.draining.tell({"shop": Drain(GREEN, cut_s)})

    def look(self, decides: Colour | None = BLUE, permitted: Collection[str] = ()) -> list[SessionsSeen]:
        events: list[Any] = []
        self.draining.look({"shop": decides} if decides else {}, permitted, events.append)
        return events

    def flip(self, colour: Colour, *, fails: bool = False) -> None:
        with self.draining.flipping("shop", colour):
            if fails:
                raise OSError("not proved")


def test_what_is_due_is_cut_and_told() -> None:
    """Once in the log, in the metric, and in every count from then on."""
    room = Room()

    (seen,), (again,) = room.look(), room.look()

    assert (seen.sessions, seen.cut, again.cut) == ({GREEN: 0, BLUE: 0}, 3, 3)
    assert room.ear.cuts == [("shop", 3)]
    assert room.ear.said == ["sessions cut"]


def test_another_drain_begins_with_nothing_cut() -> None:
    """Another flip, another time."""
    room = Room()
    room.look()
    room.draining.tell({"shop": Drain(GREEN, time.monotonic() + 60)})

    assert room.look()[0].cut == 0


@pytest.mark.parametrize("cut_s", [None, time.monotonic() + 3600], ids=["never", "in an hour"])
def test_nothing_is_cut_before_its_time(cut_s: float | None) -> None:
    """It is counted."""
    assert [each.sessions[GREEN] for each in Room(cut_s).look()] == [3]


@pytest.mark.parametrize("decides", [GREEN, None])
def test_nothing_is_cut_while_the_proxy_decides_otherwise(decides: Colour | None) -> None:
    """Or has another structure than the file's: what is open may be anybody's."""
    assert Room().look(decides)[0].cut == 0


def test_what_was_flipped_to_last_is_spared() -> None:
    """The wish to cut was told before; a flip that fails changes nothing."""
    room = Room()
    room.flip(GREEN)
    assert room.look()[0].cut == 0
    room.flip(BLUE)
    with pytest.raises(OSError, match="not proved"):
        room.flip(GREEN, fails=True)
    assert room.look()[0].cut == 3


def test_what_cannot_be_asked_is_not_none() -> None:
    """And is said once."""
    room = Room(None)
    room.proxy.fails = True

    assert [room.look()[0].sessions for _ in range(2)] == [{GREEN: None, BLUE: None}] * 2
    assert room.ear.said == ["sessions unknown"]


def test_at_rest_nobody_is_asked() -> None:
    """Unless the proxy may have gone over by itself; who may not any more might have just before."""
    room = Room()
    room.draining.tell({})
    assert room.look(permitted=["shop", "mail"]) == []
    assert room.proxy.asked == []

    room.proxy.over = True
    assert [each.app for each in room.look(permitted=["shop"])] == ["mail", "shop"]
    assert [each.app for each in room.look()] == ["shop"]
    assert room.look() == []


def test_who_has_not_gone_over_is_not_told() -> None:
    """What live has open changes with each look, and each telling is a write to Consul."""
    room = Room()
    room.draining.tell({})
    room.proxy.over, room.proxy.on_green = True, 0

    assert room.look(permitted=["shop"]) == []
    assert room.proxy.asked == [{"shop"}]
    room.proxy.on_green = None
    assert [each.sessions[GREEN] for each in room.look(permitted=["shop"])] == [None]
