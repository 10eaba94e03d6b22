"""Both phases with real daemons and proxies: everywhere or nowhere."""

import json
from pathlib import Path
from typing import Any

from tests.integration.bgctl_world import World
from tests.integration.revert_nodes_world import Nodes, nodes


def order(world: World) -> Any:
    return json.loads(world.get("apps/shop/order") or "")


def answers(fleet: Nodes) -> list[str]:
    """What customers get, node by node."""
    return [node.answer() for node in fleet.all]


def test_everywhere_or_nowhere(tmp_path: Path) -> None:
    """Two nodes say yes, flip and prove; where one of them has lost its proxy, both stay where they are."""
    with nodes(tmp_path, 2, far=0) as fleet:
        world, names = World(fleet.first.consul, "bluegreen"), [node.node for node in fleet.all]
        dry = world.bgctl("-o", "json", "set-live", "blue", "--dry-run")
        assert dry.exit == 0, dry.err
        assert [(each["node"], each["ok"]) for each in dry.json["members"]] == [
            (name, True) for name in names
        ]
        gates = {gate["gate"]: gate["detail"] for gate in dry.json["members"][0]["gates"]}
        assert (gates["backends"], gates["config"]) == ("2/2 healthy; green has 2/2", "flips by map")
        assert answers(fleet) == ["green", "green"]

        ran = world.bgctl("-o", "json", "set-live", "blue")
        assert ran.exit == 0, ran.err
        assert answers(fleet) == ["blue", "blue"]
        assert order(world)["prepared"] == names
        assert 0 <= ran.json["skew_ms"] <= ran.json["key_to_last_ms"]
        assert ran.json["upper_bounds"] is False

        fleet.near[1].proxy.kill()
        fleet.near[1].until_because("proxy-lost")
        ran = world.bgctl("-o", "json", "set-live", "green")
        assert (ran.exit, ran.json["error"]["because"]) == (4, "proxy-lost"), ran
        assert f"{names[1]} (proxy)" in ran.json["error"]["detail"]
        assert fleet.first.answer() == "blue"
        assert (world.get("apps/shop/live"), world.get("apps/shop/prepare")) == ("blue", None)


def test_without_a_daemon_that_is_stopped(tmp_path: Path) -> None:
    """A stopped daemon prevents a flip until it is left out; its node follows by itself when it is back."""
    with nodes(tmp_path, 2, far=0) as fleet:
        world, gone = World(fleet.first.consul, "bluegreen"), fleet.near[1]
        gone.bgd.stop()
        ran = world.bgctl("-o", "json", "set-live", "blue")
        assert (ran.exit, ran.json["error"]["because"]) == (3, "node-silent"), ran
        assert answers(fleet) == ["green", "green"]

        ran = world.bgctl("-o", "json", "set-live", "blue", "--without", gone.node)
        assert ran.exit == 3, ran
        assert f"proved by {fleet.first.node}; not proved by {gone.node}" in ran.json["error"]["detail"]
        assert answers(fleet) == ["blue", "green"]
        assert order(world)["prepared"] == [fleet.first.node]

        gone.bgd = gone.daemon()
        gone.bgd.start()
        assert world.bgctl("wait", "--converged").exit == 0
        assert answers(fleet) == ["blue", "blue"]
