"""bgctl revert, --bake and what the daemons end, on a real Consul; the daemons are stood in for."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.bgctl_world import Ran, World
from tests.integration.consul import ConsulServer

_NUMBERS = itertools.count()
DOWN = ("down", "target-not-ready: 0/3 ready, 3 needed")
OVER = {"release": "2.5.0", "since": "2026-01-31T11:55:00Z", "over": True}


@pytest.fixture
def fleet(calm_consul: ConsulServer) -> Iterator[World]:
    """Two nodes that serve green; blue is known good."""
    world = World(calm_consul, f"revert-{next(_NUMBERS)}")
    world.live("green")
    good(world, "blue", "2.4.0")
    for node in ("lb-1", "lb-2"):
        world.member(node, "green")
    world.prepares("lb-1", "lb-2")
    yield world
    world.close()


def good(world: World, colour: str, release: str) -> None:
    record = {"schema": 1, "release": release, "generation": 3, "confirmed_at": "2026-01-31T11:00:00Z"}
    world.put(f"apps/shop/good/{colour}", record)


def reject(world: World, release: str) -> None:
    record = {"schema": 1, "release": release, "because": "reverting", "detail": "green is down: 503"}
    world.put(f"apps/shop/rejected/{release}", record)


def ends(world: World, kind: str, reason: str) -> None:
    """End the wish that stands as daemons do, with an order of the same transaction."""
    order = {"schema": 1, "kind": kind, "colour": "blue", "release": "2.4.0", "by": "bgd on lb-1"}
    order |= {"reason": reason, "after": world.index("apps/shop/live")}
    world.transact({"apps/shop/live": "blue", "apps/shop/order": json.dumps(order)})
    world.tells("lb-1", "blue")


def order(world: World) -> Any:
    return json.loads(world.get("apps/shop/order") or "")


def error(ran: Ran) -> tuple[int, str]:
    """Exit code and reason; they are told twice, and agree."""
    told = ran.json["error"]
    assert told["exit"] == ran.exit
    assert told["cure"]
    return ran.exit, told["because"]


def test_a_revert_is_the_daemons_own(fleet: World):
    """revert writes the order, the rejection and the outcome, and waits for every member's proof."""
    before = fleet.index("apps/shop/live")
    event = {"schema": 1, "what": "flip", "to": "green", "at": "2026-01-31T12:00:00Z", "outcome": None}
    fleet.put(f"history/shop/{before}", event)
    fleet.follows("lb-1", "lb-2")

    ran = fleet.bgctl("revert", "--reason", "carts are lost", SUDO_USER="alice")

    assert ran.exit == 0, ran.err
    assert "blue 2.4.0 live on 2/2" in ran.out
    assert "bgctl unreject 2.5.0" in ran.err
    told = order(fleet)
    assert (told["kind"], told["colour"], told["release"], told["force"]) == (
        "revert",
        "blue",
        "2.4.0",
        False,
    )
    assert (told["by"].split("@")[0], told["reason"], told["after"]) == ("alice", "carts are lost", before)
    assert json.loads(fleet.get("apps/shop/rejected/2.5.0") or "")["detail"] == "carts are lost"
    assert fleet.bgctl("history", "-o", "json").json["history"][0]["outcome"] == "reverted"


def test_a_pause_stops_no_person(fleet: World):
    """A revert that is ordered by a person is written over a pause."""
    fleet.put("apps/shop/pause", "freeze")

    ran = fleet.bgctl("-o", "json", "revert", "--no-wait")

    assert ran.exit == 0, ran.err
    assert ran.json["rejected"] == ["2.5.0"]
    assert fleet.get("apps/shop/live") == "blue"


def test_a_revert_needs_a_known_good_colour(fleet: World):
    """Where the other colour is not last known good, revert ends with 4, the key untouched, unless forced."""
    fleet.delete("apps/shop/good/blue")

    assert error(fleet.bgctl("-o", "json", "revert")) == (4, "revert-no-good")
    assert fleet.get("apps/shop/live") == "green"
    assert fleet.bgctl("revert", "--force", "--no-wait").exit == 0
    assert order(fleet)["force"] is True
    assert fleet.get("apps/shop/live") == "blue"


def test_insisting_on_a_rejected_release_lifts_its_rejection(fleet: World):
    """A revert that is forced to a rejected release, like a flip that is, takes the rejection away."""
    reject(fleet, "2.4.0")

    assert fleet.bgctl("revert", "--force", "--no-wait").exit == 0
    assert fleet.get("apps/shop/rejected/2.4.0") is None
    assert fleet.get("apps/shop/rejected/2.5.0")


def test_a_silent_member_is_not_waited_for(fleet: World):
    """A member that was silent already keeps nobody waiting: exit 3 names it when the others have proved."""
    fleet.dies("lb-2")
    fleet.follows("lb-1")

    ran = fleet.bgctl("-o", "json", "revert")

    assert error(ran) == (3, "node-silent")
    assert "proved by lb-1; not proved by lb-2" in ran.json["error"]["detail"]


def test_a_rejected_release_is_refused(fleet: World):
    """set-live of a release that was reverted ends with 4, the key untouched, unless forced or unrejected."""
    fleet.live("blue")
    reject(fleet, "2.5.0")
    before = fleet.index("apps/shop/live")

    ran = fleet.bgctl("-o", "json", "set-live", "green")

    assert error(ran) == (4, "release-rejected")
    assert "green is down: 503" in ran.json["error"]["detail"]
    assert "bgctl unreject 2.5.0" in ran.json["error"]["cure"]
    assert fleet.index("apps/shop/live") == before
    assert fleet.bgctl("set-live", "green", "--force", "--no-wait").exit == 0
    assert fleet.get("apps/shop/rejected/2.5.0") is None


def test_bake_ends_when_the_release_is_good(fleet: World):
    """set-live --bake exits 0 when the release that was ordered has become known good, and not before."""
    fleet.live("blue")
    fleet.follows("lb-1", "lb-2")
    with fleet.started("-o", "json", "set-live", "green", "--bake") as running:
        running.until_said("lb-2  green proved")
        for node in ("lb-1", "lb-2"):
            fleet.tells(node, "green", because="probation", detail="release 2.5.0")
        running.until_said("lb-2  probation: release 2.5.0")
        good(fleet, "green", "2.5.0")
        for node in ("lb-1", "lb-2"):
            fleet.tells(node, "green", steady=OVER)
        ran = running.end()

    assert ran.exit == 0, ran.err
    assert ran.json["confirmed"] is True


def test_what_has_served_for_long_bakes_no_longer(fleet: World):
    """set-live --bake ends at once when live is good and has been steady; what was good once bakes anew."""
    assert error(fleet.bgctl("-o", "json", "set-live", "green", "--bake", "--timeout", "100ms"))[0] == 3
    good(fleet, "green", "2.5.0")
    assert error(fleet.bgctl("-o", "json", "set-live", "green", "--bake", "--timeout", "100ms"))[0] == 3
    for node in ("lb-1", "lb-2"):
        fleet.tells(node, "green", steady=OVER)

    ran = fleet.bgctl("set-live", "green", "--bake")

    assert ran.exit == 0
    assert "2.5.0 is known good" in ran.out


def test_reverted_while_it_bakes(fleet: World):
    """A wish that the daemons revert while it is waited for is exit 5, with where to, why and what next."""
    with fleet.started("-o", "json", "set-live", "green", "--bake") as running:
        running.until_said("lb-2  converged")
        reject(fleet, "2.5.0")
        ends(fleet, "revert", "green is down: 503")
        ran = running.end()

    assert error(ran) == (5, "reverting")
    assert "was reverted to blue 2.4.0 by bgd on lb-1: green is down: 503" in ran.json["error"]["detail"]
    assert "bgctl unreject 2.5.0" in ran.json["error"]["cure"]


def test_another_release_ends_the_bake(fleet: World):
    """A release that replaces the one that bakes is not what was waited for: exit 4."""
    with fleet.started("-o", "json", "set-live", "green", "--bake") as running:
        running.until_said("lb-2  converged")
        for node in ("lb-1", "lb-2"):
            fleet.tells(node, "green", release="2.5.1")
        ran = running.end()

    assert error(ran) == (4, "superseded")
    assert "no longer runs 2.5.0 but 2.5.1" in ran.json["error"]["detail"]


@pytest.mark.parametrize("words", [["set-live", "green"], ["wait", "--converged"]])
@pytest.mark.parametrize(
    ("kind", "reason", "expected"),
    [
        ("revert", "green is down: 503", (5, "reverting")),
        ("declined", "wish-expired: not taken for 600 s", (4, "wish-expired")),
    ],
)
def test_what_the_daemons_end_is_told(
    fleet: World, words: list[str], kind: str, reason: str, expected: tuple[int, str]
):
    """Whoever waits for a wish that is reverted hears it with 5; that is declined, with 4 and its reason."""
    fleet.tells("lb-2", "green", proved=False)
    with fleet.started("-o", "json", *words) as running:
        running.until_said("lb-2  serves green")
        ends(fleet, kind, reason)
        ran = running.end()

    assert error(ran) == expected
    assert "bgd on lb-1" in ran.json["error"]["detail"]


def test_what_all_refuse_is_not_waited_for(fleet: World):
    """A wish that every living member refuses ends the wait at once with 4, and their reason."""
    fleet.live("blue")
    fleet.tells("lb-1", "blue")
    fleet.tells("lb-2", "blue")
    with fleet.started("-o", "json", "set-live", "green") as running:
        running.until_said("is wished")
        wish, told = fleet.index("apps/shop/live"), {"because": "wish-expired", "detail": "runs 2.5.1"}
        for node in ("lb-1", "lb-2"):
            fleet.tells(node, "blue", wish - 1, desired=wish, **told)
        ran = running.end()

    assert error(ran) == (4, "wish-expired")
    assert "lb-2 (wish-expired: runs 2.5.1)" in ran.json["error"]["detail"]


def test_a_redeploy_in_place_is_asked_for_once_more(fleet: World):
    """Naming a served colour whose release changes on the way is repeated once, for the release that is."""
    before = fleet.index("apps/shop/live")
    fleet.tells("lb-2", "green", proved=False)
    with fleet.started("-o", "json", "set-live", "green") as running:
        running.until_said("is wished")
        wish = fleet.index("apps/shop/live")
        for node in ("lb-1", "lb-2"):
            refusal = {"because": "wish-expired", "release": "2.5.1"}
            fleet.tells(node, "green", before, desired=wish, **refusal)
        running.until_said("once more")
        fleet.follows("lb-1", "lb-2", since=wish, release="2.5.1")
        running.until_said("is wished")
        ran = running.end()

    assert ran.exit == 0, ran.err
    assert order(fleet)["release"] == "2.5.1"
    assert ran.json["generation"] > wish
