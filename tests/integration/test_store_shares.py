"""Many apps' wishes in a few watches, on a real Consul: each is told in its own time, and lost by itself."""

import pytest

from bgd.core.events import LiveSeen, StoreDenied, StoreHeard, StoreLost
from bgd.core.model import Colour, Desired
from bgd.store.shares import shares
from tests.integration import consul
from tests.integration.consul import ConsulServer
from tests.integration.store_world import Mailbox, app, fleet
from tests.integration.waiting import eventually

APPS = ["shop", "shoe", "till", "mail"]
RIGHTS = """key_prefix "" { policy = "write" } session_prefix "" { policy = "write" }
node_prefix "" { policy = "read" } service_prefix "" { policy = "read" }"""


def live(name: str) -> str:
    return f"bluegreen/apps/{name}/live"


def told(mailbox: Mailbox) -> dict[str, Colour]:
    """The newest word on each app."""
    keys = {name: key for seen in mailbox.of(LiveSeen) for name, key in seen.keys.items()}
    return {name: key.colour for name, key in keys.items() if isinstance(key, Desired)}


def until_told(mailbox: Mailbox, colours: dict[str, Colour]) -> None:
    eventually(lambda: told(mailbox) == colours, f"all is told: {colours}")


@pytest.fixture
def blue(consul_server: ConsulServer) -> ConsulServer:
    for name in APPS:
        consul_server.put(live(name), "blue")
    return consul_server


def test_every_app_is_told_by_its_own_share(blue: ConsulServer) -> None:
    """And what another share reads is no news."""
    assert len(shares(APPS, enough=1)) == len(APPS)
    with fleet(blue, *map(app, APPS), read_together=1) as (_, mailbox):
        until_told(mailbox, dict.fromkeys(APPS, Colour.BLUE))
        for name in APPS:
            mailbox.forget()
            blue.put(live(name), "green")
            mailbox.wait(LiveSeen)
            assert told(mailbox) == {name: Colour.GREEN}


@pytest.mark.usefixtures("short_waits")
def test_that_nothing_has_changed_is_told_of_all(blue: ConsulServer) -> None:
    """Each share for its own apps: one that is lost is not vouched for by another."""
    with fleet(blue, *map(app, APPS), read_together=1) as (_, mailbox):

        def heard() -> set[str]:
            return {name for each in mailbox.of(StoreHeard) if each.app is None for name in each.apps or ()}

        eventually(lambda: heard() == set(APPS))


def test_a_killed_consul_is_lost_for_all_and_comes_back_for_all(lasting_consul: ConsulServer) -> None:
    for name in APPS:
        lasting_consul.put(live(name), "blue")
    with fleet(lasting_consul, *map(app, APPS), read_together=1) as (_, mailbox):
        until_told(mailbox, dict.fromkeys(APPS, Colour.BLUE))
        mailbox.forget()
        lasting_consul.kill()
        eventually(lambda: {name for each in mailbox.of(StoreLost) for name in each.apps or ()} == set(APPS))
        lasting_consul.start()
        until_told(mailbox, dict.fromkeys(APPS, Colour.BLUE))


@pytest.mark.usefixtures("short_waits")
def test_a_right_to_read_that_is_lost_for_one_is_lost_for_one(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The others go on, and the one comes back when the right does."""
    with consul.running(tmp_path_factory.mktemp("shares"), acl=True) as server:
        token = server.grant("daemon", RIGHTS)
        for name in APPS:
            server.put(live(name), "blue")
        with fleet(server, *map(app, APPS), read_together=1, token=token) as (store, mailbox):
            for name in APPS:
                store.publish(name, {"schema": 1, "because": "converged"})
            until_told(mailbox, dict.fromkeys(APPS, Colour.BLUE))
            eventually(lambda: all(server.get(f"bluegreen/nodes/{name}/lb-1") for name in APPS))
            mailbox.forget()
            server.grant("daemon", f'{RIGHTS} key_prefix "bluegreen/apps/till/" {{ policy = "deny" }}')
            server.put(live("till"), "green")
            denied = mailbox.wait(StoreDenied)
            assert denied.apps == {"till"}
            server.put(live("shop"), "green")
            eventually(lambda: told(mailbox).get("shop") is Colour.GREEN, "the others go on")
            mailbox.forget()
            server.grant("daemon", RIGHTS)
            eventually(lambda: told(mailbox).get("till") is Colour.GREEN, "the one is back")
