"""What Consul's catalog may hold: names for addresses, lies, and nothing for a while."""

import json
from pathlib import Path

from tests.integration.shop import Shop, opened, soak_on_nginx
from tests.integration.waiting import eventually

EVIL = (
    "1.2.3.4\n    server evil 6.6.6.6:80",
    "1.2.3.4 check disabled",
    "$(reboot)",
    "shop;rm -rf",
    "1.2.3.4#",
)


@soak_on_nginx
def test_evil_addresses_are_left_out(tmp_path: Path, kind: str) -> None:
    """What is no address gets neither into the proxy nor in a flip's way; log, report and bgctl show it."""
    with opened(tmp_path, kind=kind) as shop, shop.load():
        for number, address in enumerate(EVIL):
            enter(shop, f"evil-{number}", address)
        eventually(lambda: len(shop.report()["left_out"]) == len(EVIL), "all are left out")
        shop.put("green")
        shop.until_serving("green")

        assert "evil" not in shop.proxy.part.read_text()
        assert shop.proxy.servers()["shop_green"] == {(at, 100) for at in shop.backends.of("green")}
        assert "server evil" in str(shop.bgd.said("backends left out"))
        eventually(lambda: "left out: " in shop.bgctl("why", "shop").stdout, "bgctl shows it")
        assert "6.6.6.6:80" in shop.bgctl("why", "shop").stdout


def enter(shop: Shop, id: str, address: str) -> None:
    """Put an instance into the catalog itself, where no agent looks at it."""
    service = {"ID": id, "Service": "shop", "Address": address, "Port": 80, "Tags": ["green"]}
    service["Meta"] = {"version": "2.5.0"}
    body = {"Node": "elsewhere", "Address": "127.0.0.1", "Service": service}
    shop.consul.request("PUT", "/v1/catalog/register", json.dumps(body).encode())


@soak_on_nginx
def test_a_host_name_for_an_address(tmp_path: Path, kind: str) -> None:
    """A backend may be registered by name; it joins by one loss-free reload and serves."""
    with opened(tmp_path, ("blue", "blue", "green"), kind=kind, start=False) as shop:
        (green,) = shop.backends.of("green")
        for blue in shop.backends.of("blue"):
            shop.join("blue", blue)
        shop.bgd.start()
        shop.bgctl("init", "shop", "--live", "blue", check=True)
        shop.until_serving("blue")
        with shop.load():
            port = int(green.rpartition(":")[2])
            meta = {"version": "2.5.0"}
            shop.consul.register("shop", "by-name", "localhost", port, tags=["green"], meta=meta)
            eventually(lambda: shop.report()["colours"]["green"]["verdict"] == "up", "green is up")
            shop.put("green")
            shop.until_serving("green")

            assert shop.answer() == "green"
        assert f"localhost:{port}" in shop.proxy.part.read_text()


@soak_on_nginx
def test_all_of_live_vanishes_and_comes_back_elsewhere(tmp_path: Path, kind: str) -> None:
    """Deregistered for a while, then registered at other places: first kept, then followed."""
    with opened(tmp_path, ("blue", "blue", "blue", "green"), kind=kind) as shop:
        first, *later = shop.backends.of("blue")
        for address in later:
            shop.leave(address)
        eventually(lambda: shop.report()["colours"]["blue"]["registered"] == 1, "one is left")
        with shop.load():
            shop.leave(first)
            shop.until_because("live-weak")
            assert shop.answer() == "blue"
            for address in later:
                shop.join("blue", address)
            shop.until_well()
            wanted = {(address, 100) for address in later}
            eventually(lambda: shop.proxy.servers().get("shop_blue") == wanted, "they are followed")
