"""More services than Consul would bear watches for: read in rounds, and at once when something changed."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bgd.core.events import CatalogSeen, StoreDenied, StoreHeard, StoreLost
from bgd.core.model import Colour
from bgd.store import catalog_rounds
from bgd.store.client import Client
from bgd.store.fleet import Fleet
from bgd.store.shares import SHARES_AT_MOST
from tests.integration import consul
from tests.integration.consul import ConsulServer
from tests.integration.store_world import Mailbox, app, fleet
from tests.integration.waiting import eventually

APPS = ("shop", "web", "cart", "pay", "mail")
TOLD = {"node": "lb-1", "at": "t0"}
ALL = """key_prefix "" { policy = "write" } session_prefix "" { policy = "write" }
node_prefix "" { policy = "read" } service_prefix "" { policy = "read" }"""


@contextmanager
def rounds(
    server: ConsulServer, *names: str, token: str = "", mailbox: Mailbox | None = None
) -> Iterator[tuple[Fleet, Mailbox]]:
    """A node with more services than it may watch. Rounds come so seldom that only a signal is in time."""
    apps = map(app, names or APPS)
    with fleet(server, *apps, token=token, mailbox=mailbox, watches_at_most=2) as (store, mailbox):
        store.publish("shop", TOLD)
        eventually(lambda: {seen.app for seen in mailbox.of(CatalogSeen)} >= set(names or APPS))
        yield store, mailbox


def seen(mailbox: Mailbox, name: str, *ids: str) -> CatalogSeen:
    """Wait until exactly these instances of an app's blue are told."""
    return mailbox.wait(
        CatalogSeen,
        lambda told: told.app == name and tuple(each.id for each in told.backends[Colour.BLUE]) == ids,
    )


def put(server: ConsulServer, name: str, id: str, *, tag: str = "blue", status: str = "") -> None:
    checks = [{"Name": "web", "CheckID": f"check-{id}", "TTL": "1h", "Status": status}] if status else []
    server.register(name, id, "10.0.0.1", 80 + int(id[1:]), tags=[tag], checks=checks)


def test_every_change_is_told_of_the_app_that_it_is_of(consul_server: ConsulServer) -> None:
    """Registration, health, tags, and the last instance's leaving: each is told, and of its app alone."""
    with rounds(consul_server) as (_, mailbox):
        mailbox.forget()
        put(consul_server, "web", "w1", status="passing")
        (backend,) = seen(mailbox, "web", "w1").backends[Colour.BLUE]
        assert backend.objection == ""
        consul_server.request("PUT", "/v1/agent/check/fail/check-w1")
        mailbox.wait(
            CatalogSeen, lambda told: any("critical" in each.objection for each in told.backends[Colour.BLUE])
        )
        put(consul_server, "web", "w1", tag="green", status="passing")
        mailbox.wait(CatalogSeen, lambda told: bool(told.backends[Colour.GREEN]))
        mailbox.forget()
        consul_server.deregister("w1")
        seen(mailbox, "web")
        assert {told.app for told in mailbox.of(CatalogSeen)} == {"web"}


def test_no_change_is_lost_between_two_readings(consul_server: ConsulServer) -> None:
    """However changes of all apps come, the last word of each is told."""
    with rounds(consul_server) as (_, mailbox):
        for number in range(1, 21):
            put(consul_server, APPS[number % 5], f"b{number}")
        for number in range(1, 16):
            consul_server.deregister(f"b{number}")
        for number in range(16, 21):
            seen(mailbox, APPS[number % 5], f"b{number}")


def test_a_change_while_a_service_is_read_is_told(
    consul_server: ConsulServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What changes after a service was asked, and before its answer is told, is told next."""
    asked, go_on = threading.Event(), threading.Event()
    health = Client.health

    def slowly(self: Client, service: str, **how: float) -> object:
        answer = health(self, service, **how)  # type: ignore[arg-type]
        if service == "web" and answer[1]:
            asked.set()
            go_on.wait(10)
        return answer

    with rounds(consul_server) as (_, mailbox):
        monkeypatch.setattr(Client, "health", slowly)
        put(consul_server, "web", "w1")
        assert asked.wait(10)
        put(consul_server, "web", "w2")
        put(consul_server, "pay", "p1")
        go_on.set()
        seen(mailbox, "web", "w1")
        seen(mailbox, "web", "w1", "w2")
        seen(mailbox, "pay", "p1")


def test_a_consul_that_comes_back_is_read_anew(lasting_consul: ConsulServer) -> None:
    """What was known before Consul was lost is told again when it is back, and then what is new."""
    put(lasting_consul, "web", "w1")
    with rounds(lasting_consul) as (_, mailbox):
        lasting_consul.kill()
        mailbox.wait(StoreLost)
        mailbox.forget()
        lasting_consul.start()
        eventually(lambda: {told.app for told in mailbox.of(CatalogSeen)} == set(APPS))
        put(lasting_consul, "cart", "c1")
        seen(mailbox, "cart", "c1")


def test_a_consul_that_lost_everything_is_read_anew(consul_server: ConsulServer) -> None:
    """After a loss of data indexes begin anew: what they are compared with is forgotten with them."""
    put(consul_server, "web", "w1")
    with rounds(consul_server) as (_, mailbox):
        seen(mailbox, "web", "w1")
        mailbox.forget()
        consul_server.restart(empty=True)
        seen(mailbox, "web")
        put(consul_server, "web", "w2")
        seen(mailbox, "web", "w2")


def test_an_answer_that_is_emptier_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A right that is lost moves no index; the next round finds it, is denied, and empties nothing."""
    monkeypatch.setattr(catalog_rounds, "WAIT_S", 0.5)
    with consul.running(tmp_path / "consul", acl=True) as server:
        token = server.grant("daemon", ALL)
        put(server, "web", "w1")
        with rounds(server, token=token) as (_, mailbox):
            seen(mailbox, "web", "w1")
            eventually(lambda: server.get("bluegreen/nodes/shop/lb-1"))
            mailbox.forget()
            server.grant("daemon", 'node_prefix "" { policy = "read" }')
            mailbox.wait(StoreDenied, lambda denied: "nodes/shop/lb-1" in denied.detail)
            server.grant("daemon", ALL)
            seen(mailbox, "web", "w1")
            assert not [
                told
                for told in mailbox.of(CatalogSeen)
                if told.app == "web" and not told.backends[Colour.BLUE]
            ]


def test_an_answer_without_news_is_heard_of_every_app(
    consul_server: ConsulServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That the catalog is as it was is said of each app, again and again."""
    monkeypatch.setattr(catalog_rounds, "WAIT_S", 0.2)
    with rounds(consul_server) as (_, mailbox):
        for _ in range(2):
            mailbox.forget()
            eventually(lambda: {heard.app for heard in mailbox.of(StoreHeard)} >= set(APPS))
        assert not mailbox.of(CatalogSeen)


def test_apps_come_and_go_over_the_limit(consul_server: ConsulServer) -> None:
    """A configuration that has more, or fewer, services than may be watched is read in the other way."""
    with rounds(consul_server, "shop", "web") as (store, mailbox):
        for names in (APPS, ("shop", "pay", "mail"), ("shop",), ("shop", "cart", "web")):
            store.reconfigure([app(name) for name in names])
            id = f"i{len(names)}"
            put(consul_server, names[-1], id)
            mailbox.wait(CatalogSeen, lambda told, id=id: id in str(told.backends))  # type: ignore[misc]
            mailbox.forget()
            consul_server.deregister(id)
            mailbox.wait(CatalogSeen, lambda told, id=id: id not in str(told.backends))  # type: ignore[misc]


def test_connections_stay_few_however_many_services(consul_server: ConsulServer) -> None:
    """Consul lets one address have 200 connections; a node with more services needs a handful."""
    with rounds(consul_server, "shop", *(f"app{number}" for number in range(40))):
        assert 3 <= connections(consul_server) <= 12 + SHARES_AT_MOST


def connections(server: ConsulServer) -> int:
    """How many connections this process has to a Consul."""
    ends = f":{int(server.address.rpartition(':')[2]):04X}"
    table = Path("/proc/self/net/tcp").read_text().splitlines()[1:]
    return sum(row.split()[2].endswith(ends) and row.split()[3] == "01" for row in table)
