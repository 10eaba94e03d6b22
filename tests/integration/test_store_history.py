"""What is written for the fleet, what it means for the history, and who is told of it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from bgd.core.actions import Confirm, Decline, Revert
from bgd.core.advance import Failed, Overtaken, Written
from bgd.core.model import Colour, Desired, Order, OrderKind
from bgd.core.reasons import Because
from bgd.store import chronicle, views, writes
from bgd.store.client import Client
from bgd.store.fleet import Fleet
from bgd.store.writes import Done
from tests.integration.consul import ConsulServer
from tests.integration.store_world import app, client
from tests.integration.waiting import eventually

BLUE, GREEN = Colour.BLUE, Colour.GREEN
FLIP = {"what": "flip", "from": "blue", "to": "green", "by": "alice", "at": "t"}


@dataclass(frozen=True)
class Consul:
    """A shared server, below a prefix that is the test's own."""

    server: ConsulServer
    prefix: str

    def client(self) -> Client:
        return client(self.server, prefix=self.prefix)


@pytest.fixture
def calm(calm_consul: ConsulServer) -> Consul:
    return Consul(calm_consul, f"bg-{uuid4()}")


class Node:
    """A node's store, and what it has told."""

    def __init__(self, consul: Consul, name: str) -> None:
        self.told: list[Mapping[str, Any]] = []
        self.client = consul.client()
        self.store = Fleet(
            self.client,
            [app()],
            node=name,
            instance=name,
            post=lambda _: None,
            second=lambda _: None,
            told=self.told.append,
        )


@contextmanager
def living(consul: Consul, name: str = "lb-1") -> Iterator[Node]:
    node = Node(consul, name)
    node.store.publish("shop", {"node": name, "at": "t"})
    node.store.start()
    try:
        eventually(lambda: node.store._presence.lives)
        yield node
    finally:
        node.store.close()


@pytest.fixture
def wished(calm: Consul) -> Desired:
    """The app wishes green, by alice."""
    one = calm.client()
    done = writes.init(one, "shop", GREEN, by="alice")
    one.close()
    assert isinstance(done, Done)
    order = Order(kind=OrderKind.FLIP, colour=GREEN, by="alice", release="2.0", reason="new shop")
    return Desired(GREEN, done.generation, order)


def outcome(one: Client, generation: int) -> Any:
    events = views.events(one, "shop", 10)
    return next((event["outcome"] for event in events if event["generation"] == generation), "no event")


def test_nothing_is_written_for_the_fleet_before_we_live(calm: Consul, wished: Desired) -> None:
    """A daemon without a sign of life, or for an app that is not its own, writes nothing."""
    node = Node(calm, "lb-1")
    early = node.store.write("shop", Confirm(wished, "2.0"))
    assert isinstance(early, Failed)
    assert "sign of life" in early.detail
    with living(calm, "lb-2") as other:
        assert isinstance(other.store.write("web", Confirm(wished, "2.0")), Failed)
    assert not calm.server.keys(f"{calm.prefix}/apps/shop/good")


def test_a_confirmation_closes_its_event(calm: Consul, wished: Desired) -> None:
    """Its outcome is set, and told once, by the node that wrote it."""
    with living(calm) as node, living(calm, "lb-2") as other:
        node.store.record("shop", wished.generation, FLIP)
        done = node.store.write("shop", Confirm(wished, "2.0"))
        assert isinstance(done, Written)
        assert done.by == "bgd on lb-1"
        assert isinstance(other.store.write("shop", Confirm(wished, "2.0")), Overtaken)
        eventually(lambda: len(node.told) == 2)
        assert [each["outcome"] for each in node.told] == [None, "confirmed"]
        assert node.told[1] == {
            **FLIP,
            "schema": 1,
            "outcome": "confirmed",
            "app": "shop",
            "node": "lb-1",
            "generation": wished.generation,
        }
        assert outcome(node.client, wished.generation) == "confirmed"
    assert not other.told


def test_an_outcome_waits_for_its_event(
    calm: Consul, wished: Desired, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another node may still be writing what has been ended already."""
    monkeypatch.setattr("bgd.store.presence.AGAIN_S", 0.05)
    with living(calm) as node, living(calm, "lb-2") as other:
        assert isinstance(node.store.write("shop", Revert(wished, BLUE, "1.0", ("2.0",), "503")), Written)
        eventually(lambda: node.store._presence._later)
        other.store.record("shop", wished.generation, FLIP)
        eventually(lambda: outcome(node.client, wished.generation) == "reverted")
        eventually(lambda: node.told)
        assert [each["outcome"] for each in (*other.told, *node.told)] == [None, "reverted"]


def test_an_outcome_without_event_is_given_up(
    calm: Consul, wished: Desired, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for an event for ever."""
    monkeypatch.setattr("bgd.store.presence.AGAIN_S", 0.05)
    monkeypatch.setattr(chronicle, "PATIENCE_S", 0.2)
    with living(calm) as node:
        node.store.write("shop", Confirm(wished, "2.0"))
        pages = node.store._presence._chronicle._pages
        eventually(lambda: not pages and not node.store._presence._later)
        assert not node.told


def test_a_decline_makes_the_event_that_nobody_made(calm: Consul, wished: Desired) -> None:
    """A wish that no node took stands in the history, with who wanted it and why it was declined."""
    declining = Decline(wished, BLUE, "1.0", Because.RELEASE_REJECTED, "2.0 was reverted")
    with living(calm) as node:
        assert isinstance(node.store.write("shop", declining), Written)
        eventually(lambda: node.told)
        (event,) = views.events(node.client, "shop", 10)
        assert (event["what"], event["from"], event["to"]) == ("flip", "blue", "green")
        assert (event["by"], event["reason"], event["release"]) == ("alice", "new shop", "2.0")
        assert (event["outcome"], event["because"]) == ("declined", "release-rejected")
        assert node.told[0] == {**event, "app": "shop", "node": "lb-1"}


def test_what_was_overtaken_is_recorded_unless_it_was_proved(calm: Consul) -> None:
    """An event of a wish that nobody proved is made as superseded, and never over one that somebody made."""
    with living(calm) as node, living(calm, "lb-2") as other:
        node.store.record("shop", 1, FLIP)
        eventually(lambda: node.told)
        other.store.record("shop", 1, {**FLIP, "by": "bob", "outcome": "superseded"})
        other.store.record("shop", 2, {**FLIP, "by": "carol", "outcome": "superseded"})
        eventually(lambda: other.told)
        events = views.events(node.client, "shop", 10)
        assert [(event["by"], event["outcome"]) for event in events] == [
            ("carol", "superseded"),
            ("alice", "superseded"),
        ]
        assert [each["generation"] for each in other.told] == [2]


def test_an_older_event_that_comes_late_closes_no_newer_one(calm: Consul, wished: Desired) -> None:
    """Whatever the order in which events are written, the newest stays open."""
    with living(calm) as node:
        for generation, event in ((5, FLIP), (3, {**FLIP, "outcome": "superseded"}), (2, FLIP)):
            node.store.record("shop", generation, event)
        eventually(lambda: len(node.told) == 3)
        assert [outcome(node.client, generation) for generation in (5, 3, 2)] == [None, "superseded", None]


def test_what_was_reverted_stays_so(calm: Consul, wished: Desired) -> None:
    """A confirmation that is late does not hide a revert; a revert does replace what was superseded."""
    one = calm.client()
    writes.create_event(one, "shop", 1, FLIP)
    writes.create_event(one, "shop", 2, FLIP)
    assert outcome(one, 1) == "superseded"
    for said in ("confirmed", "reverted", "confirmed"):
        writes.set_outcome(one, "shop", 1, said)
    assert outcome(one, 1) == "reverted"
    one.close()


def test_two_nodes_that_say_the_same_at_once(calm: Consul) -> None:
    """They prove a generation in the same moment: the event is made once, and told by its maker alone."""
    with living(calm, "lb-1") as one, living(calm, "lb-2") as two:
        for node in (one, two):
            node.store.record("shop", 7, FLIP)
        eventually(lambda: one.told or two.told, "it is told")
        for node in (one, two):
            eventually(
                lambda node=node: not node.store._presence._chronicle._pages, "nothing is left to write"
            )

    (told,) = one.told + two.told
    assert told["generation"] == 7
