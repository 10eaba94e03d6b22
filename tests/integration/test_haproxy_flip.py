"""Flips of a real HAProxy: by map where its structure serves, by a reload where it does not."""

import socket
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from bgd.core.events import ProxyLost
from bgd.core.model import Colour, Server
from bgd.core.reasons import Because
from bgd.ports import Failed, Proved
from tests.integration.haproxy import Load, Stage, get, port_of, set_stage
from tests.integration.waiting import eventually

BLUE, GREEN = Colour.BLUE, Colour.GREEN


@pytest.fixture
def stage() -> Iterator[Stage]:
    with set_stage() as stage:
        yield stage


def test_first_flip_opens_the_port(stage: Stage) -> None:
    """An app that nobody has flipped to is not in the proxy; its first flip brings it in by a reload."""
    app = stage.app()
    stage.open(app)

    with pytest.raises(OSError, match="refused"):
        get(port_of(app))
    assert stage.look().decided == {}

    outcome = stage.flip(GREEN)

    assert isinstance(outcome, Proved)
    assert outcome.via == "reload"
    assert get(port_of(app)) == "green /"
    assert stage.look().decided == {"shop": GREEN}
    stage.in_step()


def test_flips_lose_nothing(stage: Stage) -> None:
    """Flips under requests go by the map, need no reload, and lose no request."""
    app = stage.app()
    stage.open(app)
    stage.flip(BLUE)
    worker = stage.proxy.pid()
    with Load(port_of(app)) as load:
        for turn in range(40):
            colour = (GREEN, BLUE)[turn % 2]
            outcome = stage.flip(colour)

            assert isinstance(outcome, Proved), outcome
            assert outcome.via == "runtime"
            assert f"{colour} /" == get(port_of(app))
        eventually(
            lambda: min(load.answers["blue"], load.answers["green"]) > 10, "both colours have answered"
        )

    assert load.lost == []
    assert worker == stage.proxy.pid()
    stage.in_step()


def test_dead_colour_is_put_back(stage: Stage) -> None:
    """A colour none of whose servers answers is not proved, and the proxy decides as before."""
    app = stage.app()
    stage.open(app)
    stage.flip(BLUE)
    stage.origins[GREEN][0].close()

    outcome = stage.flip(GREEN)

    assert isinstance(outcome, Failed)
    assert outcome.because == Because.NOT_PROVED
    assert "shop_green" in outcome.detail
    assert get(port_of(app)) == "blue /"
    assert stage.look().decided == {"shop": BLUE}
    stage.in_step()


def test_colour_that_just_died_sees_no_request(stage: Stage) -> None:
    """A colour that died after its last probe is found out before a request meets it."""
    app = stage.app()
    stage.open(app)
    stage.flip(BLUE)
    stage.origins[GREEN][0].close()
    with Load(port_of(app)) as load:
        eventually(lambda: load.answers["blue"] > 10, "requests are on their way")
        outcome = stage.flip(GREEN)
        seen = load.answers["blue"]
        eventually(lambda: load.answers["blue"] > seen + 10, "blue serves on")

    assert isinstance(outcome, Failed)
    assert "refuses connections" in outcome.detail
    assert load.lost == []


def test_hanging_colour_is_put_back(stage: Stage) -> None:
    """A colour that takes connections but never answers is not proved, and blue decides again."""
    app = stage.app()
    stage.open(app)
    stage.flip(BLUE)
    stage.origins[GREEN].pop().close()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = Server("127.0.0.1", silent.getsockname()[1])
        blue = stage.origins[BLUE][0].server
        servers = {BLUE: frozenset({blue}), GREEN: frozenset({server})}
        stage.sync(servers=servers)
        outcome = stage.flip(GREEN, servers=servers, healthy=frozenset({server.name}))

    assert isinstance(outcome, Failed)
    assert outcome.because == Because.NOT_PROVED
    assert get(port_of(app)) == "blue /"
    assert stage.look().decided == {"shop": BLUE}
    stage.in_step()


def test_unproved_newcomer_is_taken_out(stage: Stage) -> None:
    """An app that was brought in and then not proved leaves nothing behind."""
    app = stage.app()
    stage.open(app)
    stage.origins[GREEN][0].close()

    outcome = stage.flip(GREEN)

    assert isinstance(outcome, Failed)
    with pytest.raises(OSError, match="refused"):
        get(port_of(app))
    assert stage.look().decided == {}


def test_own_probes_are_ahead_of_the_proxy(stage: Stage) -> None:
    """A server that is healthy by own probes serves from the flip on, though the proxy saw it down."""
    app = stage.app()
    stage.open(app)
    stage.flip(BLUE)
    stage.proxy.ask(f"set server shop_green/{stage.origins[GREEN][0].server.name} health down")

    assert isinstance(stage.flip(GREEN), Proved)
    assert get(port_of(app)) == "green /"


def test_flip_brings_servers_that_are_missing(stage: Stage) -> None:
    """A flip to a colour with new servers puts them in before the first request comes."""
    app = stage.app()
    stage.open(app)
    stage.flip(BLUE)
    stage.origins[GREEN][0].close()
    stage.origins[GREEN] = []
    stage.add_origin(GREEN)

    outcome = stage.flip(GREEN)

    assert isinstance(outcome, Proved), outcome
    assert outcome.via == "runtime"
    stage.sync()
    stage.in_step()
    assert get(port_of(app)) == "green /"


def test_flip_without_known_servers(stage: Stage) -> None:
    """While nothing is known of an app's servers, a flip is proved by what the map decides."""
    app = stage.app()
    stage.open(app)
    stage.flip(BLUE)

    outcome = stage.change.flip("shop", GREEN, None)

    assert isinstance(outcome, Proved)
    assert get(port_of(app)) == "green /"


def test_runtime_socket_gone(stage: Stage) -> None:
    """Without its runtime socket HAProxy serves on, and a flip says proxy-lost."""
    app = stage.app()
    stage.open(app)
    stage.flip(BLUE)
    stage.proxy.runtime_socket.unlink()

    outcome = stage.flip(GREEN)

    assert isinstance(outcome, Failed)
    assert outcome.because == Because.PROXY_LOST
    assert "admin.sock" in outcome.detail
    assert isinstance(stage.look(), ProxyLost)
    assert {"shop"} == set(stage.sync())
    assert get(port_of(app)) == "blue /"


def test_socket_below_level_admin(stage: Stage) -> None:
    """A runtime socket that may not be written to is named with the level that it needs."""
    app = stage.app()
    low = stage.proxy.root / "low.sock"
    stage.proxy.write_main(global_lines=f"    stats socket {low} mode 600 level user")
    stage.proxy.restart()
    stage.open(app, runtime_socket=low)

    outcome = stage.flip(BLUE)

    assert isinstance(outcome, Failed)
    assert outcome.because == Because.PROXY_LOST
    assert "level admin" in outcome.detail


def test_flip_beside_a_reload(stage: Stage) -> None:
    """A flip by map does not wait for a reload beside it, and holds after it."""
    shop, pay = stage.app(), stage.app("pay")
    stage.open(shop, pay)
    stage.flip(BLUE)
    stage.flip(BLUE, "pay")
    with Load(port_of(shop)) as load:
        for turn in range(8):
            colour = (GREEN, BLUE)[turn % 2]
            changed = stage.app("pay", bind=pay.bind, lines=(f"http-request set-header x-turn {turn}",))
            stage.change.reconfigure([shop, changed])
            sync = threading.Thread(target=stage.sync)
            sync.start()
            eventually(partial(reloads_or_ended, stage, sync), "a reload")
            outcome = stage.flip(colour)
            sync.join()

            assert isinstance(outcome, Proved), outcome
            assert f"{colour} /" == get(port_of(shop))
            assert {"shop": colour, "pay": BLUE} == stage.look().decided

    assert load.lost == []
    assert stage.ear.reloads.count("done") >= 8
    stage.in_step()


def reloads_or_ended(stage: Stage, sync: threading.Thread) -> bool:
    return stage.change._structure.reloads.under_way or not sync.is_alive()


def test_first_flips_share_a_reload(stage: Stage) -> None:
    """Apps that come in at the same time share a reload."""
    apps = [stage.app(f"app-{number}") for number in range(8)]
    stage.open(*apps)
    outcomes: dict[str, object] = {}

    def bring_in(name: str) -> None:
        outcomes[name] = stage.flip(GREEN, name)

    threads = [threading.Thread(target=bring_in, args=(app.name,)) for app in apps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(isinstance(outcome, Proved) for outcome in outcomes.values()), outcomes
    assert [get(port_of(app)) for app in apps] == ["green /"] * 8
    assert len(stage.ear.reloads) <= 3
    stage.in_step()


def test_flip_into_a_lost_structure(stage: Stage) -> None:
    """When HAProxy runs without bgd's part, that is seen, and a flip brings it back by a reload."""
    app = stage.app()
    stage.open(app)
    stage.flip(BLUE)
    part = stage.proxy.folder / "bgd.cfg"
    text = part.read_text()
    part.unlink()
    stage.proxy.restart()
    part.write_text(text)

    assert stage.look().decided == {}

    outcome = stage.flip(GREEN)

    assert isinstance(outcome, Proved)
    assert outcome.via == "reload"
    assert get(port_of(app)) == "green /"
    assert stage.look().decided == {"shop": GREEN}


def test_folder_not_loaded(stage: Stage) -> None:
    """A HAProxy that does not load bgd's folder is told apart, with what its command line lacks."""
    stage.proxy.loads_folder = False
    stage.proxy.restart()
    stage.open(stage.app())

    outcome = stage.flip(BLUE)

    assert isinstance(outcome, Failed)
    assert outcome.because == Because.RELOAD_FAILED
    assert f"-f {stage.proxy.folder}" in outcome.detail
