"""What nginx does by itself while it is permitted: it goes on to the other colour when live refuses."""

import shutil
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from bgctl.demo.parts import Backends
from bgd.config import AppSettings
from bgd.core.model import Colour, Server, Wanted
from bgd.core.permission import Permission
from bgd.core.reasons import Because
from bgd.ports import Failed, Proved
from bgd.proxy import asking
from bgd.proxy.change import Change
from bgd.proxy.kinds import adapter
from bgd.proxy.nginx import Nginx, door
from bgd.proxy.nginx.slots import SLOT_S, Slots
from tests.integration.haproxy import Ear, free_port, get, port_of
from tests.integration.load import Load
from tests.integration.nginx import NginxServer, running_nginx
from tests.integration.nginx_text import Mirror, ask
from tests.integration.waiting import eventually

BLUE, GREEN = Colour.BLUE, Colour.GREEN


class Front:
    """An nginx, bgd's proxy room before it, and one app with two backends of each colour."""

    def __init__(self, nginx: NginxServer, backends: Backends) -> None:
        self.nginx, self.backends, self.ear = nginx, backends, Ear()
        self.closed: set[str] = set()
        self.permits = nginx.folder / "permits"
        self.app = AppSettings(name="shop", service="shop", bind=(f"127.0.0.1:{free_port()}",))
        self.port = port_of(self.app)
        self.open(self.app)

    def open(self, app: AppSettings) -> None:
        """Start (or start anew) bgd's proxy room."""
        settings = self.nginx.settings()
        made = adapter(settings, "lb-1")
        assert isinstance(made, Nginx)
        self.app, self.adapter = app, made
        self.change = Change(settings, made, [app], "lb-1", self.ear, self.ear)

    def wanted(self) -> Wanted:
        servers = {colour: frozenset(map(_server, self.backends.of(colour.value))) for colour in Colour}
        names = frozenset(each.name for both in servers.values() for each in both)
        return Wanted(servers=servers, healthy=names)

    def flip(self, colour: Colour) -> Proved | Failed:
        return self.change.flip("shop", colour, self.wanted())

    def permit(self, live: Colour, for_s: float = 60.0) -> None:
        self.change.permit({"shop": Permission(live, time.monotonic() + for_s)})

    def kill(self, colour: Colour) -> None:
        """Its servers end: what is open breaks, and whoever comes is refused."""
        for address in self.backends.of(colour.value):
            self.backends.order(f"close {address}")
            self.closed.add(f"{colour.value}={address}")

    def heal(self) -> None:
        """All is as at the beginning: blue is live, everybody answers, nothing is permitted."""
        for each in self.closed:
            self.backends.order(f"open {each}")
        self.closed.clear()
        self.change.permit({})
        for colour in (GREEN, BLUE):  # nginx passes over who has just failed, for a second
            assert isinstance(self.flip(colour), Proved)
            eventually(partial(self.answers, colour), f"{colour} answers")

    def answers(self, colour: Colour) -> bool:
        return {get(self.port) for _ in range(8)} == {f"{colour}\n"}


def _server(address: str) -> Server:
    host, _, port = address.rpartition(":")
    return Server(host, int(port))


@pytest.fixture(scope="module")
def the_front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("backends")
    with running_nginx() as nginx, Backends(folder, ["blue", "blue", "green", "green"]) as backends:
        front = Front(nginx, backends)
        assert isinstance(front.flip(BLUE), Proved)
        yield front


@pytest.fixture
def front(the_front: Front) -> Front:
    the_front.heal()
    return the_front


def test_live_dies_and_no_request_fails(front: Front, tmp_path: Path) -> None:
    """Blue's servers are killed under load: green answers in the same moment, and not one request is lost."""
    front.permit(BLUE)
    with Load(front.port, folder=tmp_path) as load:
        eventually(lambda: load.progress["requests"] > 300, "there is load")
        killed_ns = time.monotonic_ns()
        front.kill(BLUE)
        eventually(lambda: load.progress["colour"] == "green", "green answers")
        asked = load.progress["requests"]
        eventually(lambda: load.progress["requests"] > asked + 800, "the load goes on")
    first_ns = min(each.end_ns for each in load.records if each.colour == "green")

    assert load.lost() == []
    assert first_ns - killed_ns < 5e9
    assert front.nginx.decides() == {"shop": "blue"}, "what is decided is bgd's alone"


def test_live_comes_back_by_itself(front: Front) -> None:
    """As soon as blue takes connections again its customers are served by it: nothing has been decided."""
    front.permit(BLUE)
    front.kill(BLUE)
    assert {get(front.port) for _ in range(8)} == {"green\n"}
    for each in front.closed:
        front.backends.order(f"open {each}")
    front.closed.clear()

    eventually(lambda: {get(front.port) for _ in range(8)} == {"blue\n"}, "blue answers again")


def test_the_other_colour_is_asked_last(front: Front) -> None:
    """One of blue's servers is left: it gets every request, once no worker holds a death against it."""
    front.permit(BLUE)
    first, second = front.backends.of("blue")
    front.backends.order(f"close {first}")
    front.closed.add(f"blue={first}")

    eventually(lambda: {get(front.port) for _ in range(40)} == {"blue\n"}, "blue alone answers")
    assert ask(front.port)[2]["X-Server"] == second


def test_without_a_permission_nothing_goes_over(front: Front) -> None:
    """Blue is dead, and clients get 502: before bgd permits it, after, and by the permission of the other.

    Files of slots that are over, as a dead bgd leaves them, permit nothing either.
    """
    front.kill(BLUE)
    assert {get(front.port) for _ in range(20)} == {"502"}
    front.permit(BLUE)
    assert {get(front.port) for _ in range(20)} == {"green\n"}
    front.permit(GREEN)
    assert {get(front.port) for _ in range(20)} == {"502"}
    front.change.permit({})
    assert {get(front.port) for _ in range(20)} == {"502"}
    Slots(front.permits).allow({"shop_blue": time.time() - SLOT_S}, time.time() - 6 * SLOT_S)
    left = set(front.permits.iterdir())
    assert {get(front.port) for _ in range(20)} == {"502"}

    front.permit(BLUE, for_s=2.5 * SLOT_S)
    assert len(left) == 5
    assert len(list(front.permits.iterdir())) in (2, 3)
    assert not left & set(front.permits.iterdir())


@pytest.mark.soak
def test_a_permission_ends_without_bgd(front: Front) -> None:
    """Nobody renews it: it is over with its last slot, and then clients get 502."""
    until_s = time.time() + 2 * SLOT_S
    front.permit(BLUE, for_s=2 * SLOT_S)
    front.kill(BLUE)
    asked_s = served_s = time.time()
    while (said := get(front.port)) == "green\n":
        asked_s, served_s = time.time(), asked_s

    assert said == "502"
    assert served_s < until_s + 0.1
    assert until_s - SLOT_S - 0.1 < time.time()


def test_both_colours_are_dead(front: Front) -> None:
    """Each request is answered at once with 502: nobody is asked in turns for ever."""
    front.permit(BLUE)
    front.kill(BLUE)
    front.kill(GREEN)
    begun_s = time.monotonic()

    assert {get(front.port) for _ in range(40)} == {"502"}
    assert time.monotonic() - begun_s < 20


def test_the_proof_is_not_answered_by_the_other_colour(front: Front) -> None:
    """At bgd's own address a dead colour is seen to be dead, and a flip to it fails, permitted or not."""
    front.permit(BLUE)
    front.kill(BLUE)
    eventually(lambda: get(front.port) == "green\n", "customers are served")
    structure = front.adapter.running().structure or ""
    answer = asking.ask(
        (door.address(structure, 1), front.nginx.proof_port), "any.example", "/", deadline_s=2
    )

    assert " 502 " in answer.status
    assert answer.said("bgd-served").startswith("shop_blue ")
    assert isinstance(front.flip(GREEN), Proved)
    front.permit(BLUE)
    assert isinstance(failed := front.flip(BLUE), Failed)
    assert failed.because is Because.NOT_PROVED


def test_what_was_sent_once_is_not_sent_again(front: Front) -> None:
    """Blue breaks off without an answer: a GET goes over, a POST does not, as it may be carried out."""
    mirrors = {colour: Mirror(colour.value) for colour in Colour}
    servers = {colour: frozenset({mirror.server}) for colour, mirror in mirrors.items()}
    names = frozenset(mirror.server.name for mirror in mirrors.values())
    front.change.sync({"shop": Wanted(servers=servers, healthy=names)})
    front.permit(BLUE)
    mirrors[BLUE].mute = True
    try:
        assert ask(front.port, method="POST", body="once")[0] == 502
        assert mirrors[GREEN].requests == 0
        assert ask(front.port)[1].startswith("green\n")
    finally:
        front.change.sync({"shop": front.wanted()})
        for mirror in mirrors.values():
            mirror.close()


def test_a_bgd_that_starts_anew_finds_all_in_order(front: Front) -> None:
    """Servers of the further groups are no members of a colour: nothing is reloaded."""
    workers = front.nginx.workers()
    front.open(front.app)

    assert front.change.sync({"shop": front.wanted()}) == {}
    assert front.nginx.workers() == workers
    shutil.rmtree(front.permits, ignore_errors=True)
    front.permit(BLUE)
    assert {each.name for slot in front.permits.iterdir() for each in slot.iterdir()} == {"shop_blue"}
