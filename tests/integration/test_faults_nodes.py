"""Two load balancers and one Consul: both follow, and so does one that was away."""

from pathlib import Path

from tests.integration.shop import opened, second_node, soak_on_nginx
from tests.integration.waiting import eventually


@soak_on_nginx
def test_both_nodes_follow(tmp_path: Path, kind: str) -> None:
    """One order flips both; bgctl returns when each has proved it; no request is lost on either."""
    with opened(tmp_path, kind=kind) as shop, second_node(shop) as other:
        other.bgd.start()
        other.until_serving("blue")
        eventually(lambda: shop.consul.get("bluegreen/alive/lb-2"), "both live")
        with shop.load(kept=12, new=12), other.load(kept=12, new=12):
            for colour in ("green", "blue", "green"):
                shop.bgctl("set-live", colour, check=True)

                assert (shop.answer(), other.answer()) == (colour, colour)


@soak_on_nginx
def test_a_silent_node_stops_an_order(tmp_path: Path, kind: str) -> None:
    """With one daemon dead an order ends with 3 and the key untouched; a plain edit flips who lives."""
    with opened(tmp_path, kind=kind) as shop, second_node(shop) as other:
        other.bgd.start()
        other.until_serving("blue")
        other.bgd.stop()
        eventually(lambda: not shop.consul.get("bluegreen/alive/lb-2"), "lb-2 has said goodbye")
        refused = shop.bgctl("set-live", "green")

        assert refused.returncode == 3, refused.stderr
        assert "node-silent" in refused.stderr
        assert shop.consul.get("bluegreen/apps/shop/live") == "blue"

        shop.put("green")
        shop.until_serving("green")
        assert other.answer() == "blue"
        for address in shop.backends.of("green")[:1]:
            shop.backends.order(f"fail {address}")
        eventually(lambda: shop.report()["colours"]["green"]["verdict"] == "weak", "green is weak")
        other.bgd = other.daemon()
        other.bgd.start()

        other.until_serving("green")  # the gates were passed once, for the fleet
        assert other.answer() == "green"


@soak_on_nginx
def test_the_key_deleted_while_one_is_away(tmp_path: Path, kind: str) -> None:
    """The key says nothing any more: who comes late follows what the living have proved, also a new node."""
    with opened(tmp_path, kind=kind) as shop, second_node(shop) as other, second_node(shop, "lb-3") as third:
        other.bgd.start()
        other.until_serving("blue")
        other.bgd.stop()
        shop.put("green")
        shop.until_serving("green")
        shop.consul.delete("bluegreen/apps/shop/live")
        shop.until_because("no-live-key")
        for late in (other, third):
            late.bgd = late.daemon()
            late.bgd.start()
        for late in (other, third):
            late.until_serving("green")

            assert late.because() == "no-live-key"
            assert late.answer() == "green"
        assert shop.answer() == "green"
