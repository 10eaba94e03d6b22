"""Reloads, restarts and the deaths of a real HAProxy."""

import os
import signal
from collections.abc import Iterator

import attrs
import pytest

from bgd.core.events import ProxyLost, ProxySeen
from bgd.core.model import Colour
from bgd.core.reasons import Because
from bgd.ports import Failed, Proved
from tests.integration.haproxy import Load, Stage, get, port_of, set_stage
from tests.integration.waiting import eventually

BLUE, GREEN = Colour.BLUE, Colour.GREEN


@pytest.fixture
def stage() -> Iterator[Stage]:
    with set_stage() as stage:
        yield stage


def test_reloads_lose_nothing(stage: Stage) -> None:
    """Reloads under kept-alive connections close none of them under a request."""
    app = stage.app()
    stage.open(app)
    stage.flip(BLUE)
    with Load(port_of(app), clients=8) as load:
        for turn in range(10):
            worker = stage.proxy.pid()
            stage.apps = [attrs.evolve(app, lines=(f"http-response set-header x-turn {turn}",))]
            stage.change.reconfigure(stage.apps)

            assert stage.sync() == {}
            assert worker != stage.proxy.pid()
        eventually(lambda: load.answers["blue"] > 100, "requests were made")

    assert load.lost == []
    stage.in_step()


def test_a_reload_keeps_dead_servers_dead(stage: Stage) -> None:
    """A new worker takes every server for up; one that own probes see down gets no request even so."""
    app = stage.app()
    stage.open(app)
    dead = stage.add_origin(BLUE)
    stage.flip(BLUE)
    dead.healthy = False
    alive = frozenset({stage.origins[BLUE][0].server.name})
    stage.apps = [attrs.evolve(app, lines=("http-response set-header x-new 1",))]
    stage.change.reconfigure(stage.apps)

    assert stage.sync(healthy=alive) == {}
    assert {get(port_of(app)) for _ in range(20)} == {"blue /"}


def test_killed_and_started_by_its_supervisor(stage: Stage) -> None:
    """HAProxy comes back from a kill with what it had; meanwhile bgd says so and changes nothing."""
    app = stage.app()
    stage.open(app)
    stage.flip(GREEN)
    stage.proxy.kill()

    assert isinstance(stage.look(), ProxyLost)
    outcome = stage.flip(BLUE)
    assert isinstance(outcome, Failed)
    assert outcome.because == Because.PROXY_LOST
    assert {failed.because for failed in stage.sync().values()} == {Because.PROXY_LOST}

    stage.proxy.start()

    assert stage.look().decided == {"shop": GREEN}
    assert get(port_of(app)) == "green /"
    assert isinstance(stage.flip(BLUE), Proved)


def test_reload_by_somebody_else(stage: Stage) -> None:
    """A reload that bgd did not order brings up what runs, and flips go on by the map."""
    app = stage.app()
    stage.open(app)
    stage.flip(BLUE)
    stage.flip(GREEN)
    worker = stage.proxy.pid()
    stage.proxy.signal(signal.SIGUSR2)
    eventually(lambda: stage.proxy.pid() != worker, "another worker serves")

    assert stage.look().decided == {"shop": GREEN}
    outcome = stage.flip(BLUE)
    assert isinstance(outcome, Proved)
    assert outcome.via == "runtime"


def test_reload_by_a_command(stage: Stage) -> None:
    """Where reload is a command line it is run, and its exit code is not the judge."""
    app = stage.app()
    pid = stage.proxy.process_id
    stage.open(app, reload=f"sh -c 'kill -USR2 {pid}; exit 3'")

    outcome = stage.flip(BLUE)

    assert isinstance(outcome, Proved), outcome
    assert outcome.via == "reload"


def test_reload_that_does_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that succeeds without a new worker is a failed reload, and the file is as before."""
    monkeypatch.setattr("bgd.proxy.haproxy.haproxy.RELOAD_DEADLINE_S", 0.3)
    stage.open(stage.app(), reload="true")

    outcome = stage.flip(BLUE)

    assert isinstance(outcome, Failed)
    assert outcome.because == Because.RELOAD_FAILED
    assert "no new worker" in outcome.detail
    assert not (stage.proxy.folder / "bgd.cfg").exists()


def test_old_workers_are_counted(stage: Stage) -> None:
    """How many workers still finish what they have is asked of the master, where that is permitted."""
    app = stage.app()
    stage.open(app)
    stage.flip(BLUE)
    eventually(lambda: stage.look().old_workers == 0, "the master answers, and the first worker has gone")
    seen = stage.look()

    assert isinstance(seen, ProxySeen)
    assert seen.version.startswith("haproxy ")

    stage.open(app, master_socket=stage.proxy.root / "nowhere.sock")

    assert stage.look().old_workers is None


def test_nothing_is_left_open(stage: Stage) -> None:
    """Looks, flips and syncs leave no descriptor behind."""
    stage.open(stage.app())
    stage.flip(BLUE)
    before = len(os.listdir("/proc/self/fd"))
    for colour in (GREEN, BLUE) * 10:
        stage.look()
        stage.flip(colour)
        stage.sync()

    assert len(os.listdir("/proc/self/fd")) <= before + 4
