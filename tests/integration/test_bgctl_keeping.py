"""bgctl pause, resume, unreject and forget, and what status and why show of it, on a real Consul."""

import itertools
import json
from collections.abc import Iterator

import pytest

from bgctl import writes
from bgctl.call import Call
from bgctl.ending import Ended
from tests.integration.bgctl_world import World
from tests.integration.consul import ConsulServer

_NUMBERS = itertools.count()


@pytest.fixture
def fleet(calm_consul: ConsulServer) -> Iterator[World]:
    """Two nodes that serve blue; the second is silent."""
    world = World(calm_consul, f"keep-{next(_NUMBERS)}")
    world.live("blue")
    world.member("lb-1")
    world.member("lb-2")
    world.dies("lb-2")
    yield world
    world.close()


def test_pause_and_resume(fleet: World):
    """pause writes its reason, which status shows; resume deletes it; both may be said twice."""
    assert fleet.bgctl("pause", "deploy freeze").out == "shop: paused: deploy freeze\n"
    assert fleet.get("apps/shop/pause") == "deploy freeze"
    assert "paused: deploy freeze" in fleet.bgctl("status").out
    assert "paused: deploy freeze (bgctl resume" in fleet.bgctl("status", "shop").out
    again = fleet.bgctl("-o", "json", "pause", "deploy freeze")
    assert again.json["apps"] == [{"app": "shop", "pause": "deploy freeze", "changed": False}]
    assert fleet.bgctl("pause", "long " * 20).exit == 0
    assert "paused already: long long" in fleet.bgctl("pause", "long " * 20).out

    assert "it was paused: long long" in fleet.bgctl("resume").out
    assert fleet.get("apps/shop/pause") is None
    again = fleet.bgctl("resume")
    assert (again.exit, again.out) == (0, "shop: is not paused\n")


def test_all_apps_may_be_paused_at_once(fleet: World):
    """--all pauses and resumes every app; without a reason nothing is paused."""
    fleet.live("blue", app="cart")

    assert fleet.bgctl("pause", "freeze", "--all").exit == 0
    assert [fleet.get(f"apps/{app}/pause") for app in ("cart", "shop")] == ["freeze", "freeze"]
    ran = fleet.bgctl("-o", "json", "resume", "--all")
    assert [one["changed"] for one in ran.json["apps"]] == [True, True]
    assert fleet.bgctl("pause", " ", "--all").exit == 2
    assert fleet.bgctl("resume", "--all", "--app", "shop").exit == 2


def test_unreject(fleet: World):
    """unreject lifts a rejection, however the release is written; of what is not rejected it says so."""
    key = "apps/shop/rejected/2.5=2Bhot"
    fleet.put(key, {"schema": 1, "release": "2.5+hot", "detail": "green is down: 503"})
    assert "rejected: 2.5+hot: green is down: 503" in fleet.bgctl("why").out

    assert fleet.bgctl("unreject", "2.5+hot").out == "shop: 2.5+hot is no longer rejected\n"
    assert fleet.get(key) is None
    again = fleet.bgctl("-o", "json", "unreject", "2.5+hot")
    assert (again.exit, again.json["changed"]) == (0, False)


def test_forget_a_silent_node(fleet: World):
    """forget ends the membership of a silent node by a stone; said twice, it says so."""
    ran = fleet.bgctl("forget", "lb-2", SUDO_USER="alice")

    assert ran.exit == 0, ran.err
    assert "it served blue" in ran.out
    stone = json.loads(fleet.get("nodes/shop/lb-2") or "")
    assert (stone["gone"], stone["by"].split("@")[0]) == (True, "alice")
    assert "lb-2" not in fleet.bgctl("status", "shop").out
    assert fleet.bgctl("forget", "lb-2").exit == 0


def test_who_lives_is_not_forgotten(fleet: World):
    """forget of a node whose daemon lives is refused with 4; of one that never was, exit 2."""
    ran = fleet.bgctl("-o", "json", "forget", "lb-1")

    assert (ran.exit, ran.json["error"]["because"]) == (4, "still-alive")
    assert "gone" not in (fleet.get("nodes/shop/lb-1") or "")
    assert "did you mean lb-2" in fleet.bgctl("forget", "lb2").err


def test_who_comes_back_meanwhile_is_not_forgotten(fleet: World):
    """A node that lives again when its stone is written stays a member."""
    call = Call(consul_addr=fleet.consul.address, prefix=fleet.prefix)

    with pytest.raises(Ended) as refused:
        writes.forget_member(call, "shop", "lb-1")

    assert refused.value.because == "still-alive"
    assert "gone" not in (fleet.get("nodes/shop/lb-1") or "")


def test_forget_an_app(fleet: World):
    """An app's keys are deleted when no node reports about it any more, and not before."""
    fleet.put("history/shop/7", {"schema": 1, "what": "init"})
    fleet.put("apps/shop/good/blue", {"schema": 1, "release": "2.4.0"})

    ran = fleet.bgctl("-o", "json", "forget", "--app", "shop")
    assert (ran.exit, ran.json["error"]["because"]) == (4, "still-reported")
    for node in ("lb-1", "lb-2"):
        fleet.put(
            f"nodes/shop/{node}", {"schema": 1, "gone": True, "by": "lb-1", "at": "2026-01-31T12:00:00Z"}
        )

    assert fleet.bgctl("forget", BGCTL_APP="shop").exit == 2
    assert fleet.get("apps/shop/live") == "blue"
    ran = fleet.bgctl("forget", "--app", "shop")
    assert (ran.exit, ran.out) == (0, "shop: all of its 5 keys are deleted\n")
    assert "there is no app" in fleet.bgctl("status").err
    assert fleet.bgctl("forget", "--app", "shop").exit == 2


def test_why_shows_what_a_revert_would_rest_on(fleet: World):
    """why shows votes, steadiness and the way back of each member, and what is known good."""
    fleet.put("apps/shop/good/green", {"schema": 1, "release": "2.5.0", "generation": 3, "confirmed_at": ""})
    vote = {"generation": 7, "live": "down", "idle": "alive", "evidence": "10.0.0.7:80: status 503"}
    closed = {"open": False, "because": "revert-waiting-quorum", "detail": "1 of 3", "until": None}
    steady = {"release": "2.4.0", "since": "2026-01-31T11:00:00Z", "over": True}
    fleet.tells("lb-1", because="revert-waiting-quorum", vote=vote, steady=steady, way_back=closed)

    lines = fleet.bgctl("why").out

    assert "known good: green with 2.5.0" in lines
    assert "votes for a revert: 10.0.0.7:80: status 503" in lines
    assert "no way back: revert-waiting-quorum: 1 of 3" in lines
    assert "for its whole probation" in lines
    (app,) = fleet.bgctl("-o", "json", "why").json["apps"]
    assert (app["members"][0]["vote"], app["way_back"]) == (vote, closed)
    assert app["good"]["green"]["release"] == "2.5.0"


def test_status_shows_the_way_back(fleet: World):
    """status APP shows the way back, what is last known good, and who is in fallback."""
    fleet.put("apps/shop/good/green", {"schema": 1, "release": "2.5.0", "generation": 3, "confirmed_at": ""})
    way_back = {"open": True, "because": None, "detail": "green 2.5.0, 3/3", "until": None}
    fallen = {"fallback": True, "because": "fallback-serving", "detail": "blue must be up for 30 s"}
    fleet.tells("lb-1", "green", way_back=way_back, **fallen)

    shown = fleet.bgctl("status", "shop").out

    assert "way back: green 2.5.0, 3/3 healthy" in shown
    assert "in fallback on lb-1, last known good" in shown
    assert "lb-1: blue must be up for 30 s" in fleet.bgctl("status").out
    (app,) = fleet.bgctl("-o", "json", "status").json["apps"]
    assert (app["way_back"], app["because"], app["paused"]) == (way_back, "fallback-serving", None)
