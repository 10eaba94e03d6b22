"""bgctl with a real bgd and a real proxy: what is ordered happens, and what happens is told."""

import json
from pathlib import Path

from tests.integration.bgctl_world import World
from tests.integration.revert_world import goes_bad, good, shop_of, until_good
from tests.integration.waiting import eventually


def test_a_flip_that_fails_and_one_that_a_person_takes_back(tmp_path: Path) -> None:
    """set-live --bake hears of the daemons' revert; once lifted, the release bakes, and revert leaves it."""
    with shop_of(tmp_path, "haproxy", probation="2s") as shop:
        world = World(shop.consul, "bluegreen")
        until_good(shop, "blue")
        with world.started("-o", "json", "set-live", "green", "--bake") as running:
            running.until_said("green proved")
            goes_bad(shop, "fails")
            ran = running.end()
        assert (ran.exit, ran.json["error"]["because"]) == (5, "reverting"), ran
        assert "rejected: 2.5.0" in ran.json["error"]["detail"]
        for address in shop.backends.of("green"):
            shop.backends.order(f"heal {address}")

        assert world.bgctl("wait", "--ready", "green").exit == 0
        again = world.bgctl("-o", "json", "set-live", "green")
        assert (again.exit, again.json["error"]["because"]) == (4, "release-rejected")
        assert world.bgctl("unreject", "2.5.0").exit == 0
        assert world.bgctl("set-live", "green", "--bake").exit == 0
        assert good(shop, "green")
        assert "way back: blue 2.4.0, 2/2 healthy" in world.bgctl("status", "shop").out

        ran = world.bgctl("revert", "--reason", "carts are lost")
        assert ran.exit == 0, ran.err
        assert shop.answer() == "blue"
        assert not good(shop, "green")
        told = [None, "reverted", "superseded", "reverted", "confirmed"]
        eventually(lambda: outcomes(world) == told, f"{told} is told, newest first")
        assert json.loads(world.get("apps/shop/rejected/2.5.0") or "")["detail"] == "carts are lost"


def outcomes(world: World) -> list[str | None]:
    return [event["outcome"] for event in world.bgctl("-o", "json", "history").json["history"]]
