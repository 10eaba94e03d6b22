"""A preparation is held once, committed by who holds it, and never by anybody else."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from bgd.config import ConsulSettings
from bgd.core.model import Colour, KeyGone, Preparation
from bgd.store import ledgers, prepares, writes
from bgd.store.client import Client
from bgd.store.prepares import Held, Taken
from bgd.store.wishes import read_live
from bgd.store.writes import Conflict, Done
from tests.integration.consul import ConsulServer
from tests.integration.store_world import CuttingProxy, client

FIRST = Preparation(id="1", colour=Colour.GREEN, release="2.5.0", by="alice", at="2026-01-31T12:00:00Z")
SECOND = Preparation(id="2", colour=Colour.BLUE, by="bob")


@pytest.fixture
def calm(calm_consul: ConsulServer) -> Iterator[Client]:
    """A client with a prefix of its own."""
    made = client(calm_consul, prefix=f"bg-{uuid4()}")
    yield made
    made.close()


def hold(client: Client, preparation: Preparation = FIRST) -> Held:
    held = prepares.hold(client, "shop", preparation)
    assert isinstance(held, Held)
    return held


def commit(client: Client, held: Held, flags: int | None = None) -> writes.Outcome:
    seen = read_live(client, "shop")
    order: dict[str, Any] = {"by": "alice", "session": held.session, "prepared": ("lb-1",), "flags": flags}
    return writes.set_live(client, "shop", Colour.GREEN, seen=seen, **order)


def asked(client: Client) -> Preparation | None:
    return ledgers.read(client, "shop", consistent=True).ledgers["shop"].preparation


def test_one_at_a_time(calm: Client) -> None:
    """Who asks second is told of the first; once that has ended it is the second's turn."""
    first = hold(calm)
    assert asked(calm) == FIRST
    assert prepares.hold(calm, "shop", SECOND) == Taken(FIRST)
    assert first.taken() is None

    assert first.end()
    assert asked(calm) is None
    second = hold(calm, SECOND)
    assert first.taken() == Taken(SECOND)
    second.end()


def test_the_commit_ends_it(calm: Client) -> None:
    """The commit writes the wish with who prepared, and takes the preparation away, all at once."""
    held = hold(calm)
    done = commit(calm, held)

    live = read_live(calm, "shop")
    assert done == Done(live.generation if not isinstance(live, KeyGone) else 0)
    assert live.order.prepared == ("lb-1",)  # type: ignore[union-attr]
    assert asked(calm) is None
    held.end()


def test_what_is_not_held_is_not_committed(calm: Client) -> None:
    """After its end, or in another's time, a commit is a conflict, and nothing is written by it."""
    held = hold(calm)
    held.end()
    assert isinstance(commit(calm, held, flags=7), Conflict)

    other = hold(calm, SECOND)
    assert isinstance(commit(calm, held, flags=7), Conflict)
    assert isinstance(read_live(calm, "shop"), KeyGone)
    assert writes.written(calm, "shop", 7) is None
    assert asked(calm) == SECOND
    other.end()


def test_answers_that_are_lost(calm_consul: ConsulServer) -> None:
    """Neither a preparation nor a commit is given up because Consul's answer to it is lost."""
    prefix, cut = f"bg-{uuid4()}", {b'"lock"', b'"check-session"'}

    def first_of_each(request: bytes) -> bool:
        found = next((verb for verb in cut if verb in request), None)
        cut.discard(found or b"")
        return found is not None

    with CuttingProxy(calm_consul, first_of_each) as proxy:
        through = Client(ConsulSettings(address=proxy.address, prefix=prefix), {})
        held = hold(through)
        assert isinstance(commit(through, held, flags=7), Done)
        assert proxy.cuts == 2
        assert writes.written(through, "shop", 7) is not None
        held.end()
        through.close()
