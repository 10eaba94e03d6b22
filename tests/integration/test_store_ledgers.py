"""What a daemon hears of good, rejected and pause, and that it hears from Consul at all."""

import json
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from bgd.core.events import CatalogSeen, LiveSeen, StoreDenied, StoreHeard
from bgd.core.model import Colour, Desired, Ledger
from bgd.store import catalog_watch, follow, records, wish_watch
from bgd.store.client import Client
from bgd.store.ops import Delete, Op, Set
from tests.integration import consul
from tests.integration.consul import ConsulServer
from tests.integration.store_world import WITHIN_S, Mailbox, app, client, fleet
from tests.integration.waiting import eventually

APP = "bluegreen/apps/shop"
GOOD = json.dumps({"schema": 1, "release": "2.0", "generation": 7, "confirmed_at": "t"})
TOLD = {"node": "lb-1", "at": "t0"}


def ledger(matching: Callable[[Ledger], bool]) -> Callable[[LiveSeen], bool]:
    return lambda seen: "shop" in seen.ledgers and matching(seen.ledgers["shop"])


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions that come back soon without news."""
    monkeypatch.setattr(wish_watch, "WAIT_S", 0.2)
    monkeypatch.setattr(wish_watch, "SHORTEST_S", 0.2)
    monkeypatch.setattr(catalog_watch, "WAIT_S", 0.2)
    monkeypatch.setattr(catalog_watch, "HEARD_S", 0.2)


def test_a_wish_is_told_with_its_ledger(consul_server: ConsulServer) -> None:
    """What is good, rejected and paused comes in one event with the wish that was read with it."""
    consul_server.put(f"{APP}/good/green", GOOD)
    consul_server.put(f"{APP}/rejected/2.1", "")
    consul_server.put(f"{APP}/live", "green")
    with fleet(consul_server, app("shop"), app("web")) as (_, mailbox):
        seen = mailbox.wait(LiveSeen)
        assert isinstance(seen.keys["shop"], Desired)
        assert seen.ledgers["shop"].good[Colour.GREEN].release == "2.0"
        assert (seen.ledgers["shop"].rejected, seen.ledgers["shop"].pause) == ({"2.1"}, None)
        assert seen.ledgers["web"] == Ledger()


def test_a_change_of_the_ledger_alone_is_told(consul_server: ConsulServer) -> None:
    """A pause, a rejection and a confirmation are told of their app, and again when they are taken back."""
    consul_server.put(f"{APP}/live", "green")
    with fleet(consul_server, app("shop"), app("web")) as (store, mailbox):
        store.publish("shop", TOLD)
        live = mailbox.wait(LiveSeen).keys["shop"]
        consul_server.put(f"{APP}/pause", "deploy")
        paused = mailbox.wait(LiveSeen, ledger(lambda told: told.pause == "deploy"))
        assert paused.keys == {"shop": live}
        consul_server.put(f"{APP}/rejected/3", "")
        consul_server.put(f"{APP}/good/blue", GOOD)
        mailbox.wait(LiveSeen, ledger(lambda told: Colour.BLUE in told.good and told.rejected == {"3"}))
        consul_server.delete(APP + "/pause")
        consul_server.delete(APP + "/rejected/3")
        consul_server.delete(APP + "/good/blue")
        mailbox.wait(LiveSeen, ledger(lambda told: told == Ledger() and mailbox.events[-1] is not paused))


def test_one_transaction_is_one_event(consul_server: ConsulServer) -> None:
    """A revert's new wish is never told without the rejection that was written with it."""
    one = client(consul_server)
    consul_server.put(f"{APP}/live", "green")
    consul_server.put(f"{APP}/good/green", GOOD)
    with fleet(consul_server) as (store, mailbox):
        store.publish("shop", TOLD)
        mailbox.wait(LiveSeen)
        mailbox.forget()
        revert: list[Op] = [
            Set(one.keys.live("shop"), b"blue"),
            Set(one.keys.rejected("shop", "2.0"), records.encode({"release": "2.0"})),
            Delete(one.keys.good("shop", "green")),
        ]
        one.transact(revert)
        seen = mailbox.wait(LiveSeen)
        assert isinstance(seen.keys["shop"], Desired)
        assert seen.keys["shop"].colour is Colour.BLUE
        assert seen.ledgers["shop"] == Ledger({}, frozenset({"2.0"}))


@pytest.mark.usefixtures("short_waits")
def test_an_answer_without_news_is_heard(consul_server: ConsulServer) -> None:
    """That Consul answers is said of the wishes and of each catalog, again and again."""
    consul_server.put(f"{APP}/live", "green")
    with fleet(consul_server) as (_, mailbox):
        mailbox.wait(LiveSeen)
        mailbox.wait(CatalogSeen)
        for _ in range(2):
            mailbox.forget()
            mailbox.wait(StoreHeard, lambda heard: heard.app is None)
            mailbox.wait(StoreHeard, lambda heard: heard.app == "shop")
        assert not mailbox.of(LiveSeen) + mailbox.of(CatalogSeen)


def test_news_of_one_app_does_not_keep_the_others_waiting(
    consul_server: ConsulServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one app changes all the time, the others are still told that Consul answers."""
    monkeypatch.setattr(wish_watch, "OVERDUE_S", 0.3)
    with fleet(consul_server, app("shop"), app("web")) as (_, mailbox):
        mailbox.wait(LiveSeen)
        colours = cycle(["blue", "green"])

        def heard() -> bool:
            consul_server.put(f"{APP}/live", next(colours))
            return any(heard.app is None for heard in mailbox.of(StoreHeard))

        eventually(heard, within_s=WITHIN_S)


def test_the_same_catalog_is_told_again_after_a_fault(lasting_consul: ConsulServer) -> None:
    """What was known before Consul was lost is news when it is back."""
    with fleet(lasting_consul) as (_, mailbox):
        before = mailbox.wait(CatalogSeen)
        lasting_consul.kill()
        mailbox.forget()
        lasting_consul.start()
        assert mailbox.wait(CatalogSeen) == before


READ = 'node_prefix "" { policy = "read" } service_prefix "" { policy = "read" } '
WRITE = READ + 'session_prefix "" { policy = "write" } key_prefix "" { policy = "write" } '
HIDDEN = {
    "all": READ + 'session_prefix "" { policy = "write" }',
    "rejections": WRITE + f'key_prefix "{APP}/rejected/" {{ policy = "deny" }}',
    "good": WRITE + f'key_prefix "{APP}/good/" {{ policy = "deny" }}',
    "pause": WRITE + f'key "{APP}/pause" {{ policy = "deny" }}',
}


@pytest.fixture
def guarded(tmp_path: Path) -> "consul.ConsulServer":
    with consul.running(tmp_path / "consul", acl=True) as server:
        yield server


def test_a_ledger_that_is_hidden_is_not_empty(guarded: ConsulServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever part of the ledger we may no longer read: that is denied, and nothing in it is gone."""
    monkeypatch.setattr(wish_watch, "WAIT_S", 0.2)
    monkeypatch.setattr(follow, "LONGEST_S", 0.1)
    token = guarded.grant("daemon", WRITE)
    for key, text in (("live", "green"), ("good/green", GOOD), ("rejected/3", ""), ("pause", "deploy")):
        guarded.put(f"{APP}/{key}", text)
    mailbox = Mailbox()
    with fleet(guarded, token=token, mailbox=mailbox) as (store, _):
        store.publish("shop", TOLD)
        whole = mailbox.wait(LiveSeen)
        eventually(lambda: guarded.get("bluegreen/nodes/shop/lb-1"))
        for hidden, rules in HIDDEN.items():
            mailbox.forget()
            guarded.grant("daemon", rules)
            mailbox.wait(StoreDenied)
            assert all(seen == whole for seen in mailbox.of(LiveSeen)), hidden
            mailbox.forget()
            guarded.grant("daemon", WRITE)
            assert mailbox.wait(LiveSeen) == whole


def test_a_right_that_comes_back_meanwhile(guarded: ConsulServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was hidden when the keys were read is not gone because it may be asked for a moment later."""
    monkeypatch.setattr(wish_watch, "WAIT_S", 0.2)
    token = guarded.grant("daemon", WRITE)
    guarded.put(f"{APP}/live", "green")
    guarded.put(f"{APP}/pause", "deploy")
    look, given_back = Client.look, []

    def later(one: Client, key: str, *, consistent: bool = False) -> Any:
        if key == f"{APP}/pause" and not given_back:
            guarded.grant("daemon", WRITE)
            eventually(lambda: look(one, key, consistent=True)[1], "the right is back")
            given_back.append(key)
        return look(one, key, consistent=consistent)

    monkeypatch.setattr(Client, "look", later)
    with fleet(guarded, token=token) as (store, mailbox):
        store.publish("shop", TOLD)
        whole = mailbox.wait(LiveSeen)
        eventually(lambda: guarded.get("bluegreen/nodes/shop/lb-1"))
        mailbox.forget()
        guarded.grant("daemon", HIDDEN["pause"])
        mailbox.wait(StoreDenied)
        assert mailbox.wait(LiveSeen) == whole
        assert all(seen == whole for seen in mailbox.of(LiveSeen))
