"""What can go wrong with the proxy while it is being flipped, reloaded and killed."""

import os
import random
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import pytest

from tests.integration.haproxy import free_port
from tests.integration.shop import Shop, opened, soak_on_nginx
from tests.integration.waiting import eventually

HELD = {"websockets": 3, "streams": 2, "slow": 2}


@contextmanager
def flipping(shop: Shop, app: str = "shop") -> Iterator[list[str]]:
    """Wishes without a pause while the test does something else; ends with the last one served."""
    over, wished = threading.Event(), [shop.serving(app)]

    def wish() -> None:
        for colour in cycle(("green", "blue")):
            if over.wait(0.1):
                return
            shop.put(colour, app)
            wished.append(colour)

    wisher = threading.Thread(target=wish, daemon=True)
    wisher.start()
    try:
        yield wished
    finally:
        over.set()
        wisher.join(10)
    shop.until_serving(wished[-1], app, within_s=30)
    shop.in_step(wished[-1], app)


def test_flips_beside_reloads(tmp_path: Path, kind: str) -> None:
    """The app's own lines change again and again while it is flipped: nothing is lost or cut."""
    with opened(tmp_path, kind=kind) as shop, shop.load(**HELD), flipping(shop):
        for number in range(6 if kind == "haproxy" else 2):
            reloads = len(shop.bgd.said("reloaded"))
            shop.turned(number)
            eventually(lambda reloads=reloads: len(shop.bgd.said("reloaded")) > reloads, "it is reloaded")


@soak_on_nginx
def test_flips_beside_an_operators_reloads(tmp_path: Path, kind: str) -> None:
    """Somebody else reloads the proxy (as systemctl does) while flips are made: nothing is lost or cut."""
    lanes = HELD if kind == "haproxy" else {**HELD, "kept": 0}  # which nginx by itself does not keep
    with opened(tmp_path, kind=kind) as shop, shop.load(**lanes), flipping(shop):
        for _ in range(6):
            shop.proxy.reload_by_hand()


def test_the_proxy_killed_during_flips(tmp_path: Path, kind: str) -> None:
    """Master and worker die at any moment of a flip and are started anew: the last wish is served."""
    draw = random.Random(3)
    with opened(tmp_path, kind=kind) as shop:
        for number in range(3):
            with flipping(shop):
                threading.Event().wait(draw.uniform(0, 0.25))  # the moment is what is tested
                shop.proxy.restart()
            shop.until_well(within_s=30)

            assert shop.answer() == shop.serving(), f"round {number}"


def test_the_master_alone_killed(tmp_path: Path) -> None:
    """Whether its worker goes with it or not, what is started anew serves what was wished."""
    with opened(tmp_path) as shop:
        shop.put("green")
        shop.until_serving("green")
        os.kill(shop.proxy.process_id, signal.SIGKILL)
        shop.put("blue")
        shop.proxy.restart()
        shop.until_serving("blue", within_s=30)
        shop.in_step("blue")

        assert {shop.answer() for _ in range(20)} == {"blue"}


def test_a_reload_refused_and_healed(tmp_path: Path, kind: str) -> None:
    """A new app's address is somebody else's: it alone waits, and comes in by itself when it is free."""
    with opened(tmp_path, kind=kind) as shop, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        shop.register("late")
        with shop.load(**HELD):
            shop.apps.append(shop.app("late", port))
            shop.hup()
            shop.bgctl("init", "late", "--live", "green", check=True)
            shop.until_because("reload-failed", "late")
            assert f"cannot bind 127.0.0.1:{port}" in shop.report("late")["detail"]
            for colour in ("green", "blue"):
                shop.put(colour)
                shop.until_serving(colour)
                assert shop.report()["serving"]["via"] == "runtime"
            assert shop.because("late") == "reload-failed"
            taken.close()

            shop.until_serving("green", "late", within_s=40)
            assert shop.answer(port) == "green"


def test_lines_that_fail_at_the_start_only(tmp_path: Path) -> None:
    """What passes the check but not the start is undone: the app keeps its block, its neighbour moves on.

    On nginx no app's lines may hold an address.
    """
    with opened(tmp_path) as shop, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        other = free_port()
        shop.apps.append(shop.app("other", other))
        shop.hup()
        shop.register("other")
        shop.bgctl("init", "other", "--live", "blue", check=True)
        shop.until_serving("blue", "other")
        with shop.load(**HELD):
            shop.apps[0] = shop.app("shop", shop.port, f'lines = ["bind 127.0.0.1:{taken.getsockname()[1]}"]')
            shop.apps[1] = shop.app("other", other, 'lines = ["http-response set-header x-new 1"]')
            shop.hup()
            shop.until_because("reload-failed", within_s=30)
            for app in ("shop", "other"):
                shop.put("green", app)
                shop.until_serving("green", app)
            assert (shop.answer(), shop.answer(other)) == ("green", "green")
            eventually(lambda: "x-new 1" in part(shop), "the neighbour's lines are in", within_s=30)
            assert f"bind 127.0.0.1:{taken.getsockname()[1]}" not in part(shop)
            shop.apps[0] = shop.app("shop", shop.port)
            shop.hup()

            shop.until_well(within_s=30)


def part(shop: Shop) -> str:
    """bgd's part, as a restart of the proxy would load it."""
    return str(shop.proxy.part.read_text())


@soak_on_nginx
def test_servers_that_the_proxy_still_takes_for_down(tmp_path: Path, kind: str) -> None:
    """Green was dead and is well again by own probes: the flip waits for no check of the proxy's."""
    with opened(tmp_path, kind=kind) as shop, shop.load() as load:
        for round_number in range(3):
            target = "green" if round_number % 2 == 0 else "blue"
            for address in shop.backends.of(target):
                shop.backends.order(f"fail {address}")
            eventually(lambda target=target: verdict(shop, target) == "down", "it is down")
            for address in shop.backends.of(target):
                shop.backends.order(f"heal {address}")
            shop.put(target)

            shop.until_serving(target)
        assert load.progress["lost"] == 0


def verdict(shop: Shop, colour: str) -> str:
    return str(shop.report()["colours"][colour]["verdict"])


@pytest.mark.soak
def test_the_proxy_killed_many_times_during_flips(tmp_path: Path, kind: str) -> None:
    """The same fifty times, at other moments."""
    draw = random.Random(4)
    with opened(tmp_path, kind=kind) as shop:
        for _ in range(50):
            with flipping(shop):
                threading.Event().wait(draw.uniform(0, 0.4))
                shop.proxy.restart()
            shop.until_well(within_s=60)
