"""SIGHUP: what is right counts at once, what is wrong leaves the old, and traffic never notices."""

import json
import socket
from pathlib import Path
from typing import Any

from tests.integration.haproxy import free_port
from tests.integration.shop import FAST_PROBE, Shop, opened, soak_on_nginx
from tests.integration.waiting import eventually

HASTY = FAST_PROBE.replace("800ms", "80ms")


@soak_on_nginx
def test_probe_settings_count_at_once(tmp_path: Path, kind: str) -> None:
    """A slow colour is down for a hasty probe and up for a patient one, as soon as that is asked for."""
    with opened(tmp_path, kind=kind) as shop, shop.load():
        for address in shop.backends.of("green"):
            shop.backends.order(f"slow {address} 150")
        shop.apps = [shop.app("shop", shop.port, probe=HASTY)]
        shop.hup()
        eventually(lambda: shop.report()["colours"]["green"]["verdict"] == "down", "green is down")
        shop.put("green")
        shop.until_because("target-not-ready")
        shop.apps = [shop.app("shop", shop.port)]
        shop.hup()

        shop.until_serving("green")
        shop.until_well()


@soak_on_nginx
def test_apps_added_removed_and_renamed(tmp_path: Path, kind: str) -> None:
    """Each by one loss-free reload; what is gone leaves proxy, disk, status and Consul."""
    with opened(tmp_path, kind=kind) as shop, shop.load():
        kept, port = shop.apps[0], free_port()
        shop.register("other")
        shop.apps = [kept, shop.app("other", port)]
        shop.hup()
        shop.bgctl("init", "other", "--live", "green", check=True)
        shop.until_serving("green", "other")
        assert shop.answer(port) == "green"

        shop.register("books")
        shop.apps = [kept, shop.app("books", port)]
        shop.bgctl("init", "books", "--live", "blue", check=True)
        shop.hup()
        shop.until_serving("blue", "books")
        eventually(lambda: shop.answer(port) == "blue", "the new name answers")
        gone(shop, "other")

        shop.apps = [kept]
        shop.hup()
        eventually(lambda: not listens(port), "nobody listens any more")
        gone(shop, "books")
        shop.until_well()


def gone(shop: Shop, app: str) -> None:
    eventually(lambda: not shop.proxy.has(app), "it has left proxy and file")
    eventually(lambda: not shop.report(app), "it is not in the status")
    eventually(lambda: not (shop.folder / "state" / "apps" / f"{app}.json").exists(), "it is not on disk")
    told = f"bluegreen/nodes/{app}/lb-1"
    eventually(
        lambda: '"gone":true' in (shop.consul.get(told) or "").replace(" ", ""), "its membership has ended"
    )


def membership(shop: Shop, app: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(shop.consul.get(f"bluegreen/nodes/{app}/lb-1") or "{}")
    return told


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@soak_on_nginx
def test_a_broken_file_is_refused(tmp_path: Path, kind: str) -> None:
    """Torn, nonsense, or what only a restart can change: each is said with its place, and nothing changes."""
    with opened(tmp_path, kind=kind) as shop, shop.load():
        right, generation = shop.text(), shop.proxy.generation()
        broken = {
            right.replace('node = "lb-1"', 'node = "lb-2"'): "node",
            right[: right.index('"lb-1"') + 3]: "line",
            right.replace("rise = 2", "rise = -2"): "probe.rise",
            right.replace('name = "shop"', 'nmae = "shop"'): "nmae",
            "\n": "app",
        }
        for number, (text, place) in enumerate(broken.items(), start=1):
            shop.hup(text)
            eventually(lambda number=number: len(refusals(shop)) == number, "it is refused")
            assert place in refusals(shop)[-1]
        shop.hup(right)
        eventually(lambda: shop.bgd.said("configuration taken"), "the right one is taken")
        shop.put("green")

        shop.until_serving("green")
        assert shop.proxy.generation() == generation


def refusals(shop: Shop) -> list[str]:
    return [str(line["problems"]) for line in shop.bgd.said("configuration refused, the old one stays")]
