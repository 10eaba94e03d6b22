"""A shop in which a colour goes bad, and what its customers saw of it.

Bad is an answer that is not 200, none at all, or one that took longer than the shop bears. It counts when it
was begun before the turn: what green had begun, green may finish.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bgctl.demo.records import SHORT, Record
from tests.integration.load import Load
from tests.integration.shop import Shop, opened
from tests.integration.waiting import STEP_S, eventually

TOO_LONG_MS = 150.0
QUICK = 'probe = { interval = "200ms", timeout = "200ms", fall = 3, rise = 2, max_latency = "150ms" }'
WRITES = [
    f"{write} {end}" for write in ("revert", "decline") for end in ("written", "not written", "overtaken")
]
PATIENT = 'probe = { interval = "200ms", timeout = "800ms", fall = 3, rise = 2 }'


def flip(probation: str = "1s") -> str:
    """Settings of an app whose releases are good soon."""
    return f'flip = {{ probation = "{probation}" }}'


@contextlib.contextmanager
def shop_of(
    folder: Path,
    kind: str,
    *lines: str,
    colours: Sequence[str] = ("blue", "blue", "green", "green"),
    probe: str = QUICK,
    probation: str = "1s",
    flips: str = "",
    **consul: Any,
) -> Iterator[Shop]:
    """A shop whose blue serves; `flips` stands in place of what `flip` says."""
    with opened(folder, colours, kind=kind, start=False, **consul) as shop:
        shop.apps = [shop.app("shop", shop.port, flips or flip(probation), *lines, probe=probe)]
        shop.bgd = shop.daemon()
        shop.open()
        yield shop


def good(shop: Shop, colour: str) -> bool:
    return bool(shop.consul.get(f"bluegreen/apps/shop/good/{colour}"))


def until_good(shop: Shop, colour: str) -> None:
    """Wait until the colour's release has served its probation and is written down."""
    eventually(lambda: good(shop, colour), f"{colour} is known good")


def to_green(shop: Shop) -> int:
    """Blue becomes good, green live; its generation."""
    until_good(shop, "blue")
    shop.bgctl("set-live", "green", "--app", "shop", check=True)
    shop.until_serving("green")
    eventually(lambda: way_back(shop), "there is a way back")
    return int(shop.report()["serving"]["generation"])


def way_back(shop: Shop) -> bool:
    return bool((shop.report().get("way_back") or {}).get("open"))


def answers(shop: Shop, colour: str, *, within_s: float = 30) -> None:
    """Wait until customers are answered by a colour."""
    eventually(lambda: shop.answer() == colour, f"{colour} answers at {shop.node}", within_s=within_s)


def rejected(shop: Shop) -> bool:
    return bool(shop.consul.get("bluegreen/apps/shop/rejected/2.5.0"))


def order(shop: Shop) -> str:
    """The kind of the newest order."""
    return str(json.loads(shop.consul.get("bluegreen/apps/shop/order") or "{}").get("kind", ""))


def ended(shop: Shop) -> list[tuple[str, str, Any]]:
    """The history, oldest first: what was done, to which colour, with what outcome."""
    found = json.loads(shop.bgctl("-o", "json", "history", "--app", "shop", check=True).stdout)
    events = sorted(found["history"], key=lambda event: event["generation"])
    return [(event["what"], event["to"], event["outcome"]) for event in events]


def until_ended(shop: Shop, *events: tuple[str, str, Any]) -> None:
    """Wait until this is the history: outcomes are set a moment after what they are about."""
    with contextlib.suppress(AssertionError):
        eventually(lambda: ended(shop) == list(events))
    assert ended(shop) == list(events), ended(shop)


def generation(shop: Shop) -> int:
    """The wish that stands in Consul."""
    return shop.consul.index("bluegreen/apps/shop/live")


def throughout(true: Callable[[], Any], what: str, *, for_s: float = 1.5) -> None:
    """Fail when something is not so for once: whatever decides has several turns in that time."""
    end_s = time.monotonic() + for_s
    while time.monotonic() < end_s:
        assert true(), f"not all the time: {what}"
        time.sleep(STEP_S)


def tried_to_write(*shops: Shop) -> list[tuple[str, Any]]:
    """Which nodes have ended a revert or a decline, however that went."""
    return [(shop.node, line) for shop in shops for each in WRITES for line in shop.bgd.said(each)]


@contextlib.contextmanager
def nothing_written(*shops: Shop) -> Iterator[None]:
    """The wish that stood before stands afterwards, and nobody has tried to write another."""
    before = generation(shops[0])
    yield
    assert generation(shops[0]) == before, order(shops[0])
    assert not tried_to_write(*shops)


def goes_well(shop: Shop, how: str, colour: str = "green") -> None:
    """All of a colour answers again as it did before it went bad."""
    for address in shop.backends.of(colour):
        shop.backends.order(f"open {colour}={address}" if how == "refuses" else f"heal {address}")


@dataclass(frozen=True)
class Seen:
    """What customers saw from the moment when a colour went bad."""

    bad: list[Record]
    all: int

    @property
    def failed(self) -> list[Record]:
        return [record for record in self.bad if record.error]

    @property
    def lasted_s(self) -> float:
        """From the beginning of the first bad answer to that of the last."""
        begun = [record.start_ns for record in self.bad]
        return (max(begun) - min(begun)) / 1e9 if begun else 0.0

    def __str__(self) -> str:
        return f"{len(self.bad)} bad of {self.all}, {len(self.failed)} failed, over {self.lasted_s:.2f} s"


def seen(load: Load, after_ns: int, too_long_ms: float = TOO_LONG_MS) -> Seen:
    """Read the load's records; what was bad before `after_ns` is a fault of the test."""
    short = [record for record in load.records if record.lane in SHORT]
    early = [record for record in short if record.error and record.end_ns < after_ns]
    assert not early, early[:5]
    bad = [record for record in short if record.start_ns >= after_ns and _is_bad(record, too_long_ms)]
    return Seen(bad, len(short))


def _is_bad(record: Record, too_long_ms: float) -> bool:
    return bool(record.error) or (record.end_ns - record.start_ns) / 1e6 > too_long_ms


def goes_bad(shop: Shop, how: str, colour: str = "green") -> int:
    """All of a colour fails, hangs, is slow, or refuses; when that began."""
    began_ns = time.monotonic_ns()
    orders: dict[str, Callable[[str], str]] = {
        "fails": lambda each: f"fail {each}",
        "hangs": lambda each: f"slow {each} 3000",
        "slow": lambda each: f"slow {each} 180",
        "refuses": lambda each: f"close {each}",
    }
    for address in shop.backends.of(colour):
        shop.backends.order(orders[how](address))
    return began_ns


def turned_back(shop: Shop) -> None:
    """Green fails, the fleet reverts to blue, and green is well again."""
    before = generation(shop)
    goes_bad(shop, "fails")
    reverted(shop, before)
    goes_well(shop, "fails")


def reverted(shop: Shop, generation: int, **waits: Any) -> None:
    """Wait until the fleet is back on blue by an order of its own."""
    eventually(lambda: order(shop) == "revert", "a revert is written", **waits)
    eventually(lambda: shop.report()["serving"]["generation"] > generation, "the revert is served")
    shop.until_serving("blue")
    assert rejected(shop)
    assert not good(shop, "green")
