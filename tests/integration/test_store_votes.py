"""What members read of each other while they must agree, and the first words of a daemon's life."""

import time
from typing import Any

import pytest

from bgd.core.events import MembersSeen
from bgd.store import alive, presence, records
from tests.integration import consul
from tests.integration.consul import ConsulServer
from tests.integration.store_world import client, fleet
from tests.integration.waiting import eventually

REPORT, SECOND = "bluegreen/nodes/shop/lb-1", "bluegreen/nodes/shop/lb-2"
ALIVE = "bluegreen/alive/lb-1"
SOON_S = 0.5
VOTE = {"generation": 7, "live": "down", "idle": "alive", "evidence": "503"}


def told(node: str = "lb-1", **fields: Any) -> dict[str, Any]:
    return {
        "node": node,
        "desired": {"colour": "green", "generation": 7, "after": 3},
        "serving": {"colour": "green", "generation": 7, "proved": True},
        "at": "t",
        **fields,
    }


def test_a_vote_is_read_soon(consul_server: ConsulServer) -> None:
    """A member's vote, its stamp and its steadiness are read within half a second on a machine at rest."""
    with (
        fleet(consul_server) as (one, mailbox),
        fleet(consul_server, node="lb-2", instance="two") as (two, _),
    ):
        one.publish("shop", told())
        two.publish("shop", told("lb-2", steady={"release": "2.0", "over": True}))
        eventually(lambda: consul_server.get(REPORT) and consul_server.get(SECOND))
        one.follow_members("shop", True)
        seen = mailbox.wait(MembersSeen, lambda seen: len(seen.members) == 2)
        second = seen.members[1]
        assert (second.vote, second.steady, second.after) == (0, "2.0", 3)
        assert second.stamp == consul_server.index(SECOND)
        took_s = []
        for stands in (True, False) * 3:  # each is published just after a look, and so waits for the next
            began_s = time.monotonic()
            two.publish("shop", told("lb-2", vote=VOTE if stands else None))
            mailbox.wait(MembersSeen, lambda seen: bool(seen.members[1].vote) is stands)  # noqa: B023
            took_s.append(time.monotonic() - began_s)
            mailbox.forget()
        assert min(took_s) < SOON_S, took_s


def test_a_vote_is_renewed_while_it_stands(
    consul_server: ConsulServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report with a vote is written again and again, although it says the same; one without is not."""
    monkeypatch.setattr(presence, "VOTE_RENEWED_S", 0.05)
    with fleet(consul_server) as (store, _):
        store.publish("shop", told(vote=VOTE))
        stamps: set[int] = set()
        eventually(lambda: stamps.add(consul_server.index(REPORT)) or len(stamps - {0}) > 3)
        store.publish("shop", told(vote=None))
        eventually(lambda: '"vote":null' in (consul_server.get(REPORT) or ""))
        eventually(lambda: not store._presence._later and not store._presence._jobs)


def test_who_has_left_is_told_as_gone(consul_server: ConsulServer) -> None:
    """A member whose membership was ended is told, so that nobody waits for it."""
    consul_server.put(SECOND, records.encode(records.gone("alice")))
    with fleet(consul_server) as (store, mailbox):
        store.publish("shop", told())
        store.follow_members("shop", True)
        seen = mailbox.wait(MembersSeen, lambda seen: bool(seen.members))
        assert (seen.members[0].node, seen.gone) == ("lb-1", {"lb-2"})


def test_members_that_have_not_changed_are_told_again(consul_server: ConsulServer) -> None:
    """Who waits for an answer gets one soon, also when it says the same."""
    with fleet(consul_server) as (store, mailbox):
        store.publish("shop", told())
        eventually(lambda: consul_server.get(REPORT))
        store.follow_members("shop", True)
        first = mailbox.wait(MembersSeen, lambda seen: seen.members[:1] and seen.members[0].alive)
        mailbox.forget()
        assert mailbox.wait(MembersSeen) == first


def test_the_first_report_stands_with_the_sign_of_life(consul_server: ConsulServer) -> None:
    """Nobody finds a new life beside an earlier life's report, however long that was in coming."""
    one = client(consul_server)
    alive.Alive(one, "lb-1", "one").keep()
    consul_server.put(REPORT, records.encode(told(step="earlier")))
    with fleet(consul_server) as (store, _):
        store.publish("shop", told(step="now"))
        eventually(lambda: "now" in (consul_server.get(REPORT) or ""))
        assert consul_server.index(REPORT) == consul_server.index(ALIVE)
    one.close()


def test_the_sign_of_life_does_not_wait_for_ever(
    consul_server: ConsulServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that has nothing to say yet lives all the same."""
    monkeypatch.setattr(presence, "FIRST_REPORTS_S", 0.1)
    with fleet(consul_server):
        eventually(lambda: consul_server.get(ALIVE))
        assert consul_server.get(REPORT) is None


def test_signs_of_life_that_are_hidden_are_not_missing(tmp_path: Any) -> None:
    """Who may no longer read who lives says so, and takes nobody for silent."""
    rules = 'node_prefix "" { policy = "read" } session_prefix "" { policy = "write" } '
    every = rules + 'key_prefix "" { policy = "write" } '
    with consul.running(tmp_path / "consul", acl=True) as server:
        token = server.grant("daemon", every)
        with fleet(server, token=token) as (store, mailbox):
            store.publish("shop", told())
            eventually(lambda: server.get(REPORT))
            store.follow_members("shop", True)
            mailbox.wait(MembersSeen, lambda seen: seen.members[:1] and seen.members[0].alive)
            server.grant("daemon", every + 'key_prefix "bluegreen/alive/" { policy = "deny" }')
            eventually(lambda: "members" in store._rights._denied)
            assert all(member.alive for member in mailbox.of(MembersSeen)[-1].members)
