"""What a daemon hears of wishes, backends and members, and what it must not believe."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bgd.core.events import CatalogSeen, LiveSeen, MembersSeen, StoreDenied, StoreLost
from bgd.core.model import Colour, Desired, KeyBad, KeyGone
from bgd.store import alive, records, writes
from bgd.store.fleet import Fleet
from bgd.store.ops import Set
from tests.integration import consul
from tests.integration.consul import ConsulServer
from tests.integration.store_world import Mailbox, app, client, fleet
from tests.integration.waiting import eventually

LIVE = "bluegreen/apps/shop/live"
REPORT = "bluegreen/nodes/shop/lb-1"
ALIVE = "bluegreen/alive/lb-1"
TOLD = {"node": "lb-1", "serving": {"colour": "blue", "generation": 1, "proved": True}, "at": "t0"}


def says(colour: Colour) -> Callable[[LiveSeen], bool]:
    def matches(seen: LiveSeen) -> bool:
        key = seen.keys.get("shop")
        return isinstance(key, Desired) and key.colour is colour

    return matches


def gone(seen: LiveSeen) -> bool:
    return isinstance(seen.keys["shop"], KeyGone)


# -- wishes ---------------------------------------------------------------------------------------


def test_all_wishes_are_told_at_once(consul_server: ConsulServer) -> None:
    """The first word is about every configured app, also about those without a key."""
    consul_server.put(LIVE, "green")
    with fleet(consul_server, app("shop"), app("web")) as (_, mailbox):
        keys = mailbox.wait(LiveSeen).keys
    assert keys["shop"] == Desired(Colour.GREEN, consul_server.index(LIVE))
    assert isinstance(keys["web"], KeyGone)
    assert keys["web"].index >= consul_server.index(LIVE)


def test_only_a_change_of_meaning_is_told(consul_server: ConsulServer) -> None:
    """Other keys and other apps wake the watch, but are no news."""
    consul_server.put(LIVE, "blue")
    with fleet(consul_server) as (_, mailbox):
        mailbox.wait(LiveSeen)
        for key in ("bluegreen/apps/shop/prepare", "bluegreen/apps/other/live", "bluegreen/apps/zz"):
            consul_server.put(key, "green")
        consul_server.delete("bluegreen/apps/other", recurse=True)
        consul_server.put(LIVE, "GREEN ")
        mailbox.wait(LiveSeen, says(Colour.GREEN))
        assert len(mailbox.of(LiveSeen)) == 2


def test_a_wish_is_told_with_its_order(consul_server: ConsulServer) -> None:
    """An order is told with the live key of its transaction, and no longer once either is written alone."""
    one = client(consul_server)
    with fleet(consul_server) as (_, mailbox):
        seen = mailbox.wait(LiveSeen).keys["shop"]
        writes.set_live(one, "shop", Colour.GREEN, by="alice", seen=seen)
        key = mailbox.wait(LiveSeen, says(Colour.GREEN)).keys["shop"]
        assert isinstance(key, Desired)
        assert key.order is not None
        assert key.order.by == "alice"
        mailbox.forget()
        one.transact([Set(one.keys.order("shop"), records.order_out(replace(key.order, by="mallory")))])
        assert mailbox.wait(LiveSeen).keys["shop"] == replace(key, order=None)


def test_nonsense_and_a_deleted_key_are_told_as_such(consul_server: ConsulServer) -> None:
    """Nonsense is a bad key; a deleted key is gone, with an index above what it had."""
    consul_server.put(LIVE, "blue")
    with fleet(consul_server) as (store, mailbox):
        store.publish("shop", TOLD)
        mailbox.wait(LiveSeen, says(Colour.BLUE))
        consul_server.put(LIVE, "purple")
        bad = mailbox.wait(LiveSeen, lambda seen: isinstance(seen.keys["shop"], KeyBad)).keys["shop"]
        assert isinstance(bad, KeyBad)
        consul_server.delete(LIVE)
        key = mailbox.wait(LiveSeen, gone).keys["shop"]
        assert isinstance(key, KeyGone)
        assert key.index > bad.generation


def test_many_wishes_at_once(consul_server: ConsulServer) -> None:
    """Whatever is created, changed and deleted between two answers, the last word is what is there."""
    names = [f"app-{number}" for number in range(30)]
    with fleet(consul_server, *map(app, names)) as (store, mailbox):
        store.publish(names[0], TOLD)
        mailbox.wait(LiveSeen)
        for step in range(3):
            for number, name in enumerate(names):
                key = f"bluegreen/apps/{name}/live"
                if (number + step) % 5:
                    consul_server.put(key, "green" if (number + step) % 2 else "blue")
                else:
                    consul_server.delete(key)

        def there() -> dict[str, int]:
            return {name: consul_server.index(f"bluegreen/apps/{name}/live") for name in names}

        def told() -> dict[str, int]:
            keys = {app: key for seen in mailbox.of(LiveSeen) for app, key in seen.keys.items()}
            return {name: key.generation if isinstance(key, Desired) else 0 for name, key in keys.items()}

        eventually(lambda: told() == there())


# -- Consul in trouble ----------------------------------------------------------------------------


def test_a_killed_consul_is_lost_and_comes_back(lasting_consul: ConsulServer) -> None:
    """A dead Consul is lost at once; back again, the wish is told once more though nothing changed."""
    lasting_consul.put(LIVE, "blue")
    with fleet(lasting_consul) as (_, mailbox):
        before = mailbox.wait(LiveSeen, says(Colour.BLUE))
        mailbox.forget()
        lasting_consul.kill()
        assert "bluegreen/apps/" in mailbox.wait(StoreLost).detail
        lasting_consul.start()
        assert mailbox.wait(LiveSeen) == before


@pytest.mark.usefixtures("short_waits")
def test_a_frozen_consul_is_lost_and_comes_back(consul_server: ConsulServer) -> None:
    """A frozen Consul is lost when its answer is overdue; a wish that was written meanwhile is told."""
    consul_server.put(LIVE, "blue")
    with fleet(consul_server) as (_, mailbox):
        mailbox.wait(LiveSeen, says(Colour.BLUE))
        consul_server.stop()
        mailbox.wait(StoreLost)
        consul_server.cont()
        consul_server.put(LIVE, "green")
        mailbox.wait(LiveSeen, says(Colour.GREEN))


def test_lost_data_is_told_with_the_lower_index(consul_server: ConsulServer) -> None:
    """A Consul that restarts empty gets our report anew, and says that the key is gone, by a low index."""
    for _ in range(40):
        consul_server.put("unrelated", str(_))
    consul_server.put(LIVE, "blue")
    generation = consul_server.index(LIVE)
    with fleet(consul_server) as (store, mailbox):
        store.publish("shop", TOLD)
        mailbox.wait(LiveSeen, says(Colour.BLUE))
        eventually(lambda: consul_server.get(REPORT))
        consul_server.restart(empty=True)
        key = mailbox.wait(LiveSeen, gone).keys["shop"]
        assert isinstance(key, KeyGone)
        assert key.index < generation
        assert eventually(lambda: consul_server.get(REPORT))
        eventually(lambda: consul_server.get(ALIVE))
        for colour in (Colour.BLUE, Colour.GREEN, Colour.BLUE):
            mailbox.forget()
            consul_server.put(LIVE, colour.value)
            mailbox.wait(LiveSeen, says(colour))


@pytest.mark.usefixtures("short_waits")
def test_a_restored_snapshot_is_told_and_reported_to_anew(consul_server: ConsulServer) -> None:
    """After a restore the old wish is told under its old number, and our newest report stands again."""
    consul_server.put(LIVE, "blue")
    generation = consul_server.index(LIVE)
    with fleet(consul_server) as (store, mailbox):
        store.publish("shop", {**TOLD, "step": "old"})
        eventually(lambda: "old" in (consul_server.get(REPORT) or ""))
        saved = consul_server.snapshot()
        store.publish("shop", {**TOLD, "step": "new"})
        consul_server.put(LIVE, "green")
        mailbox.wait(LiveSeen, says(Colour.GREEN))
        eventually(lambda: "new" in (consul_server.get(REPORT) or ""))
        mailbox.forget()
        consul_server.restore(saved)
        key = mailbox.wait(LiveSeen, says(Colour.BLUE)).keys["shop"]
        assert key == Desired(Colour.BLUE, generation)
        eventually(lambda: "new" in (consul_server.get(REPORT) or ""))


ALL = """key_prefix "" { policy = "write" } session_prefix "" { policy = "write" }
node_prefix "" { policy = "read" } service_prefix "" { policy = "read" }"""


@pytest.mark.usefixtures("short_waits")
def test_a_lost_right_empties_nothing(tmp_path: Path) -> None:
    """Rights that are taken look like an empty store: that is told as denied, and nothing as gone."""
    with consul.running(tmp_path / "consul", acl=True) as server:
        token = server.grant("daemon", ALL)
        server.put(LIVE, "blue")
        server.register("shop", "w1", "127.0.0.1", 80, tags=["blue"])
        with fleet(server, token=token) as (store, mailbox):
            store.publish("shop", TOLD)
            mailbox.wait(LiveSeen, says(Colour.BLUE))
            mailbox.wait(CatalogSeen, lambda seen: bool(seen.backends[Colour.BLUE]))
            eventually(lambda: server.get(REPORT))
            mailbox.forget()
            server.grant("daemon", 'node_prefix "" { policy = "read" }')
            server.put("bluegreen/apps/web/live", "blue")  # wakes whoever waits
            mailbox.wait(StoreDenied, lambda denied: REPORT in denied.detail)
            eventually(lambda: "catalog of shop" in store._rights._denied)
            server.grant("daemon", ALL)
            mailbox.wait(LiveSeen, says(Colour.BLUE))
            assert not [e for e in mailbox.of(LiveSeen) if gone(e)]
            assert all(seen.backends[Colour.BLUE] for seen in mailbox.of(CatalogSeen))


@pytest.mark.usefixtures("short_waits")
def test_a_refused_report_is_told_until_it_is_taken(tmp_path: Path) -> None:
    """A daemon that may read but not write says that it is denied, and all is well once it may."""
    with consul.running(tmp_path / "consul", acl=True) as server:
        token = server.grant(
            "daemon", ALL.replace('"" { policy = "write" } session', '"" { policy = "read" } session')
        )
        server.put(LIVE, "blue")
        with fleet(server, token=token) as (store, mailbox):
            store.publish("shop", TOLD)
            mailbox.wait(LiveSeen, says(Colour.BLUE))
            mailbox.wait(StoreDenied, lambda denied: "ermission denied" in denied.detail)
            mailbox.forget()
            server.grant("daemon", ALL)
            mailbox.wait(LiveSeen, says(Colour.BLUE))
            assert server.get(REPORT)


# -- backends -------------------------------------------------------------------------------------


def test_backends_come_and_go(consul_server: ConsulServer) -> None:
    """Each colour's instances are told as they come and go; a critical check is an objection."""
    consul_server.register("shop", "b1", "10.0.0.1", 80, tags=["blue"], meta={"version": "1"})
    with fleet(consul_server) as (store, mailbox):
        store.publish("shop", TOLD)
        first = mailbox.wait(CatalogSeen, lambda seen: len(seen.backends[Colour.BLUE]) == 1)
        (blue,) = first.backends[Colour.BLUE]
        assert (blue.name, blue.release, blue.id, blue.objection) == ("10.0.0.1:80", "1", "b1", "")
        check: dict[str, Any] = {"Name": "web", "TTL": "1h", "Status": "critical"}
        consul_server.register("shop", "g1", "10.0.0.2", 80, tags=["green"], checks=[check])
        second = mailbox.wait(CatalogSeen, lambda seen: bool(seen.backends[Colour.GREEN]))
        assert second.backends[Colour.GREEN][0].objection == '"web" is critical'
        consul_server.register("shop", "g2", "1.2.3.4\n server evil", 80, tags=["green"])
        assert "left out" in mailbox.wait(CatalogSeen, lambda seen: bool(seen.left_out)).left_out[0]
        for instance in ("b1", "g1", "g2"):
            consul_server.deregister(instance)
        mailbox.wait(CatalogSeen, lambda seen: not any(seen.backends.values()))


def test_a_check_that_only_talks_is_no_news(consul_server: ConsulServer) -> None:
    """A changed output of a check wakes the watch, but tells nothing."""
    check = {"CheckID": "talk", "Name": "web", "TTL": "1h", "Status": "passing"}
    consul_server.register("shop", "b1", "10.0.0.1", 80, tags=["blue"], checks=[check])
    with fleet(consul_server) as (_, mailbox):
        mailbox.wait(CatalogSeen, lambda seen: bool(seen.backends[Colour.BLUE]))
        before = len(mailbox.of(CatalogSeen))
        for number in range(5):
            consul_server.request("PUT", f"/v1/agent/check/pass/talk?note=n{number}")
        consul_server.register("shop", "b2", "10.0.0.2", 80, tags=["blue"])
        mailbox.wait(CatalogSeen, lambda seen: len(seen.backends[Colour.BLUE]) == 2)
        assert len(mailbox.of(CatalogSeen)) == before + 1


def test_colours_as_two_services(consul_server: ConsulServer) -> None:
    """Where each colour is a service, one word is told of both."""
    consul_server.register("shop-blue", "b1", "10.0.0.1", 80)
    consul_server.register("shop-green", "g1", "10.0.0.2", 80)
    with fleet(consul_server, app(colour_by="service")) as (_, mailbox):
        seen = mailbox.wait(CatalogSeen)
        assert [len(seen.backends[colour]) for colour in Colour] == [1, 1]


# -- members --------------------------------------------------------------------------------------


def test_members_are_read_while_wanted(consul_server: ConsulServer) -> None:
    """Who is wanted is read at once and each second; members are told with whether they live."""
    with (
        fleet(consul_server) as (one, mailbox),
        fleet(consul_server, node="lb-2", instance="two") as (two, _),
    ):
        one.publish("shop", TOLD)
        two.publish("shop", {**TOLD, "node": "lb-2", "because": "converged"})
        eventually(lambda: consul_server.get(REPORT) and consul_server.get("bluegreen/nodes/shop/lb-2"))
        one.follow_members("shop", True)
        seen = mailbox.wait(MembersSeen, lambda seen: len(seen.members) == 2)
        assert [(m.node, m.alive, m.proved) for m in seen.members] == [
            ("lb-1", True, True),
            ("lb-2", True, True),
        ]
        two.close()
        mailbox.wait(MembersSeen, lambda seen: not seen.members[1].alive)
        consul_server.put("bluegreen/nodes/shop/lb-2", records.encode(records.gone("alice")))
        mailbox.wait(MembersSeen, lambda seen: [m.node for m in seen.members] == ["lb-1"])
        one.follow_members("shop", False)


# -- what this node tells -------------------------------------------------------------------------


def test_a_daemon_lives_while_it_runs(consul_server: ConsulServer) -> None:
    """The sign of life is held by a session without checks, and goes with the daemon."""
    with fleet(consul_server) as _:
        key = eventually(lambda: consul_server.ask(f"/v1/kv/{ALIVE}"))[0]
        (session,) = consul_server.ask(f"/v1/session/info/{key['Session']}")
        assert (session["TTL"], session["Behavior"], session["LockDelay"]) == ("10s", "delete", 0)
        assert not session["NodeChecks"]
        assert not session["ServiceChecks"]
        told = records.decode((consul_server.get(ALIVE) or "").encode())
        assert told is not None
        assert told["instance"] == "one"
    assert consul_server.get(ALIVE) is None


def test_a_second_daemon_gives_way(consul_server: ConsulServer) -> None:
    """A daemon that finds another's sign of life under its name says so and writes nothing."""
    found: list[Exception] = []
    with fleet(consul_server):
        eventually(lambda: consul_server.get(ALIVE))
        with fleet(consul_server, instance="another", second=found.append) as (second, _):
            second.publish("shop", TOLD)
            eventually(lambda: found)
        assert "another daemon (instance 'one') lives" in str(found[0])
        assert consul_server.get(REPORT) is None
        assert consul_server.get(ALIVE)


def test_a_restarted_daemon_takes_its_sign_over(consul_server: ConsulServer) -> None:
    """A daemon that was killed and started anew takes over at once what its earlier life still holds."""
    one = client(consul_server)
    earlier = alive.Alive(one, "lb-1", "one")
    earlier.keep()
    before = consul_server.ask(f"/v1/kv/{ALIVE}")[0]["Session"]
    with fleet(consul_server) as (store, _):
        store.publish("shop", TOLD)
        eventually(lambda: consul_server.get(REPORT))
        assert consul_server.ask(f"/v1/kv/{ALIVE}")[0]["Session"] != before
        with pytest.raises(alive.SecondDaemon, match="copy of this daemon's state"):
            earlier.keep()


@pytest.mark.usefixtures("short_waits")
def test_a_lost_sign_of_life_is_set_anew(consul_server: ConsulServer) -> None:
    """A sign of life that was deleted, or whose session was ended, is soon there again."""
    with fleet(consul_server):
        session = eventually(lambda: consul_server.ask(f"/v1/kv/{ALIVE}"))[0]["Session"]
        consul_server.delete(ALIVE)
        eventually(lambda: consul_server.get(ALIVE))
        consul_server.request("PUT", f"/v1/session/destroy/{session}", b"")
        eventually(
            lambda: (consul_server.ask(f"/v1/kv/{ALIVE}") or [{}])[0].get("Session", session) != session
        )


def published(store: Fleet, server: ConsulServer, mark: str, **fields: str) -> int:
    """Publish a report and wait for a mark behind it; the report's index then."""
    store.publish("shop", {**TOLD, **fields})
    store.publish("web", {"mark": mark})
    eventually(lambda: f'"mark":"{mark}"' in (server.get("bluegreen/nodes/web/lb-1") or ""))
    return server.index(REPORT)


def test_only_a_new_meaning_is_written(consul_server: ConsulServer) -> None:
    """A report that differs only in its time is not written."""
    with fleet(consul_server, app("shop"), app("web")) as (store, _):
        first = published(store, consul_server, "a")
        assert published(store, consul_server, "b", at="later") == first
        assert published(store, consul_server, "c", because="converged") > first


def test_only_the_newest_report_waits(lasting_consul: ConsulServer) -> None:
    """Cut off from Consul, only the newest report waits, and stands there when Consul is back."""
    with fleet(lasting_consul) as (store, mailbox):
        store.publish("shop", TOLD)
        eventually(lambda: lasting_consul.get(REPORT))
        lasting_consul.kill()
        mailbox.wait(StoreLost)
        for step in range(50):
            store.publish("shop", {**TOLD, "step": step})
        lasting_consul.start()
        eventually(lambda: '"step":49' in (lasting_consul.get(REPORT) or ""))
        assert len(store._presence._jobs) == 0


def test_an_event_is_recorded(consul_server: ConsulServer) -> None:
    """The event of a generation is written by the node that proved it first."""
    with fleet(consul_server) as (store, _):
        store.record("shop", 5, {"what": "flip", "by": "alice"})
        assert '"alice"' in eventually(lambda: consul_server.get("bluegreen/history/shop/5"))


def test_the_configuration_changes(consul_server: ConsulServer) -> None:
    """An app that comes is watched at once; one that goes leaves a stone in place of its report."""
    consul_server.put("bluegreen/apps/web/live", "green")
    mailbox = Mailbox()
    with fleet(consul_server, app("shop"), mailbox=mailbox) as (store, _):
        store.publish("shop", TOLD)
        eventually(lambda: consul_server.get(REPORT))
        mailbox.forget()
        store.reconfigure([app("web")])
        assert set(mailbox.wait(LiveSeen, lambda seen: "web" in seen.keys).keys) == {"web"}
        mailbox.wait(CatalogSeen, lambda seen: seen.app == "web")
        assert '"by":"lb-1"' in eventually(lambda: "gone" in (r := consul_server.get(REPORT) or "") and r)
        store.publish("shop", TOLD)
        store.reconfigure([app("web"), app("shop")])
        store.publish("shop", TOLD)
        eventually(lambda: '"gone"' not in (consul_server.get(REPORT) or ""))
