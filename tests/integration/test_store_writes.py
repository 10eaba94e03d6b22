"""What is written stands once, by whom it was wished, and what bgctl reads of it."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from bgd.config import ConsulSettings
from bgd.core.model import Colour, Desired, KeyBad, KeyGone, OrderKind
from bgd.store import library, records, views, writes
from bgd.store.client import Client, Fault, StoreFault
from bgd.store.ops import Lock, Set
from bgd.store.wishes import read_live
from bgd.store.writes import Conflict, Done
from tests.integration.consul import ConsulServer
from tests.integration.store_world import CuttingProxy, client


@pytest.fixture
def calm(calm_consul: ConsulServer) -> Iterator[Client]:
    """A client with a prefix of its own."""
    made = client(calm_consul, prefix=f"bg-{uuid4()}")
    yield made
    made.close()


def wish(client: Client, colour: Colour, **more: Any) -> writes.Outcome:
    seen = read_live(client, "shop")
    return writes.set_live(client, "shop", colour, **{"by": "alice", "seen": seen, **more})


def test_the_first_wish(calm: Client) -> None:
    """An app's first keys are written once; a second time they are a conflict that tells what stands."""
    first = writes.init(calm, "shop", Colour.BLUE, by="alice", reason="begin")
    assert isinstance(first, Done)
    live = read_live(calm, "shop")
    assert isinstance(live, Desired)
    assert live.order is not None
    assert (live.generation, live.order.kind, live.order.by) == (first.generation, OrderKind.INIT, "alice")
    assert writes.init(calm, "shop", Colour.GREEN, by="bob") == Conflict(live)


def test_a_wish_tells_all_about_itself(calm: Client) -> None:
    """An order comes back as it was given, with the generation of its live key."""
    done = wish(calm, Colour.GREEN, reason="ticket 4711", release="2.5.0", after=7, force=True)
    live = read_live(calm, "shop")
    assert isinstance(live, Desired)
    assert done == Done(live.generation)
    order = live.order
    assert order is not None
    assert (order.colour, order.reason, order.release, order.after, order.force) == (
        Colour.GREEN,
        "ticket 4711",
        "2.5.0",
        7,
        True,
    )


def test_the_same_wish_again_is_a_new_generation(calm: Client) -> None:
    """Repeating a wish makes a new generation, although the value is the same."""
    first, second = (wish(calm, Colour.BLUE) for _ in range(2))
    assert isinstance(first, Done)
    assert isinstance(second, Done)
    assert second.generation > first.generation


def test_a_wish_over_something_older_is_a_conflict(calm: Client) -> None:
    """A wish that was given in ignorance of a newer one is not written, and is told the newer one."""
    seen = read_live(calm, "shop")
    done = wish(calm, Colour.GREEN)
    refused = writes.set_live(calm, "shop", Colour.BLUE, by="bob", seen=seen)
    assert isinstance(done, Done)
    assert isinstance(refused, Conflict)
    assert isinstance(refused.live, Desired)
    assert (refused.live.colour, refused.live.generation) == (Colour.GREEN, done.generation)


def test_a_wish_ends_a_prepare_and_with_force_a_rejection(calm: Client) -> None:
    """A wish deletes what was prepared; a forced one lifts the rejection of its release, too."""
    prepare, rejected = calm.keys.prepare("shop"), calm.keys.rejected("shop", "2.5 beta")
    calm.transact([Set(prepare, b"{}"), Set(rejected, b"{}")])
    wish(calm, Colour.GREEN, release="2.5 beta")
    assert calm.read(prepare) is None
    assert calm.read(rejected) is not None
    wish(calm, Colour.GREEN, release="2.5 beta", force=True)
    assert calm.read(rejected) is None


def test_an_edit_of_the_key_has_no_order(calm: Client, calm_consul: ConsulServer) -> None:
    """A plain edit is a wish without order; nonsense is a bad key; a deleted key is gone."""
    wish(calm, Colour.BLUE)
    calm_consul.put(calm.keys.live("shop"), " Green\n")
    live = read_live(calm, "shop")
    assert isinstance(live, Desired)
    assert (live.colour, live.order) == (Colour.GREEN, None)
    calm_consul.put(calm.keys.live("shop"), "gr\x1b[31meen")
    bad = read_live(calm, "shop")
    assert isinstance(bad, KeyBad)
    assert bad.text == r"gr\x1b[31meen"
    calm_consul.put(calm.keys.live("shop"), "")
    assert isinstance(read_live(calm, "shop"), KeyBad)
    calm_consul.delete(calm.keys.live("shop"))
    assert isinstance(read_live(calm, "shop"), KeyGone)


# -- a write of unknown outcome -------------------------------------------------------------------


def cut_writes(times: int) -> Callable[[bytes], bool]:
    left = [times]

    def cut(request: bytes) -> bool:
        if b"/v1/txn" not in request:
            return False
        left[0] -= 1
        return left[0] >= 0

    return cut


def test_a_write_whose_answer_is_lost_is_known_again(calm: Client, calm_consul: ConsulServer) -> None:
    """A wish that was carried out, though its answer was lost, is written once and told as done."""
    with CuttingProxy(calm_consul, cut_writes(1)) as proxy:
        far = Client(ConsulSettings(address=proxy.address, prefix=calm.keys.prefix), {})
        done = wish(far, Colour.GREEN)
        assert proxy.cuts == 1
    live = read_live(calm, "shop")
    assert isinstance(live, Desired)
    assert done == Done(live.generation)


def test_an_event_whose_answer_is_lost_is_ours(calm: Client, calm_consul: ConsulServer) -> None:
    """An event that was created, though the answer was lost, is ours when it is tried again."""
    with CuttingProxy(calm_consul, cut_writes(1)) as proxy:
        far = Client(ConsulSettings(address=proxy.address, prefix=calm.keys.prefix), {})
        with pytest.raises(StoreFault) as raised:
            writes.create_event(far, "shop", 5, {"what": "flip", "at": "t"})
        assert raised.value.kind is Fault.UNKNOWN
        assert writes.create_event(far, "shop", 5, {"what": "flip", "at": "t"})


def test_what_stays_unknown_is_said_to_be(
    consul_server: ConsulServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When nobody can be asked what became of a wish, its outcome is unknown and never guessed."""
    monkeypatch.setattr(library, "READ_S", 0.2)
    monkeypatch.setattr(writes, "SETTLE_S", 0.3)
    one = client(consul_server)
    consul_server.stop()
    with pytest.raises(StoreFault) as raised:
        writes.init(one, "shop", Colour.BLUE, by="alice")
    assert raised.value.kind is Fault.UNKNOWN


# -- history --------------------------------------------------------------------------------------


def test_an_event_is_made_once(calm: Client) -> None:
    """Of those that tell of one generation, the first is kept; the event before it is superseded."""
    base = wish(calm, Colour.BLUE)
    assert isinstance(base, Done)
    one, two = base.generation, base.generation + 1
    assert writes.create_event(calm, "shop", one, {"what": "flip", "by": "alice"})
    assert not writes.create_event(calm, "shop", one, {"what": "flip", "by": "bob"})
    assert writes.create_event(calm, "shop", two, {"what": "flip", "by": "carol"})
    newest, before = views.events(calm, "shop", 5)
    assert (newest["generation"], newest["by"], newest["outcome"]) == (two, "carol", None)
    assert (before["generation"], before["by"], before["outcome"]) == (one, "alice", "superseded")


def test_the_newest_events_are_kept(calm: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever adds an event removes those beyond the number that is kept."""
    monkeypatch.setattr(writes, "KEPT_EVENTS", 3)
    base = calm.transact([Set(calm.keys.live("shop"), b"blue")])
    for number in range(5):
        writes.create_event(calm, "shop", base + number, {"number": number})
    assert [event["number"] for event in views.events(calm, "shop", 9)] == [4, 3, 2]


def test_an_event_from_another_life_of_the_store_gives_way(calm: Client) -> None:
    """After keys were brought into a new store, an old event under the same number is overwritten."""
    calm.transact([Set(calm.keys.event("shop", 10**9), records.encode({"by": "long ago"}))])
    assert writes.create_event(calm, "shop", 10**9, {"by": "alice"})
    assert views.events(calm, "shop", 1)[0]["by"] == "alice"


# -- views ----------------------------------------------------------------------------------------


def report(client: Client, node: str, **fields: object) -> None:
    client.transact([Set(client.keys.report("shop", node), records.encode({"node": node, **fields}))])


def test_members_stay_until_a_stone_stands(calm: Client) -> None:
    """Every node that reported is a member, silent without its sign of life; a stone ends it."""
    report(calm, "lb-1", because="converged", something_new=[1])
    report(calm, "lb-2")
    report(calm, "lb-3", **records.gone("alice"))
    calm.transact([Set(calm.keys.report("shop", "lb-4"), b"no json")])
    session = calm.create_session("test", ttl_s=10)
    calm.transact([Lock(calm.keys.alive("lb-1"), b"{}", session)])
    calm.transact([Set(calm.keys.alive("lb-2"), b"{}")])  # held by nobody: says nothing
    view = views.app_view(calm, "shop")
    assert [(m.node, m.alive, m.gone) for m in view.members] == [
        ("lb-1", True, False),
        ("lb-2", False, False),
        ("lb-3", False, True),
        ("lb-4", False, False),
    ]
    assert view.members[0].report["because"] == "converged"
    assert view.members[3].report == {}
    assert views.apps(calm) == ["shop"]


def test_apps_are_found_by_wish_or_report(calm: Client) -> None:
    """An app exists when it has a wish or a report."""
    assert views.apps(calm) == []
    writes.init(calm, "web", Colour.BLUE, by="alice")
    report(calm, "lb-1")
    assert views.apps(calm) == ["shop", "web"]


def test_following_an_app(calm: Client) -> None:
    """Who follows an app sees it at once, then each change of a report, and ends with the time."""
    report(calm, "lb-1", step=1)
    seen = []
    for view in views.follow_app(calm, "shop", 2.0):
        seen.append(view.members[0].report["step"])
        if len(seen) < 3:
            threading.Thread(target=report, args=(calm, "lb-1"), kwargs={"step": len(seen) + 1}).start()
        else:
            break
    assert seen == [1, 2, 3]
    assert len(list(views.follow_app(calm, "shop", 0.2))) == 1


def test_following_ends_with_what_was_not_heard(consul_server: ConsulServer) -> None:
    """Who follows while Consul is lost is told so when the time is over, whatever is waited for then."""
    followed = [views.follow_app(client(consul_server), "shop", 3.0) for _ in range(10)]
    for each in followed:
        next(each)
    with ThreadPoolExecutor(len(followed)) as at_once:
        ended = [at_once.submit(list, each) for each in followed]
        consul_server.kill()
    assert all(isinstance(each.exception(), StoreFault) for each in ended)


def test_records_carry_their_schema(calm: Client) -> None:
    """Every record that is written says by which schema it is to be read."""
    wish(calm, Colour.BLUE)
    writes.create_event(calm, "shop", 1, {"what": "flip"})
    for key in (calm.keys.order("shop"), calm.keys.event("shop", 1)):
        entry = calm.read(key)
        assert entry is not None
        assert json.loads(entry.value)["schema"] == 1
