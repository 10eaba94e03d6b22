"""Servers and structure of a real HAProxy kept in step, and what stays when something is refused."""

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import pytest

from bgd.config import AppSettings
from bgd.core.model import Colour, Server
from bgd.core.reasons import Because
from bgd.ports import Proved
from tests.integration.haproxy import Load, Origin, Stage, get, port_of, set_stage
from tests.integration.shop import in_own_mounts
from tests.integration.waiting import eventually

BLUE, GREEN = Colour.BLUE, Colour.GREEN


@pytest.fixture
def stage() -> Iterator[Stage]:
    with set_stage() as stage:
        yield stage


def names(stage: Stage, backend: str) -> set[str]:
    return {name for name, _ in stage.proxy.servers().get(backend, set())}


def stamps(stage: Stage) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in stage.proxy.folder.iterdir()}


def test_servers_come_and_go(stage: Stage) -> None:
    """Servers join and leave at runtime, without a lost request, and the file follows."""
    app = stage.app()
    stage.open(app)
    stage.flip(BLUE)
    worker = stage.proxy.pid()
    with Load(port_of(app)) as load:
        for _ in range(10):
            newcomer = stage.add_origin(BLUE)

            assert stage.sync() == {}
            assert newcomer.server.name in names(stage, "shop_blue")

            leaver = stage.origins[BLUE].pop(0)

            assert stage.sync() == {}
            assert leaver.server.name not in names(stage, "shop_blue")

            eventually(partial(drained, stage, leaver), "the leaver is drained")
            leaver.close()

    assert load.lost == []
    assert worker == stage.proxy.pid()
    stage.in_step()


def drained(stage: Stage, origin: Origin) -> bool:
    """Nobody uses a connection to it; one that is only kept goes when the origin closes it."""
    stage.look()
    rows = [line.split() for line in stage.proxy.ask("show servers conn shop_blue").splitlines()]
    return not any(row[0] == f"shop_blue/{origin.server.name}" and row[6] != "0" for row in rows if row)


def test_leaver_finishes_what_it_has(stage: Stage) -> None:
    """A server that leaves gets no new request, but answers the one it has."""
    slow = stage.add_origin(BLUE, delay_s=0.5)
    app = stage.app()
    stage.open(app)
    stage.origins[BLUE].reverse()
    fast = stage.origins[BLUE].pop()
    stage.flip(BLUE)
    with socket.create_connection(("127.0.0.1", port_of(app))) as client:
        client.sendall(b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        eventually(lambda: slow.asked, "it is asked")
        stage.origins[BLUE] = [fast]
        stage.sync()

        assert get(port_of(app)) == "blue /"
        assert b"blue /last" in client.makefile("rb").read()

    assert slow.asked == 1
    slow.close()


def test_weights(stage: Stage) -> None:
    """A weight that changes is set in the running proxy and written."""
    app = stage.app()
    stage.open(app)
    stage.flip(BLUE)
    server = stage.origins[BLUE][0].server
    lighter = Server(server.address, server.port, 7)
    green = frozenset({stage.origins[GREEN][0].server})

    stage.sync(servers={BLUE: frozenset({lighter}), GREEN: green})

    assert {(lighter.name, 7)} == stage.proxy.servers()["shop_blue"]
    stage.in_step()


def test_unhealthy_newcomer_waits(stage: Stage) -> None:
    """A new server that own probes have not passed gets no request while another is there."""
    app = stage.app()
    stage.open(app)
    stage.flip(BLUE)
    dead = Server("127.0.0.1", stage.proxy.port())
    blue, green = stage.origins[BLUE][0].server, stage.origins[GREEN][0].server

    stage.sync(servers={BLUE: frozenset({blue, dead}), GREEN: frozenset({green})})

    assert {"blue /"} == {get(port_of(app)) for _ in range(20)}
    state = stage.proxy.ask("show servers state shop_blue")
    assert [row.split()[5] for row in state.splitlines() if f" {dead.name} " in row] == ["0"]


def test_ipv6_server(stage: Stage) -> None:
    """Servers have IPv6 addresses too, in the file and at runtime."""
    app = stage.app()
    stage.open(app)
    stage.origins[BLUE].pop().close()
    stage.add_origin(BLUE, address="::1")

    assert isinstance(stage.flip(BLUE), Proved)
    assert get(port_of(app)) == "blue /"

    stage.origins[BLUE].pop().close()
    stage.add_origin(BLUE, address="::1")

    assert stage.sync() == {}
    assert get(port_of(app)) == "blue /"
    stage.in_step()


def test_host_name_comes_with_a_reload(stage: Stage) -> None:
    """A server that is a host name is brought in by a reload, by a sync and by a flip."""
    app = stage.app()
    stage.open(app)
    stage.flip(BLUE)
    origin = stage.origins[GREEN][0]
    named = Server("localhost", origin.port)
    wanted: dict[str, Any] = {
        "servers": {BLUE: frozenset({stage.origins[BLUE][0].server}), GREEN: frozenset({named})},
        "healthy": frozenset({named.name, stage.origins[BLUE][0].server.name}),
    }

    outcome = stage.flip(GREEN, **wanted)

    assert isinstance(outcome, Proved), outcome
    assert outcome.via == "reload"
    assert get(port_of(app)) == "green /"

    assert stage.sync() == {}
    assert {origin.server.name} == names(stage, "shop_green")
    stage.in_step()


def test_what_is_right_is_not_touched(stage: Stage) -> None:
    """A new bgd that finds everything as wanted writes nothing and reloads nothing."""
    app = stage.app()
    stage.open(app)
    stage.flip(BLUE)
    stage.sync()
    worker, before = stage.proxy.pid(), stamps(stage)
    stage.ear.reloads.clear()
    stage.open(app)

    assert stage.look().decided == {"shop": BLUE}
    assert stage.sync() == {}
    assert (worker, before, []) == (stage.proxy.pid(), stamps(stage), stage.ear.reloads)


def test_bad_lines_beside_a_good_app(stage: Stage) -> None:
    """An app whose lines are refused keeps its block, and gets its servers; the other goes on."""
    shop, pay = stage.app(), stage.app("pay")
    stage.open(shop, pay)
    stage.flip(BLUE)
    stage.flip(BLUE, "pay")
    bad = attrs.evolve(pay, lines=("http-request nonsense",))
    good = attrs.evolve(shop, lines=("http-response set-header x-new 1",))
    stage.apps = [good, bad]
    stage.change.reconfigure(stage.apps)
    stage.add_origin(BLUE)

    failed = stage.sync()

    assert {"pay"} == set(failed)
    assert failed["pay"].because == Because.CHECK_FAILED
    assert "bgd.cfg:" in failed["pay"].detail
    assert "http-request nonsense" in failed["pay"].detail
    assert "x-new" in (stage.proxy.folder / "bgd.cfg").read_text()
    assert 2 == len(names(stage, "pay_blue")) == len(names(stage, "shop_blue"))
    assert isinstance(stage.flip(GREEN, "pay"), Proved)
    stage.in_step()

    assert any("nonsense" in problem for problem in stage.change.check())


def test_bad_newcomer_stays_out(stage: Stage) -> None:
    """A new app that is refused does not come in, and harms nobody."""
    shop, pay = stage.app(), stage.app("pay", lines=("nonsense",))
    stage.open(shop, pay)
    stage.flip(BLUE)

    outcome = stage.flip(BLUE, "pay")

    assert outcome.because == Because.CHECK_FAILED
    assert stage.look().decided == {"shop": BLUE}
    assert get(port_of(shop)) == "blue /"
    stage.in_step()


def test_bind_taken_by_somebody_else(stage: Stage) -> None:
    """A reload that the proxy cannot carry out is undone, and only the app at fault is told."""
    shop, pay, blog = stage.app(), stage.app("pay"), stage.app("blog")
    stage.open(shop, pay, blog)
    for name in ("shop", "pay", "blog"):
        stage.flip(BLUE, name)
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        taken = attrs.evolve(pay, bind=(f"127.0.0.1:{squatter.getsockname()[1]}",))
        moved = attrs.evolve(blog, bind=(f"127.0.0.1:{stage.proxy.port()}",))
        stage.apps = [shop, taken, moved]
        stage.change.reconfigure(stage.apps)

        failed = stage.sync()

        assert {app: each.because for app, each in failed.items()} == {"pay": Because.RELOAD_FAILED}
        assert [get(port_of(app)) for app in (shop, pay, moved)] == ["blue /"] * 3
        assert stage.look().decided == {"shop": BLUE, "pay": BLUE, "blog": BLUE}
        stage.in_step()


def test_broken_template(stage: Stage) -> None:
    """A template that does not render, or renders nonsense, changes nothing and is named with its place."""
    app = stage.app()
    stage.open(app)
    stage.flip(BLUE)
    own = stage.proxy.root / "templates" / "haproxy.cfg.j2"
    own.parent.mkdir()
    before = (stage.proxy.folder / "bgd.cfg").read_text()
    for text, named in (
        ('{% extends "shipped/haproxy.cfg.j2" %}\n{% block global %}{{ nobody }}{% endblock %}', "line 2"),
        ('{% extends "shipped/haproxy.cfg.j2" %}\n{% block global %}{% endfor %}', "line 2"),
        ('{% extends "shipped/haproxy.cfg.j2" %}{% block global %}    nonsense\n{% endblock %}', "nonsense"),
        ("# nothing at all\n", "marker"),
    ):
        own.write_text(text)
        stage.change.reconfigure([app])

        failed = stage.sync()

        assert failed["shop"].because == Because.CHECK_FAILED
        assert named in failed["shop"].detail
        assert before == (stage.proxy.folder / "bgd.cfg").read_text()
        assert isinstance(stage.flip(GREEN), Proved)
        assert isinstance(stage.flip(BLUE), Proved)

    own.write_text('{% extends "shipped/haproxy.cfg.j2" %}{% block global %}    # mine\n{% endblock %}')
    stage.change.reconfigure([app])

    assert stage.sync() == {}
    assert "# mine" in (stage.proxy.folder / "bgd.cfg").read_text()


def test_main_file_broken_meanwhile(stage: Stage) -> None:
    """While the host's own file does not pass, servers still come and go in the running proxy."""
    app = stage.app()
    stage.open(app)
    stage.flip(BLUE)
    main = stage.proxy.main_file.read_text()
    stage.proxy.main_file.write_text(main + "nonsense\n")
    newcomer = stage.add_origin(BLUE)

    failed = stage.sync()

    assert failed["shop"].because == Because.CHECK_FAILED
    assert "haproxy.cfg:" in failed["shop"].detail
    assert newcomer.server.name in names(stage, "shop_blue")

    stage.proxy.main_file.write_text(main)

    assert stage.sync() == {}
    stage.in_step()


def test_app_leaves(stage: Stage) -> None:
    """An app that is no longer configured leaves the proxy, its map and its file."""
    shop, pay = stage.app(), stage.app("pay")
    stage.open(shop, pay)
    stage.flip(BLUE)
    stage.flip(BLUE, "pay")
    stage.apps = [shop]
    stage.change.reconfigure([shop])

    assert stage.sync() == {}
    assert stage.proxy.map() == {"shop": "shop_blue"}
    assert "pay" not in (stage.proxy.folder / "bgd.cfg").read_text()
    with pytest.raises(OSError, match="refused"):
        get(port_of(pay))
    stage.in_step()


@pytest.mark.parametrize("lost", [["blocks.json"], ["colours.map"], ["bgd.cfg"], ["bgd.cfg", "blocks.json"]])
def test_a_file_is_lost(stage: Stage, lost: list[str]) -> None:
    """A file of bgd's folder that is lost or torn is written anew from what runs, without a reload."""
    app = stage.app()
    stage.open(app)
    stage.flip(GREEN)
    worker = stage.proxy.pid()
    for name in lost:
        (stage.proxy.folder / name).write_text('{"apps": {"shop')
    stage.open(app)

    assert stage.change.sync({"shop": None}) == {}
    assert worker == stage.proxy.pid()
    assert stage.sync() == {}
    assert stage.look().decided == {"shop": GREEN}
    assert worker == stage.proxy.pid()
    stage.in_step()


def test_too_many_old_workers(stage: Stage) -> None:
    """Above the budget of old workers a change that traffic does not need waits; servers do not."""
    app = stage.app()
    stage.open(app, max_old_workers=0)
    stage.flip(BLUE)
    with open_session(stage, app):
        for line in ("http-response set-header x-new 1", "http-response set-header x-new 2"):
            stage.apps = [attrs.evolve(app, lines=(line,))]
            stage.change.reconfigure(stage.apps)
            newcomer = stage.add_origin(BLUE)
            failed = stage.sync()

        assert failed["shop"].because == Because.TOO_MANY_OLD_WORKERS
        assert newcomer.server.name in names(stage, "shop_blue")
        eventually(lambda: stage.look().old_workers == 1, "one still has its session")

    eventually(lambda: stage.look().old_workers == 0, "the old worker has gone")

    assert stage.sync() == {}
    stage.in_step()


def open_session(stage: Stage, app: AppSettings) -> socket.socket:
    """A request whose answer keeps the worker it is in."""
    stage.origins[BLUE][0].delay_s = 2.0
    client = socket.create_connection(("127.0.0.1", port_of(app)))
    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    eventually(lambda: stage.origins[BLUE][0].asked, "it is asked")
    return client


def test_disk_full(stage: Stage, request: pytest.FixtureRequest) -> None:
    """Without room on the disk a flip is refused as it was, and nothing that stands is torn."""
    if not in_own_mounts(request.node.nodeid):
        return
    app = stage.app()
    with small_disk(stage) as disk:
        stage.open(app)
        stage.flip(BLUE)
        before = stamps(stage)
        fill(disk)

        outcome = stage.flip(GREEN)

        assert outcome.because == Because.CHECK_FAILED
        assert "No space left" in outcome.detail
        assert get(port_of(app)) == "blue /"
        assert stage.look().decided == {"shop": BLUE}

        stage.add_origin(BLUE)

        assert stage.sync()["shop"].because == Because.CHECK_FAILED

        (disk / "filler").unlink()

        assert before.keys() == stamps(stage).keys()
        assert stage.sync() == {}
        assert isinstance(stage.flip(GREEN), Proved)
        stage.in_step()


@contextmanager
def small_disk(stage: Stage) -> Iterator[Path]:
    """bgd's folder on a disk of one megabyte."""
    folder = stage.proxy.folder
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        stage.proxy.kill()
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(b"x" * 4096)


def test_a_flip_overtakes_a_sync(stage: Stage) -> None:
    """Servers that a sync was about to take out stay when a flip has come while it was being checked."""
    begun, hold = stage.proxy.root / "begun", stage.proxy.root / "hold"
    wait = f"touch {begun}; while [ -e {hold} ]; do sleep 0.01; done"
    judge = stage.proxy.settings().check
    app = stage.app()
    stage.open(app, check=f"sh -c '{wait}; exec {judge}'")
    stage.flip(BLUE)
    assert stage.sync() == {}
    begun.unlink()
    hold.touch()
    blue = frozenset(origin.server for origin in stage.origins[BLUE])
    sync = threading.Thread(target=stage.sync, kwargs={"servers": {BLUE: blue, GREEN: frozenset()}})
    sync.start()
    eventually(begun.exists, "the sync is being checked")
    assert isinstance(stage.flip(GREEN), Proved)
    hold.unlink()
    sync.join(20)

    assert get(port_of(app)) == "green /"
    assert names(stage, "shop_green") == {origin.server.name for origin in stage.origins[GREEN]}
    stage.in_step()
