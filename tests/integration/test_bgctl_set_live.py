"""bgctl set-live, init and wait on a real Consul; other nodes' daemons are stood in for."""

import itertools
import json
import re
from collections.abc import Iterator

import pytest

from tests.integration.bgctl_world import World
from tests.integration.consul import ConsulServer
from tests.integration.waiting import eventually

NOT_READY = ("down", "target-not-ready: 0/3 ready, 3 needed")
_NUMBERS = itertools.count()


@pytest.fixture
def world(calm_consul: ConsulServer) -> Iterator[World]:
    world = World(calm_consul, f"flip-{next(_NUMBERS)}")
    yield world
    world.close()


@pytest.fixture
def fleet(world: World) -> World:
    """Two nodes that serve blue, of the key's generation."""
    world.live("blue")
    world.member("lb-1")
    world.member("lb-2")
    world.prepares("lb-1", "lb-2")
    return world


def test_a_flip_ends_when_every_member_has_proved_it(fleet: World):
    """set-live writes the key and exits 0 when every member has proved the new generation."""
    fleet.follows("lb-1", "lb-2")

    ran = fleet.bgctl("set-live", "green", "--reason", "ticket 4711")

    assert ran.exit == 0, ran.err
    assert re.search(r"green 2\.5\.0 live on 2/2 · skew .* ms · key to last node .* ms", ran.out)
    assert "lb-2  green proved" in ran.err
    assert fleet.get("apps/shop/live") == "green"


def test_a_flip_by_reload_says_what_is_with_open_connections(fleet: World):
    """Where a member had to reload its proxy, people are told that open connections stay where they were."""
    fleet.follows("lb-1", "lb-2", via="reload")

    ran = fleet.bgctl("set-live", "green")

    assert ran.exit == 0, ran.err
    assert "lb-1, lb-2 flipped by a reload: connections that were open stay where they were" in ran.err


def test_the_order_says_who_and_why(fleet: World):
    """The order stands beside the key, of the same transaction, with author, reason and release."""
    ran = fleet.bgctl("set-live", "green", "--no-wait", "--reason", "ticket 4711", SUDO_USER="alice")

    assert ran.exit == 0, ran.err
    order = json.loads(fleet.get("apps/shop/order") or "")
    assert order["by"].startswith("alice@")
    assert (order["reason"], order["release"], order["kind"]) == ("ticket 4711", "2.5.0", "flip")
    assert fleet.index("apps/shop/order") == fleet.index("apps/shop/live")


def test_the_order_follows_on_the_highest_generation(fleet: World):
    """An order names the highest generation of all reports, so that it wins over a rewound store."""
    fleet.tells("lb-2", "blue", 10**9)

    fleet.bgctl("set-live", "green", "--no-wait")

    assert json.loads(fleet.get("apps/shop/order") or "")["after"] == 10**9


def test_a_colour_that_is_not_ready_is_refused(fleet: World):
    """A colour that one member finds not ready is refused with 4, its reason, and an untouched key."""
    before = fleet.index("apps/shop/live")
    fleet.tells("lb-2", green=NOT_READY)

    ran = fleet.bgctl("-o", "json", "set-live", "green")

    assert ran.exit == 4
    error = ran.json["error"]
    assert (error["exit"], error["because"]) == (4, "target-not-ready")
    assert "lb-2" in error["detail"]
    assert "wait --ready green" in error["cure"]
    assert fleet.index("apps/shop/live") == before


def test_a_pause_stops_no_flip_and_is_said(fleet: World):
    """A flip of a paused app is made, and the operator told that nothing would revert it."""
    fleet.put("apps/shop/pause", "deploy freeze")

    ran = fleet.bgctl("set-live", "green", "--no-wait")

    assert ran.exit == 0, ran.err
    assert "shop is paused (deploy freeze)" in ran.err


def test_force_skips_the_gates(fleet: World):
    """With --force a colour that is not ready is ordered all the same, and the order says so."""
    fleet.tells("lb-2", green=NOT_READY)

    ran = fleet.bgctl("set-live", "green", "--force", "--no-wait")

    assert ran.exit == 0, ran.err
    assert json.loads(fleet.get("apps/shop/order") or "")["force"] is True


def test_a_silent_member_is_refused(fleet: World):
    """A silent member means exit 3, node-silent, and an untouched key."""
    fleet.dies("lb-2")

    ran = fleet.bgctl("-o", "json", "set-live", "green")

    assert ran.exit == 3
    assert ran.json["error"]["because"] == "node-silent"
    assert fleet.get("apps/shop/live") == "blue"


def test_a_silent_member_is_not_waited_for_when_forced(fleet: World):
    """Forced past a silent member, the flip is made, and exit 3 names who could not prove it."""
    fleet.dies("lb-2")
    fleet.follows("lb-1")

    ran = fleet.bgctl("-o", "json", "set-live", "green", "--force")

    assert ran.exit == 3
    assert "lb-2 (node-silent" in ran.json["error"]["detail"]
    assert fleet.get("apps/shop/live") == "green"


def test_unknown_is_waited_for(fleet: World):
    """A member that does not know yet is waited for, and its yes lets the flip go on."""
    fleet.tells("lb-2", green=("unknown", None), because="starting")
    with fleet.started("set-live", "green", "--no-wait") as running:
        running.until_said("lb-2  does not know green yet")
        assert fleet.get("apps/shop/live") == "blue"
        fleet.tells("lb-2")

        assert running.end().exit == 0
    assert fleet.get("apps/shop/live") == "green"


def test_unknown_for_too_long_writes_nothing(fleet: World):
    """A member that does not know until the timeout means exit 3 and an untouched key."""
    fleet.tells("lb-2", green=("unknown", None), because="starting")

    ran = fleet.bgctl("set-live", "green", "--timeout", "300ms")

    assert ran.exit == 3
    assert "nothing was written" in ran.err
    assert fleet.get("apps/shop/live") == "blue"


def test_an_app_without_a_member_is_refused(world: World):
    """An app that no node has reported about means exit 3, and the cure asks whether bgd runs."""
    world.live("blue")

    ran = world.bgctl("set-live", "green")

    assert ran.exit == 3
    assert "is bgd running" in ran.err
    assert world.get("apps/shop/live") == "blue"


def test_already_live_writes_nothing(fleet: World):
    """A colour that is named and proved by all is done at once: exit 0, nothing written."""
    before = fleet.index("apps/shop/live")

    ran = fleet.bgctl("-o", "json", "set-live", "blue")

    assert ran.exit == 0
    assert ran.json["changed"] is False
    assert ran.json["generation"] == before == fleet.index("apps/shop/live")


def test_named_but_not_proved_is_a_new_generation(fleet: World):
    """A colour that is named but not proved everywhere is ordered anew, as a new generation."""
    before = fleet.index("apps/shop/live")
    fleet.tells("lb-2", "blue", proved=False)
    fleet.follows("lb-1", "lb-2")

    ran = fleet.bgctl("-o", "json", "set-live", "blue")

    assert ran.exit == 0, ran.err
    assert ran.json["generation"] > before


def test_not_proved_in_time(fleet: World):
    """A member that does not prove in time ends with 3 and who has; what it said before is no reason."""
    fleet.follows("lb-1")

    ran = fleet.bgctl("-o", "json", "set-live", "green", "--timeout", "5s")

    assert ran.exit == 3
    assert ran.json["error"]["because"] == "node-silent"
    assert "proved by lb-1; not proved by lb-2 (node-silent" in ran.json["error"]["detail"]
    assert "written and stands" in ran.json["error"]["detail"]


def test_a_later_wish_wins(fleet: World):
    """Overtaken by somebody else's wish while it waits, set-live ends with 4, superseded."""
    with fleet.started("-o", "json", "set-live", "green") as running:
        running.until_said("is wished")
        fleet.live("blue")
        ran = running.end()

    assert ran.exit == 4
    assert ran.json["error"]["because"] == "superseded"
    assert "by consul" in ran.json["error"]["detail"]


def test_consul_lost_while_it_waits(consul_server: ConsulServer):
    """Consul lost after the key was written is exit 6 at the timeout, and says that the wish stands."""
    world = World(consul_server, "lost")
    world.live("blue")
    world.member("lb-1")
    world.prepares("lb-1")

    with world.started("-o", "json", "set-live", "green", "--timeout", "10s") as running:
        running.until_said("is wished")
        consul_server.kill()
        ran = running.end()

    assert ran.exit == 6
    assert "is written and stands" in ran.json["error"]["detail"]


def test_interrupted_before_it_wrote(fleet: World):
    """Interrupted before the key is written, it says that nothing was written."""
    fleet.tells("lb-2", green=("unknown", None))
    with fleet.started("set-live", "green") as running:
        running.until_said("does not know")
        running.interrupt()
        ran = running.end()

    assert ran.exit == 130
    assert "untouched" in ran.err
    assert fleet.get("apps/shop/live") == "blue"


def test_interrupted_after_it_wrote(fleet: World):
    """Interrupted while it waits, it says what is written, who has proved it and who has not."""
    fleet.follows("lb-1")
    with fleet.started("set-live", "green") as running:
        running.until_said("lb-1  green proved")
        running.interrupt()
        ran = running.end()

    assert ran.exit == 130
    assert "is written" in ran.err
    assert "proved by lb-1; not yet by lb-2" in ran.err


def test_a_deleted_key_can_be_named_anew(fleet: World):
    """A key that was deleted is written anew by set-live, as the nodes still are."""
    fleet.consul.delete(f"{fleet.prefix}/apps/shop/live")

    ran = fleet.bgctl("set-live", "green", "--no-wait")

    assert ran.exit == 0, ran.err
    assert fleet.get("apps/shop/live") == "green"


def test_a_bad_value_can_be_written_over(fleet: World):
    """A key that holds nonsense is written over by set-live."""
    fleet.live("purple")

    assert fleet.bgctl("set-live", "green", "--no-wait").exit == 0
    assert fleet.get("apps/shop/live") == "green"


def test_init_writes_the_first_keys(world: World):
    """init writes key and order of one generation, and set-live of the same is then known."""
    ran = world.bgctl("-o", "json", "init", "shop", "--live", "blue")

    assert (ran.exit, ran.json["changed"]) == (0, True)
    assert world.get("apps/shop/live") == "blue"
    assert json.loads(world.get("apps/shop/order") or "")["kind"] == "init"


def test_init_never_changes_a_key(world: World):
    """init of a key that exists is 0 when it names that colour, else 4; it stays as it is."""
    before = world.live("blue")

    assert world.bgctl("init", "shop", "--live", "blue").exit == 0
    assert world.bgctl("init", "shop", "--live", "green").exit == 4
    assert world.index("apps/shop/live") == before


def test_init_refuses_a_name_that_is_none(world: World):
    """An app's name that Consul or the proxy could not carry is refused with how to write it."""
    ran = world.bgctl("init", "My Shop", "--live", "blue")

    assert ran.exit == 2
    assert "a-z" in ran.err


def test_wait_ready(fleet: World):
    """wait --ready ends when every member would take the flip; not in time is 3."""
    fleet.tells("lb-2", green=NOT_READY)
    assert fleet.bgctl("wait", "--ready", "green", "--timeout", "300ms").exit == 3

    with fleet.started("wait", "--ready", "green") as running:
        running.until_said("lb-2  green is not ready")
        fleet.tells("lb-2")
        assert running.end().exit == 0


def test_wait_converged(fleet: World):
    """wait --converged ends when every member has proved what the key names, also when one comes back."""
    fleet.dies("lb-2")
    assert fleet.bgctl("wait", "--converged", "--timeout", "300ms").exit == 3

    with fleet.started("wait", "--converged") as running:
        running.until_said("lb-2  .*node-silent")
        fleet.lives("lb-2")
        assert running.end().exit == 0


def test_force_without_a_member_writes(world: World):
    """Forced, an app without a member has its key written, and nobody is waited for."""
    world.live("blue")

    ran = world.bgctl("set-live", "green", "--force")

    assert ran.exit == 0
    eventually(lambda: world.get("apps/shop/live") == "green", "the key is written")
