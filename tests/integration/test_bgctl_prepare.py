"""bgctl set-live's first phase on a real Consul: who is asked, who answers, and what is left when it ends."""

import itertools
import json
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from bgd.core.model import Colour, Preparation
from bgd.store import prepares
from tests.integration.bgctl_world import DEADLINE_S, Ran, World, two_nodes
from tests.integration.consul import ConsulServer
from tests.integration.relay import Relay
from tests.integration.store_world import client
from tests.integration.waiting import eventually

COLD = {
    "gate": "warm-up",
    "ok": False,
    "because": "target-not-ready",
    "detail": "green is not warm: 503 from 10.0.0.4:80",
}
_NUMBERS = itertools.count()


@pytest.fixture
def fleet(calm_consul: ConsulServer) -> Iterator[World]:
    """Two nodes that serve blue, of the key's generation; nobody answers preparations yet."""
    with two_nodes(calm_consul, f"prepare-{next(_NUMBERS)}") as world:
        yield world


def error(ran: Ran) -> tuple[int, str, str]:
    """Exit code, reason and detail of an ending told in JSON."""
    told = ran.json["error"]
    assert ran.exit == told["exit"]
    return told["exit"], told["because"], told["detail"]


def order(world: World) -> Any:
    return json.loads(world.get("apps/shop/order") or "")


def untouched(world: World) -> bool:
    """Nothing was written, and nothing is left of the preparation."""
    return (world.get("apps/shop/live"), world.get("apps/shop/prepare")) == ("blue", None)


def session(world: World) -> dict[str, Any]:
    """The session that holds the preparation."""
    (entry,) = world.consul.ask(f"/v1/kv/{world.prefix}/apps/shop/prepare")
    (found,) = world.consul.ask(f"/v1/session/info/{entry['Session']}")
    return dict(found)


# -- who answers ----------------------------------------------------------------------------------


def test_the_order_names_who_prepared_and_what(fleet: World) -> None:
    """The order carries the nodes that acknowledged and the release that they tried; nothing else is left."""
    fleet.prepares("lb-1", "lb-2")

    assert fleet.bgctl("set-live", "green", "--no-wait").exit == 0

    assert (order(fleet)["prepared"], order(fleet)["release"]) == (["lb-1", "lb-2"], "2.5.0")
    assert fleet.get("apps/shop/prepare") is None


def test_a_gate_that_refuses(fleet: World) -> None:
    """One member's gate says no: exit 4 with its reason, node and evidence, and an untouched key."""
    fleet.prepares("lb-1")
    fleet.prepares("lb-2", gate=COLD)

    code, because, detail = error(fleet.bgctl("-o", "json", "set-live", "green"))

    assert (code, because) == (4, "target-not-ready")
    assert "lb-2 (warm-up): target-not-ready, green is not warm: 503 from 10.0.0.4:80" in detail
    assert untouched(fleet)


def test_a_yes_can_be_taken_back(fleet: World) -> None:
    """A member that has said yes and says no while others still prepare ends it as well."""
    with fleet.started("-o", "json", "set-live", "green") as running:
        fleet.answers("lb-1", fleet.until_asked())
        running.until_said("lb-1  prepared")
        fleet.answers("lb-1", fleet.asked(), COLD)

        assert error(running.end())[:2] == (4, "target-not-ready")
    assert untouched(fleet)


def test_who_does_not_answer_in_time(fleet: World) -> None:
    """A member that lives and does not answer ends it with 3 before the commit, and the cures name it."""
    fleet.prepares("lb-1")

    ran = fleet.bgctl("-o", "json", "set-live", "green", "--timeout", "5s")

    code, because, detail = error(ran)
    assert (code, because) == (3, "node-silent")
    assert "not acknowledged in time by lb-2" in detail
    for cure in ("--without lb-2", "bgctl forget lb-2 --app shop"):
        assert cure in ran.json["error"]["cure"]
    assert untouched(fleet)


def test_who_is_back_in_time(fleet: World) -> None:
    """A member that falls silent while it is asked is waited for: it may only be starting anew."""
    fleet.prepares("lb-1")
    with fleet.started("set-live", "green", "--no-wait") as running:
        running.until_said("lb-1  prepared")
        fleet.dies("lb-2")
        running.until_said("lb-2  silent")
        fleet.lives("lb-2")
        fleet.answers("lb-2", fleet.asked())

        assert running.end().exit == 0
    assert order(fleet)["prepared"] == ["lb-1", "lb-2"]


def test_who_serves_it_already_need_not_answer(fleet: World) -> None:
    """A member that serves the colour moves no request, and its answer is not waited for."""
    fleet.tells("lb-2", "green", proved=False)
    fleet.prepares("lb-1")

    assert fleet.bgctl("set-live", "green", "--no-wait").exit == 0
    assert order(fleet)["prepared"] == ["lb-1"]


# -- without a node ---------------------------------------------------------------------------------


def test_without_a_silent_node(fleet: World) -> None:
    """The others flip without a silent node; then its missing proof is exit 3, until it is forgotten."""
    fleet.dies("lb-2")
    fleet.prepares("lb-1")
    fleet.follows("lb-1")

    code, because, detail = error(fleet.bgctl("-o", "json", "set-live", "green", "--without", "lb-2"))

    assert (code, because) == (3, "node-silent")
    assert "is written and stands; proved by lb-1; not proved by lb-2" in detail
    assert (fleet.get("apps/shop/live"), order(fleet)["prepared"]) == ("green", ["lb-1"])
    assert fleet.bgctl("forget", "lb-2").exit == 0
    assert fleet.bgctl("wait", "--converged").exit == 0


def test_without_a_node_that_follows(fleet: World) -> None:
    """A node that was left out and lives is waited for after the commit: 0 means that all have proved."""
    fleet.tells("lb-2", green=("down", "target-not-ready: 0/3 ready, 3 needed"))
    fleet.prepares("lb-1")
    fleet.follows("lb-1")
    with fleet.started("set-live", "green", "--without", "lb-2") as running:
        running.until_said("lb-2  left out")
        running.until_said("lb-1  green proved")
        assert fleet.get("apps/shop/live") == "green"
        fleet.tells("lb-2", "green")

        assert running.end().exit == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [(["lb-3"], "no such member; did you mean lb-"), (["lb-1", "--without", "lb-2"], "every member")],
)
def test_without_whom(fleet: World, words: list[str], said: str) -> None:
    """Leaving out a node that is no member, or all of them, is a wrong use, and names the members."""
    ran = fleet.bgctl("set-live", "green", "--without", *words)

    assert ran.exit == 2
    assert said in ran.err
    assert untouched(fleet)


# -- others meanwhile -------------------------------------------------------------------------------


def test_two_at_once(fleet: World) -> None:
    """Whoever asks while another prepares hears whose flip that is, exit 4; the first goes on."""
    with fleet.started("set-live", "green", "--no-wait") as running:
        name = fleet.until_asked()
        by = json.loads(fleet.get("apps/shop/prepare") or "")["by"]

        code, because, detail = error(fleet.bgctl("-o", "json", "set-live", "green"))

        assert (code, because) == (4, "flip-in-progress")
        assert f"{by} is preparing green for shop since" in detail
        for node in ("lb-1", "lb-2"):
            fleet.answers(node, name)
        assert running.end().exit == 0
    assert fleet.get("apps/shop/live") == "green"


def test_force_does_not_wait_for_others(fleet: World) -> None:
    """Who forces asks nobody; whoever was preparing hears that somebody was faster."""
    with fleet.started("-o", "json", "set-live", "green") as running:
        fleet.until_asked()
        assert fleet.bgctl("set-live", "green", "--force", "--no-wait", SUDO_USER="bob").exit == 0

        code, because, detail = error(running.end())
    assert (code, because) == (4, "superseded")
    assert "by bob@" in detail
    assert "nothing was written" in detail
    assert order(fleet)["force"] is True


def test_a_revert_does_not_wait(fleet: World) -> None:
    """A wish that the daemons write while somebody prepares is not held up, and ends the preparation."""
    with fleet.started("-o", "json", "set-live", "green") as running:
        fleet.until_asked()
        wish = {"schema": 1, "kind": "revert", "colour": "blue", "by": "bgd on lb-1", "after": 1}
        fleet.transact({"apps/shop/live": "blue ", "apps/shop/order": json.dumps(wish)})

        code, because, detail = error(running.end())
    assert (code, because) == (4, "superseded")
    assert "by bgd on lb-1" in detail
    assert fleet.get("apps/shop/prepare") is None


def test_redeployed_meanwhile(fleet: World) -> None:
    """Another release deployed while it is prepared was not asked for: exit 4, and nothing is written."""
    with fleet.started("-o", "json", "set-live", "green") as running:
        fleet.answers("lb-1", fleet.until_asked())
        fleet.tells("lb-2", release="2.6.0")

        code, because, detail = error(running.end())
    assert (code, because) == (4, "wish-expired")
    assert "asked for was 2.5.0, it now runs 2.6.0 on lb-2" in detail
    assert untouched(fleet)


def test_two_releases_are_not_one_flip(fleet: World) -> None:
    """Members whose catalogs differ are waited for, until they are at one on the release."""
    fleet.prepares("lb-1", "lb-2")
    fleet.tells("lb-2", release="2.6.0")
    code, because, detail = error(fleet.bgctl("-o", "json", "set-live", "green", "--timeout", "500ms"))
    assert (code, because) == (4, "mixed-releases")
    assert "2.5.0 on lb-1; 2.6.0 on lb-2" in detail
    assert untouched(fleet)

    with fleet.started("set-live", "green", "--no-wait") as running:
        running.until_said("lb-2  green is ready")
        fleet.tells("lb-1", release="2.6.0")

        assert running.end().exit == 0
    assert order(fleet)["release"] == "2.6.0"


def test_the_preparation_is_lost(fleet: World) -> None:
    """A preparation whose session was ended by somebody else is told as lost, and nothing is written."""
    with fleet.started("-o", "json", "set-live", "green") as running:
        fleet.until_asked()
        fleet.consul.request("PUT", f"/v1/session/destroy/{session(fleet)['ID']}")

        code, because, detail = error(running.end())
    assert (code, because) == (3, "store-lost")
    assert "does not stand any more" in detail
    assert untouched(fleet)


# -- whoever dies -----------------------------------------------------------------------------------


@pytest.mark.soak
def test_killed_while_it_prepares(fleet: World) -> None:
    """The preparation of a bgctl that is killed goes by itself; that of one that lives stays."""
    other = client(fleet.consul, prefix=f"{fleet.prefix}-lasting")
    lasting = prepares.hold(other, "shop", Preparation(id="1", colour=Colour.GREEN))
    assert isinstance(lasting, prepares.Held)
    with fleet.started("set-live", "green") as running:
        fleet.until_asked()
        held = session(fleet)
        running.process.kill()
        assert running.end().exit == -9
    assert (held["TTL"], held["Behavior"], held["LockDelay"]) == ("10s", "delete", 0)
    assert not held.get("Checks")

    assert error(fleet.bgctl("-o", "json", "set-live", "green"))[1] == "flip-in-progress"
    eventually(lambda: untouched(fleet), "its preparation is gone", within_s=60)
    fleet.prepares("lb-1", "lb-2")
    assert fleet.bgctl("set-live", "green", "--no-wait").exit == 0
    assert lasting.taken() is None
    assert lasting.end()
    assert other.read(other.keys.prepare("shop")) is None
    other.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_it_prepares(fleet: World, number: signal.Signals) -> None:
    """Interrupted or terminated, it says that nothing was written, and takes its preparation back."""
    with fleet.started("set-live", "green") as running:
        fleet.until_asked()
        running.process.send_signal(number)
        ran = running.end()

    assert ran.exit == 130
    assert "nothing was written: shop's key is untouched, and the preparation is withdrawn" in ran.err
    assert untouched(fleet)


@pytest.mark.parametrize("carried_out", [True, False])
def test_interrupted_while_it_writes(fleet: World, carried_out: bool) -> None:
    """Interrupted in the middle of the commit, it finds out whether that was carried out, and says which."""
    fleet.prepares("lb-1", "lb-2")
    slow = SlowCommit(fleet.consul, carried_out=carried_out)
    with fleet.started("--consul-addr", slow.address, "set-live", "green") as running:
        assert slow.reached.wait(DEADLINE_S)
        running.interrupt()
        ran = running.end()
    slow.go_on.set()
    assert slow.over.wait(DEADLINE_S)
    slow.close()

    assert ran.exit == 130
    said = "green is written as generation" if carried_out else "nothing was written"
    assert said in ran.err
    assert fleet.get("apps/shop/live") == ("green" if carried_out else "blue")
    assert fleet.get("apps/shop/prepare") is None


class SlowCommit(Relay):
    """Keeps the transaction that commits, before Consul gets it or after, until it may go on."""

    def __init__(self, server: ConsulServer, *, carried_out: bool) -> None:
        self._carried_out = carried_out
        self.reached, self.go_on, self.over = threading.Event(), threading.Event(), threading.Event()
        super().__init__(server)

    def passes(self, near: socket.socket, far: socket.socket) -> None:
        while request := near.recv(1 << 20):
            commits = b"check-session" in request
            if commits and not self._carried_out:
                self._keep()
            far.sendall(request)
            answer = far.recv(1 << 20)
            if commits and self._carried_out:
                self._keep()
            if commits:
                self.over.set()
            near.sendall(answer)

    def _keep(self) -> None:
        self.reached.set()
        self.go_on.wait(DEADLINE_S)
