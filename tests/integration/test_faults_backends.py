"""Backends that die one by one: the others serve, whatever else is done meanwhile."""

from pathlib import Path

from tests.integration.shop import Shop, opened, soak_on_nginx
from tests.integration.waiting import eventually

HALF = 'flip = { min_healthy = "50%" }'


def half_dead(shop: Shop, colour: str) -> None:
    """One of the colour's two backends answers 500, and both bgd and the proxy know."""
    sick = shop.backends.of(colour)[0]
    shop.backends.order(f"fail {sick}")
    eventually(lambda: shop.report()["colours"][colour]["healthy"] == 1, "one of two is healthy")
    eventually(lambda: shop.proxy.holds_down(sick, f"shop_{colour}"), "the proxy holds it down")


@soak_on_nginx
def test_reloads_with_a_dead_backend(tmp_path: Path, kind: str) -> None:
    """A new worker takes every server for up: not one request may go to the one that bgd sees down."""
    with opened(tmp_path, kind=kind, start=False) as shop:
        shop.apps = [shop.app("shop", shop.port, HALF)]
        shop.bgd = shop.daemon()
        shop.open()
        half_dead(shop, "blue")
        with shop.load():
            for number in range(5 if kind == "haproxy" else 2):
                reloads = len(shop.bgd.said("reloaded"))
                shop.turned(number, HALF)
                eventually(lambda reloads=reloads: len(shop.bgd.said("reloaded")) > reloads, "it is reloaded")


@soak_on_nginx
def test_flips_with_a_dead_backend(tmp_path: Path, kind: str) -> None:
    """Where the gate allows a colour with a dead backend, no request meets it."""
    with opened(tmp_path, kind=kind, start=False) as shop:
        shop.apps = [shop.app("shop", shop.port, HALF)]
        shop.bgd = shop.daemon()
        shop.open()
        half_dead(shop, "green")
        with shop.load():
            for colour in ("green", "blue", "green"):
                shop.put(colour)
                shop.until_serving(colour)


@soak_on_nginx
def test_live_moves_to_other_places_at_once(tmp_path: Path, kind: str) -> None:
    """All of live is replaced in the catalog: the old serve until the first of the new has been probed."""
    slow = 'probe = { interval = "500ms", timeout = "400ms", rise = 2, fall = 3 }'
    with opened(tmp_path, ("blue", "blue", "blue", "green"), kind=kind, start=False) as shop:
        old, *new = shop.backends.of("blue")
        shop.apps = [shop.app("shop", shop.port, probe=slow)]
        shop.bgd = shop.daemon()
        shop.open()
        for address in new:
            shop.leave(address)
        eventually(lambda: shop.proxy.servers()["shop_blue"] == {(old, 100)}, "one serves")
        with shop.load():
            shop.leave(old)
            for address in new:
                shop.join("blue", address)
            wanted = {(address, 100) for address in new}
            eventually(lambda: shop.proxy.servers().get("shop_blue") == wanted, "the new ones serve")


@soak_on_nginx
def test_a_lost_state_with_slow_probes(tmp_path: Path, kind: str) -> None:
    """A bgd that remembers nothing empties nothing while it has not probed anything yet."""
    slow = 'probe = { interval = "1s", timeout = "800ms", rise = 2, fall = 3 }'
    with opened(tmp_path, kind=kind, start=False) as shop:
        shop.apps = [shop.app("shop", shop.port, probe=slow)]
        shop.bgd = shop.daemon()
        shop.open()
        servers = shop.proxy.servers()
        with shop.load():
            shop.bgd.kill()
            (shop.folder / "state" / "apps" / "shop.json").unlink()
            shop.bgd = shop.daemon()
            shop.bgd.start()
            shop.until_serving("blue")
            shop.until_well()
        assert shop.proxy.servers() == servers
