"""Backends that die one by one: the others serve, whatever else is done meanwhile."""

from pathlib import Path

from tests.integration.shop import Shop, opened
from tests.integration.waiting import eventually

HALF = 'flip = { min_healthy = "50%" }'


def half_dead(shop: Shop, colour: str) -> None:
    """One of the colour's two backends answers 500, and both bgd and HAProxy's own checks know."""
    sick = shop.backends.of(colour)[0]
    shop.backends.order(f"fail {sick}")
    eventually(lambda: shop.report()["colours"][colour]["healthy"] == 1, "one of two is healthy")
    rows = f"show servers state shop_{colour}"
    eventually(lambda: f"{sick} 127.0.0.1 0 " in shop.haproxy.ask(rows), "HAProxy holds it down")


def test_reloads_with_a_dead_backend(tmp_path: Path) -> None:
    """A new worker takes every server for up: not one request may go to the one that bgd sees down."""
    with opened(tmp_path, start=False) as shop:
        shop.apps = [shop.app("shop", shop.port, HALF)]
        shop.bgd = shop.daemon()
        shop.open()
        half_dead(shop, "blue")
        with shop.load():
            for number in range(5):
                reloads = len(shop.bgd.said("reloaded"))
                line = f'lines = ["http-response set-header x-turn {number}"]'
                shop.apps = [shop.app("shop", shop.port, HALF, line)]
                shop.hup()
                eventually(lambda reloads=reloads: len(shop.bgd.said("reloaded")) > reloads, "it is reloaded")


def test_flips_with_a_dead_backend(tmp_path: Path) -> None:
    """Where the gate allows a colour with a dead backend, no request meets it."""
    with opened(tmp_path, start=False) as shop:
        shop.apps = [shop.app("shop", shop.port, HALF)]
        shop.bgd = shop.daemon()
        shop.open()
        half_dead(shop, "green")
        with shop.load():
            for colour in ("green", "blue", "green"):
                shop.put(colour)
                shop.until_serving(colour)


def test_live_moves_to_other_places_at_once(tmp_path: Path) -> None:
    """All of live is replaced in the catalog: the old serve until the first of the new has been probed."""
    slow = 'probe = { interval = "500ms", timeout = "400ms", rise = 2, fall = 3 }'
    with opened(tmp_path, ("blue", "blue", "blue", "green"), start=False) as shop:
        old, *new = shop.backends.of("blue")
        shop.apps = [shop.app("shop", shop.port, probe=slow)]
        shop.bgd = shop.daemon()
        shop.open()
        for address in new:
            shop.leave(address)
        eventually(lambda: shop.haproxy.servers()["shop_blue"] == {(old, 100)}, "one serves")
        with shop.load():
            shop.leave(old)
            for address in new:
                shop.join("blue", address)
            wanted = {(address, 100) for address in new}
            eventually(lambda: shop.haproxy.servers().get("shop_blue") == wanted, "the new ones serve")


def test_a_lost_state_with_slow_probes(tmp_path: Path) -> None:
    """A bgd that remembers nothing empties nothing while it has not probed anything yet."""
    slow = 'probe = { interval = "1s", timeout = "800ms", rise = 2, fall = 3 }'
    with opened(tmp_path, start=False) as shop:
        shop.apps = [shop.app("shop", shop.port, probe=slow)]
        shop.bgd = shop.daemon()
        shop.open()
        servers = shop.haproxy.servers()
        with shop.load():
            shop.bgd.kill()
            (shop.folder / "state" / "apps" / "shop.json").unlink()
            shop.bgd = shop.daemon()
            shop.bgd.start()
            shop.until_serving("blue")
            shop.until_because("converged")
        assert shop.haproxy.servers() == servers
