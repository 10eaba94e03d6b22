"""What goes on beside all else, in a real loop with real workers.

The proxy, Consul and the warm-up are played here, so that each takes exactly as long as a test wants.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from bgd.core.actions import Write
from bgd.core.events import (
    CatalogSeen,
    Event,
    LiveSeen,
    MembersSeen,
    Probed,
    ProxySeen,
    StoreHeard,
    StoreLost,
)
from bgd.core.model import Backend, Colour, Desired, Ledger, Member, Policy, Preparation, Wanted
from bgd.core.reasons import Because
from bgd.host.clock import SystemClock
from bgd.loop import Loop, Reconfigured, Stop, World
from bgd.ports import Failed, Forecast, Post, Proved, Still
from bgd.status.board import Board
from tests.integration.waiting import eventually
from tests.unit.core.world import BLUE, GREEN, backends

TOLD = ["rejected", "release", "backends", "proxy", "config", "sessions"]
LONG_S = 30.0


class Pause:
    """A place where a worker stays until the test lets it go on."""

    def __init__(self) -> None:
        self.entered, self._open = threading.Event(), threading.Event()
        self._open.set()

    def close(self) -> None:
        self._open.clear()
        self.entered.clear()

    def open(self) -> None:
        self._open.set()

    def wait(self, still: Still = lambda: True) -> bool:
        """Whether it was let go on, before it was not wanted any more."""
        self.entered.set()
        while not self._open.wait(0.005):
            if not still():
                return False
        return True


class Proxy:
    """Flips and forecasts whatever it is asked for."""

    def __init__(self) -> None:
        self.flipping, self.forecasting = Pause(), Pause()
        self.flips: list[Colour] = []
        self.forecasts: list[tuple[Colour, bool]] = []
        self.refuses: Failed | None = None

    def look(self, post: Post) -> None: ...
    def count(self, drains: Any) -> None: ...
    def permit(self, permitted: Any) -> None: ...

    def sync(self, wanted: Mapping[str, Wanted | None]) -> Mapping[str, Failed]:
        return {}

    def flip(self, app: str, colour: Colour, wanted: Wanted | None) -> Proved | Failed:
        self.flipping.wait()
        self.flips.append(colour)
        return Proved("runtime", 1.0)

    def forecast(self, app: str, colour: Colour, wanted: Wanted | None, *, diff: bool) -> Forecast | Failed:
        self.forecasts.append((colour, diff))
        self.forecasting.wait()
        return self.refuses or Forecast("runtime", "by map", sessions=7, diff="a diff" if diff else "")


class Caches:
    """A warm-up that takes as long as the test wants; `ended` are those that were not wanted any more."""

    def __init__(self) -> None:
        self.pause = Pause()
        self.begun: list[tuple[Colour, list[str]]] = []
        self.ended: list[Colour] = []
        self.answer: int | Failed = 3

    def __call__(self, app: str, colour: Colour, backends: Iterable[Backend], still: Still) -> int | Failed:
        self.begun.append((colour, [each.id for each in backends]))
        if not self.pause.wait(still):
            self.ended.append(colour)
            return Failed(Because.TARGET_NOT_READY, "not waited for")
        return self.answer


class Store:
    """Nothing is written; this node is the only member."""

    post: Post

    def publish(self, app: str, report: Mapping[str, Any]) -> None: ...
    def record(self, app: str, generation: int, event: Mapping[str, Any]) -> None: ...
    def follow_members(self, app: str, wanted: bool) -> None:
        if wanted:
            self.post(MembersSeen(app, (Member(node="lb-1", alive=True),)))

    def write(self, app: str, action: Write) -> Any:
        return Failed(Because.STORE_LOST, "there is none")


class Disk:
    def save(self, app: str, remembered: Mapping[str, Any]) -> None: ...
    def forget(self, app: str) -> None: ...


class Prober:
    def watch(self, app: str, backends: Any) -> None: ...


class Seen(Board):
    """The newest report."""

    report: Mapping[str, Any] = {}

    def reported(self, app: str, report: Mapping[str, Any]) -> None:
        super().reported(app, report)
        self.report = report


class Room:
    """A loop with one app, whose blue serves."""

    def __init__(self, policy: Policy) -> None:
        self.proxy, self.caches, self.seen, store = Proxy(), Caches(), Seen("lb-1"), Store()
        world = World(
            proxy=self.proxy,
            store=store,
            prober=Prober(),
            warmup=self.caches,
            state=Disk(),
            clock=SystemClock(),
            observer=self.seen,
        )
        self.loop = Loop(node="lb-1", version="1", max_old_workers=5, world=world)
        store.post = self.loop.post
        self.loop.add("shop", policy, None)
        self.thread = threading.Thread(target=self.loop.run, daemon=True)
        self.thread.start()
        both = {BLUE: backends(BLUE, 2), GREEN: backends(GREEN, 2, "2.0")}
        self.see(CatalogSeen("shop", both), ProxySeen(0.0, {}, 0, "p"))
        self.probe(*(each for colour in both.values() for each in colour))
        self.live(BLUE, 1)
        self.until(lambda report: self.served() == "blue")

    def see(self, *events: Event) -> None:
        for event in events:
            self.loop.post(event)

    def probe(self, *found: Backend, ok: bool = True) -> None:
        for each in found:
            colour = BLUE if each in backends(BLUE, 2) else GREEN
            self.see(*[Probed("shop", colour, each.name, ok, 0.001, "" if ok else "503")] * 3)

    def live(self, colour: Colour, generation: int, asked: Preparation | None = None) -> None:
        ledger = Ledger(preparation=asked)
        self.see(LiveSeen({"shop": Desired(colour, generation)}, {"shop": ledger}))

    def served(self) -> str:
        return str((self.seen.report.get("serving") or {}).get("colour", ""))

    def prepared(self) -> dict[str, Any]:
        return dict(self.seen.report.get("prepared") or {})

    def until(self, true: Callable[[Mapping[str, Any]], Any]) -> None:
        eventually(lambda: true(self.seen.report), "the report says so", within_s=LONG_S)

    def answered(self) -> list[str]:
        """Wait for the answer; its gates."""
        self.until(lambda report: report.get("prepared"))
        return [gate["gate"] for gate in self.prepared()["gates"]]

    def idle(self) -> None:
        """Wait until everything that was posted has been decided upon."""
        for _ in range(2):  # the first turn may be one that had begun
            before = self.loop.turned_s
            self.see(StoreHeard())
            eventually(lambda before=before: self.loop.turned_s > before, "the loop turns", within_s=LONG_S)

    def stop(self) -> None:
        self.loop.post(Stop())
        self.thread.join(LONG_S)
        assert not self.thread.is_alive()


@contextmanager
def room(**policy: Any) -> Iterator[Room]:
    made = Room(Policy(**policy))
    try:
        yield made
    finally:
        for pause in (made.proxy.flipping, made.proxy.forecasting, made.caches.pause):
            pause.open()
        made.stop()


def to_green(name: str = "p1", **more: Any) -> Preparation:
    return Preparation(**{"id": name, "colour": GREEN, "by": "alice", **more})


def test_a_preparation_is_answered_once() -> None:
    """With every gate, and nothing is flipped; whatever happens meanwhile asks the proxy nothing more."""
    with room() as shop:
        shop.live(BLUE, 1, to_green())
        assert shop.answered() == TOLD
        assert shop.prepared()["ok"]
        assert shop.prepared()["gates"][-2:] == [
            {"gate": "config", "ok": True, "detail": "flips by map", "because": ""},
            {"gate": "sessions", "ok": True, "detail": "7 on blue may finish there", "because": ""},
        ]
        shop.probe(*backends(GREEN, 2))
        shop.idle()

        assert shop.proxy.forecasts == [(GREEN, False)]
        assert (shop.proxy.flips, shop.caches.begun) == ([BLUE], [])


def test_what_the_proxy_refuses_is_the_last_gate() -> None:
    """In its words; nothing is warmed up for what cannot be."""
    with room(warmup_requests=3) as shop:
        shop.proxy.refuses = Failed(Because.CHECK_FAILED, "unknown keyword 'nonsense'")
        shop.live(BLUE, 1, to_green())

        assert shop.answered() == TOLD[:5]
        assert shop.prepared()["gates"][-1] == {
            "gate": "config",
            "ok": False,
            "detail": "unknown keyword 'nonsense'",
            "because": "check-failed",
        }
        assert shop.caches.begun == []


def test_a_gate_that_refuses_before_asks_the_proxy_nothing() -> None:
    """But for a forecast, which asks everything, and warms up nothing."""
    with room(warmup_requests=3) as shop:
        shop.probe(*backends(GREEN, 2), ok=False)
        shop.live(BLUE, 1, to_green())
        assert shop.answered() == TOLD[:3]
        assert shop.proxy.forecasts == []

        shop.live(BLUE, 1, to_green("p2", dry=True))
        shop.until(lambda _: shop.prepared().get("id") == "p2")
        assert shop.answered() == TOLD
        assert (shop.prepared()["ok"], shop.prepared()["diff"]) == (False, "a diff")
        assert (shop.proxy.forecasts, shop.caches.begun) == ([(GREEN, True)], [])


def test_a_warm_up_is_the_last_gate() -> None:
    """Of healthy backends only; until it is over the node says that it is preparing."""
    with room(warmup_requests=5) as shop:
        shop.caches.pause.close()
        shop.live(BLUE, 1, to_green())
        shop.until(lambda report: report["because"] == "preparing")
        shop.caches.pause.open()

        assert shop.answered() == [*TOLD, "warm-up"]
        assert shop.prepared()["gates"][-1]["detail"] == "3 of 5 requests to each backend"
        assert shop.caches.begun == [(GREEN, ["green-0", "green-1"])]


def test_a_backend_that_stays_cold_refuses() -> None:
    """As a target that is not ready, with the words."""
    with room(warmup_requests=3) as shop:
        shop.caches.answer = Failed(Because.TARGET_NOT_READY, "green is not warm: 503")
        shop.live(BLUE, 1, to_green())

        assert shop.answered()[-1] == "warm-up"
        assert shop.prepared()["gates"][-1]["because"] == "target-not-ready"
        assert not shop.prepared()["ok"]


def test_beside_a_flip_that_is_under_way() -> None:
    """It is answered although the app has its hands full, and the flip is not asked to wait."""
    with room() as shop:
        shop.proxy.flipping.close()
        shop.live(GREEN, 2)
        eventually(shop.proxy.flipping.entered.is_set, within_s=LONG_S)
        shop.live(GREEN, 2, to_green(colour=BLUE))
        shop.answered()

        assert shop.seen.report["because"] == "flipping"
        shop.proxy.flipping.open()
        shop.until(lambda _: shop.served() == "green")


def test_a_flip_beside_an_answer_that_takes_its_time() -> None:
    """And the other way round: nobody waits for a proxy that is being asked, nor for cold caches."""
    with room(warmup_requests=3) as shop:
        shop.proxy.forecasting.close()
        shop.live(BLUE, 1, to_green())
        eventually(shop.proxy.forecasting.entered.is_set, within_s=LONG_S)
        shop.live(GREEN, 2, to_green())

        shop.until(lambda _: shop.served() == "green")


def test_a_preparation_that_vanishes() -> None:
    """Its warm-up ends at once, and no answer is left behind."""
    with room(warmup_requests=3) as shop:
        shop.caches.pause.close()
        shop.live(BLUE, 1, to_green())
        eventually(lambda: shop.caches.begun, within_s=LONG_S)
        shop.live(BLUE, 1)
        eventually(lambda: shop.caches.ended == [GREEN], within_s=LONG_S)
        shop.idle()

        assert shop.prepared() == {}


def test_a_preparation_that_follows_another() -> None:
    """The first one's answer is not taken for the second's."""
    with room() as shop:
        shop.proxy.forecasting.close()
        shop.live(BLUE, 1, to_green())
        eventually(lambda: len(shop.proxy.forecasts) == 1, within_s=LONG_S)
        shop.live(BLUE, 1, to_green("p2", dry=True))
        eventually(lambda: len(shop.proxy.forecasts) == 2, within_s=LONG_S)
        shop.proxy.forecasting.open()
        shop.answered()

        assert (shop.prepared()["id"], shop.prepared()["diff"]) == ("p2", "a diff")


def test_a_consul_that_is_lost_meanwhile() -> None:
    """What it had asked may be over; when it asks still, it is answered anew."""
    with room(warmup_requests=3) as shop:
        shop.caches.pause.close()
        shop.live(BLUE, 1, to_green())
        eventually(lambda: shop.caches.begun, within_s=LONG_S)
        shop.see(StoreLost("connection refused"))
        eventually(lambda: shop.caches.ended == [GREEN], within_s=LONG_S)
        shop.caches.pause.open()
        assert shop.prepared() == {}
        shop.live(BLUE, 1, to_green())
        shop.answered()

        assert shop.prepared()["ok"]


def test_an_app_that_is_dropped_meanwhile() -> None:
    """What was asked of it is nobody's, and the loop goes on; the same of a wish's warm-up."""
    with room(warmup_requests=3) as shop:
        shop.caches.pause.close()
        shop.live(BLUE, 1, to_green())
        eventually(lambda: len(shop.caches.begun) == 1, within_s=LONG_S)
        shop.live(GREEN, 2, to_green())
        eventually(lambda: len(shop.caches.begun) == 2, within_s=LONG_S)
        shop.see(Reconfigured({}))
        eventually(lambda: shop.caches.ended == [GREEN, GREEN], within_s=LONG_S)
        shop.idle()

        assert shop.thread.is_alive()


def test_a_wish_is_warmed_up_before_its_flip() -> None:
    """The table goes on deciding: the newer wish has the word at once, and is warmed up itself."""
    with room(warmup_requests=3) as shop:
        shop.caches.pause.close()
        shop.live(GREEN, 2)
        shop.until(lambda report: report["because"] == "preparing")
        assert shop.proxy.flips == [BLUE]
        shop.live(BLUE, 3)
        eventually(lambda: shop.caches.ended == [GREEN], within_s=LONG_S)
        shop.live(GREEN, 4)
        shop.caches.pause.open()
        shop.until(lambda _: shop.served() == "green")

        assert shop.proxy.flips == [BLUE, GREEN]


def test_live_that_dies_does_not_wait_for_warm_caches() -> None:
    """Nobody is served: green as it is, at once."""
    with room(warmup_requests=3) as shop:
        shop.caches.pause.close()
        shop.live(GREEN, 2)
        eventually(lambda: shop.caches.begun, within_s=LONG_S)
        shop.probe(*backends(BLUE, 2), ok=False)

        shop.until(lambda _: shop.served() == "green")
        eventually(lambda: shop.caches.ended == [GREEN], within_s=LONG_S)


def test_the_end_waits_for_no_warm_up() -> None:
    """A daemon that is stopped ends although nobody has overtaken it."""
    with room(warmup_requests=3) as shop:
        shop.caches.pause.close()
        shop.live(GREEN, 2)
        eventually(lambda: shop.caches.begun, within_s=LONG_S)
        shop.stop()

        assert (shop.caches.ended, shop.proxy.flips) == ([GREEN], [BLUE])
