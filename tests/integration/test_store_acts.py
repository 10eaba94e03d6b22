"""What daemons write for the fleet: one of them wins, and it is all or nothing."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from bgd.core.actions import Confirm, Decline, Revert
from bgd.core.advance import Failed, Overtaken, Written
from bgd.core.model import Colour, Desired, KeyBad, OrderKind
from bgd.core.reasons import Because
from bgd.store import acts, ledgers, records, views, writes
from bgd.store.client import Client
from bgd.store.ops import Set
from bgd.store.writes import Done
from tests.integration.consul import ConsulServer
from tests.integration.store_world import client

BLUE, GREEN = Colour.BLUE, Colour.GREEN


@pytest.fixture
def calm(calm_consul: ConsulServer) -> Iterator[Client]:
    """A client with a prefix of its own, whose app wishes green."""
    made = client(calm_consul, prefix=f"bg-{uuid4()}")
    yield made
    made.close()


@pytest.fixture
def wished(calm: Client) -> Desired:
    done = writes.init(calm, "shop", GREEN, by="alice")
    assert isinstance(done, Done)
    return Desired(GREEN, done.generation)


def reverting(wished: Desired, *rejected: str) -> Revert:
    return Revert(wished, BLUE, "1.0", rejected, "green is down: 503")


def test_a_revert_writes_all_of_it(calm: Client, wished: Desired) -> None:
    """The wish, its order, the rejection; the failed colour's good and the canary are gone."""
    calm.transact([Set(calm.keys.canary("shop"), b"blue 10")])
    acts.write(calm, "shop", Confirm(wished, "2.0"), by="lb-1")
    done = acts.write(calm, "shop", reverting(wished, "2.0 beta"), by="lb-1")
    assert isinstance(done, Written)
    seen = ledgers.read(calm, "shop")
    live, ledger = seen.keys["shop"], seen.ledgers["shop"]
    assert isinstance(live, Desired)
    assert live.order is not None
    assert (live.colour, live.generation, live.order.kind) == (BLUE, done.generation, OrderKind.REVERT)
    assert (live.order.by, live.order.release) == ("lb-1", "1.0")
    assert (ledger.good, ledger.rejected) == ({}, {"2.0 beta"})
    assert calm.read(calm.keys.canary("shop")) is None


def test_one_revert_wins(calm: Client, wished: Desired) -> None:
    """The other one is told what stands there now."""
    first = acts.write(calm, "shop", reverting(wished, "2.0"), by="lb-1")
    second = acts.write(calm, "shop", reverting(wished, "2.0"), by="lb-2")
    assert isinstance(first, Written)
    assert isinstance(second, Overtaken)
    live = second.seen.keys["shop"]
    assert not isinstance(live, KeyBad)
    assert isinstance(live, Desired)
    assert live.generation == first.generation


def test_a_pause_that_came_between_stops_a_revert_and_a_decline(calm: Client, wished: Desired) -> None:
    """Unless a person orders it."""
    calm.transact([Set(calm.keys.pause("shop"), b"deploy")])
    declining = Decline(wished, BLUE, "1.0", Because.RELEASE_REJECTED, "2.0 was reverted")
    for action in (reverting(wished, "2.0"), declining):
        refused = acts.write(calm, "shop", action, by="lb-1")
        assert isinstance(refused, Overtaken)
        assert refused.seen.ledgers["shop"].pause == "deploy"
        assert refused.seen.ledgers["shop"].rejected == frozenset()
    assert isinstance(acts.write(calm, "shop", reverting(wished), by="alice", over_pause=True), Written)


def test_a_decline_rejects_nothing(calm: Client, wished: Desired) -> None:
    """It writes the wish back, and says so."""
    done = acts.write(
        calm, "shop", Decline(wished, BLUE, None, Because.WISH_EXPIRED, "not taken for 600 s"), by="lb-1"
    )
    assert isinstance(done, Written)
    seen = ledgers.read(calm, "shop")
    live = seen.keys["shop"]
    assert isinstance(live, Desired)
    assert live.order is not None
    assert (live.colour, live.order.kind, live.order.reason) == (
        BLUE,
        OrderKind.DECLINED,
        "wish-expired: not taken for 600 s",
    )
    assert seen.ledgers["shop"].rejected == frozenset()


def test_a_confirmation_is_for_the_wish_that_was_judged(calm: Client, wished: Desired) -> None:
    """Once it is written, and never after a newer wish."""
    assert isinstance(acts.write(calm, "shop", Confirm(wished, "2.0"), by="lb-1"), Written)
    again = acts.write(calm, "shop", Confirm(wished, "2.0"), by="lb-2")
    assert isinstance(again, Overtaken)
    assert again.seen.ledgers["shop"].good[GREEN].release == "2.0"
    writes.set_live(calm, "shop", GREEN, by="alice", seen=again.seen.keys["shop"])
    assert isinstance(acts.write(calm, "shop", Confirm(wished, "2.1"), by="lb-1"), Overtaken)


def test_the_newest_rejections_are_kept(
    calm: Client, wished: Desired, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever adds one removes the oldest."""
    monkeypatch.setattr(acts, "KEPT_REJECTIONS", 2)
    for release in ("1", "2", "3"):
        calm.transact([Set(calm.keys.rejected("shop", release), records.encode({"release": release}))])
    acts.write(calm, "shop", reverting(wished, "4"), by="lb-1")
    assert ledgers.read(calm, "shop").ledgers["shop"].rejected == {"3", "4"}


def test_consul_gone_is_a_failure(consul_server: ConsulServer) -> None:
    """It is told as a value, to be tried again."""
    one = client(consul_server)
    done = writes.init(one, "shop", GREEN, by="alice")
    assert isinstance(done, Done)
    consul_server.stop()
    failed = acts.write(one, "shop", Confirm(Desired(GREEN, done.generation), "2.0"), by="lb-1")
    assert isinstance(failed, Failed)
    assert failed.because is Because.STORE_LOST


def test_an_event_has_an_outcome(calm: Client, wished: Desired) -> None:
    """Set once it is known; an event that nobody has made has none."""
    assert not writes.set_outcome(calm, "shop", wished.generation, "reverted")
    writes.create_event(calm, "shop", wished.generation, {"what": "flip"})
    assert writes.set_outcome(calm, "shop", wished.generation, "reverted")
    assert views.events(calm, "shop", 1)[0]["outcome"] == "reverted"
