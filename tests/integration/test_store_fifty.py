"""Fifty nodes on one real Consul: two real stores, and 48 that only keep a sign of life and a report there.

Those are a fake for scale: what they write is what a daemon writes, but nobody decides behind it.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from bgd.core.events import MembersSeen
from bgd.store import records
from bgd.store.client import Client
from bgd.store.ops import Lock, Set
from tests.integration.consul import ConsulServer
from tests.integration.store_world import Mailbox, client, fleet
from tests.integration.test_at_rest import last_entry
from tests.integration.waiting import eventually

NODES = [f"lb-{number}" for number in range(1, 51)]
LONG_S = 3600


def report(node: str, **more: object) -> dict[str, object]:
    return {"schema": 1, "node": node, "app": "shop", "because": "converged", "at": "t0", **more}


class Sign:
    """What one node has in Consul: a session, the sign of life that it holds, and a report."""

    def __init__(self, one: Client, node: str) -> None:
        self._client, self._node = one, node
        self.session = one.create_session(f"bgd {node}", ttl_s=LONG_S)
        sign = records.encode({"instance": node, "since": "t0"})
        one.transact([Lock(one.keys.alive(node), sign, self.session), self._set(report(node))])

    def _set(self, told: dict[str, object]) -> Set:
        return Set(self._client.keys.report("shop", self._node), records.encode(told))

    def say(self, told: dict[str, object]) -> None:
        self._client.transact([self._set(told)])

    def renew(self) -> bool:
        return self._client.renew_session(self.session)


@contextmanager
def fifty(server: ConsulServer) -> Iterator[tuple[Mailbox, list[Sign]]]:
    """All of them alive, and what the first one hears."""
    with (
        fleet(server, node=NODES[0], instance="one") as (first, mailbox),
        fleet(server, node=NODES[1], instance="two") as (second, _),
    ):
        for store, node in ((first, NODES[0]), (second, NODES[1])):
            store.publish("shop", report(node))
        signs = [Sign(client(server), node) for node in NODES[2:]]
        eventually(lambda: len(server.keys("bluegreen/alive/")) == len(server.keys("bluegreen/nodes/")) == 50)
        first.follow_members("shop", True)
        yield mailbox, signs


def test_all_fifty_are_read_at_once(consul_server: ConsulServer) -> None:
    """Whoever must agree hears of all members in one event, of each change, and of who falls silent."""
    with fifty(consul_server) as (mailbox, signs):
        seen = mailbox.wait(MembersSeen, lambda seen: len(seen.members) == 50)
        assert {member.node for member in seen.members if member.alive} == set(NODES)
        for sign, node in zip(signs[:26], NODES[2:], strict=False):
            sign.say(report(node, vote={"generation": 7, "live": "down", "idle": "alive"}))
        mailbox.wait(MembersSeen, lambda seen: sum(member.vote == 7 for member in seen.members) == 26)
        client(consul_server).destroy_session(signs[0].session)
        mailbox.wait(MembersSeen, lambda seen: sum(not member.alive for member in seen.members) == 1)


def test_fifty_nodes_at_rest_write_nothing(consul_server: ConsulServer) -> None:
    """While all sessions are renewed, and members are read, not one entry is added to Consul's log."""
    with fifty(consul_server) as (mailbox, signs):
        mailbox.wait(MembersSeen, lambda seen: len(seen.members) == 50)
        before = last_entry(consul_server)
        for _ in range(3):
            assert all(sign.renew() for sign in signs)
        assert last_entry(consul_server) == before
