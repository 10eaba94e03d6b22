"""What a flip would do, asked of real proxies: told as it would come, and nothing is changed by asking."""

import shlex
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import pytest

from bgd.core.model import Colour
from bgd.core.reasons import Because
from bgd.ports import Failed, Forecast, Proved
from bgd.proxy.forecasting import MOST_BYTES
from tests.integration.haproxy import Load, Stage, get, port_of, running_haproxy
from tests.integration.nginx import running_nginx
from tests.integration.shop import soak_on_nginx
from tests.integration.test_own_templates import NAMES_THE_COLOUR
from tests.integration.waiting import eventually

BLUE, GREEN = Colour.BLUE, Colour.GREEN
BY = {"haproxy": "by map", "nginx": "by flag"}


@contextmanager
def staged(kind: str, **main: Any) -> Iterator[Stage]:
    with (running_haproxy if kind == "haproxy" else running_nginx)(**main) as proxy:
        stage = Stage(proxy)
        if kind == "nginx":
            eventually(lambda: len(proxy.workers()) == 2, "all workers have started")
        try:
            yield stage
        finally:
            stage.close()


@pytest.fixture
def stage(kind: str) -> Iterator[Stage]:
    with staged(kind) as stage:
        yield stage


def forecast(
    stage: Stage, colour: Colour, app: str = "shop", *, diff: bool = True, **changes: Any
) -> Forecast | Failed:
    """Ask, and see that nothing at all has changed: on disk, in the proxy, in bgd's own mind."""
    before = traces(stage)
    found = stage.change.forecast(app, colour, stage.wanted(**changes), diff=diff)

    assert traces(stage) == before
    return found


def told(stage: Stage, colour: Colour, app: str = "shop", **more: Any) -> Forecast:
    found = forecast(stage, colour, app, **more)
    assert isinstance(found, Forecast), found
    return found


def traces(stage: Stage) -> dict[str, Any]:
    """Whatever a flip or a sync leaves behind."""
    structure, folder = stage.change._structure, stage.proxy.folder
    vetting = structure.vetting
    minds = [
        (id(each), id(each._newest), id(each._newest_bare)) for each in (vetting.newest, vetting._steady)
    ]
    return {
        "files": {
            path: (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes())
            for path in folder.rglob("*")
            if path.is_file() and path.name != "addresses.json"  # each count notes what it looked for
        },
        "proxy": (stage.proxy.generation(), stage.proxy.decides() if structure.good else {}),
        "servers": stage.proxy.servers() if structure.good else {},
        "reloads": list(stage.ear.reloads),
        "good": dict(structure.good),
        "colours": dict(structure.colours._colours),
        "markers": structure._markers,
        "brought": dict(structure.brought),
        "healthy": dict(structure.healthy),
        "templates": (minds, id(vetting._used)),
    }


def test_a_flip_at_runtime(stage: Stage) -> None:
    """By map or by flag; of bgd's part nothing would change."""
    stage.open(stage.app())
    stage.flip(BLUE)
    for colour in (GREEN, BLUE):
        found = told(stage, colour)

        assert (found.via, found.by, found.diff) == ("runtime", BY[stage.proxy.kind], "")
        assert stage.flip(colour).via == "runtime"


def test_an_app_that_the_proxy_does_not_know(stage: Stage) -> None:
    """Its first flip is a reload, and the difference is its block; with nothing before, the whole part."""
    stage.open(stage.app(), stage.app("pay"))
    first = told(stage, GREEN)
    stage.flip(BLUE)
    second = told(stage, GREEN, "pay")

    assert (first.via, first.by) == (second.via, second.by) == ("reload", "by a reload")
    assert "shop_green" in first.diff
    added = [line for line in second.diff.splitlines() if line.startswith("+")]
    assert any("pay_green" in line for line in added)
    assert not any("shop" in line for line in added), second.diff
    assert stage.flip(GREEN, "pay").via == "reload"


def test_a_server_that_comes_with_it(stage: Stage) -> None:
    """HAProxy takes it in at runtime and the text follows; nginx needs a reload. Both show its line."""
    stage.open(stage.app())
    stage.flip(BLUE)
    newcomer = stage.add_origin(GREEN)
    found = told(stage, GREEN)

    assert found.via == {"haproxy": "runtime", "nginx": "reload"}[stage.proxy.kind]
    assert [line for line in found.diff.splitlines() if line.startswith("+") and newcomer.server.name in line]
    assert stage.flip(GREEN).via == found.via


def test_what_a_flip_has_brought_in_is_no_news(stage: Stage) -> None:
    """Another app's servers that only the running proxy has so far are not held against this one's."""
    stage.open(stage.app(), stage.app("pay"))
    stage.flip(BLUE)
    stage.flip(BLUE, "pay")
    stage.add_origin(GREEN)
    stage.flip(GREEN, "pay")

    assert isinstance(forecast(stage, GREEN), Forecast)


def test_lines_that_the_proxy_refuses(stage: Stage) -> None:
    """Refused as the flip would be; another app is not held up by it."""
    bad, well = stage.app(lines=(stage.proxy.bad_line,)), stage.app("pay")
    stage.open(bad, well)
    refused = forecast(stage, GREEN)

    assert isinstance(refused, Failed)
    assert refused.because is Because.CHECK_FAILED
    assert "nonsense" in refused.detail
    assert told(stage, GREEN, "pay").via == "reload"
    assert stage.flip(GREEN) == refused


def test_lines_that_are_refused_to_one_that_serves(stage: Stage) -> None:
    """A flip by map would go, but what it leads to could not be written: better known before."""
    app = stage.app()
    stage.open(app)
    stage.flip(BLUE)
    stage.change.reconfigure([attrs.evolve(app, lines=(stage.proxy.bad_line,))])
    refused = forecast(stage, GREEN)

    assert isinstance(refused, Failed)
    assert (refused.because, "nonsense" in refused.detail) == (Because.CHECK_FAILED, True)


@pytest.mark.parametrize("template", ["{{ nobody.knows }}", "{% if %}"])
def test_a_template_that_does_not_render(stage: Stage, template: str) -> None:
    """Refused with the template's line, as the flip would be."""
    folder = stage.proxy.root / "templates"
    folder.mkdir()
    (folder / stage.proxy.template).write_text(f"# {{{{ structure }}}}\n{template}\n")
    stage.open(stage.app())
    refused = forecast(stage, GREEN)

    assert isinstance(refused, Failed)
    assert (refused.because, "line 2" in refused.detail) == (Because.CHECK_FAILED, True)
    assert stage.flip(GREEN) == refused


def test_new_templates_that_the_proxy_refuses(stage: Stage) -> None:
    """While the last good ones are at work, an app cannot come in by the new ones."""
    first, second = stage.app(), stage.app("pay")
    stage.open(first, second)
    stage.flip(BLUE)
    folder = stage.proxy.root / "templates"
    folder.mkdir()
    (folder / stage.proxy.template).write_text(stage.proxy.bad_template)
    stage.change.reconfigure([first, second])
    refused = forecast(stage, GREEN, "pay")

    assert isinstance(refused, Failed)
    assert stage.flip(GREEN, "pay") == refused


def test_a_hosts_file_that_is_broken(stage: Stage) -> None:
    """Whoever broke it: while it is so, nothing can come in."""
    stage.open(stage.app())
    main_file = stage.proxy.main_file
    main_file.write_text(main_file.read_text() + "\nnonsense here;\n")
    refused = forecast(stage, GREEN)

    assert isinstance(refused, Failed)
    assert (refused.because, "nonsense" in refused.detail) == (Because.CHECK_FAILED, True)
    assert stage.flip(GREEN) == refused


def test_a_port_that_somebody_has(stage: Stage) -> None:
    """The proxy's check does not see it; the reload would fail, and is not ordered."""
    app = stage.app()
    with socket.create_server(("127.0.0.1", port_of(app))):
        stage.open(app)
        refused = forecast(stage, GREEN)

        assert isinstance(refused, Failed)
        assert refused.because is Because.RELOAD_FAILED
        assert "cannot bind" in refused.detail
        assert stage.flip(GREEN) == refused


def test_a_tcp_app(kind: str) -> None:
    """HAProxy's map decides for it; nginx's text names the colour."""
    with staged(kind, **({} if kind == "haproxy" else {"stream": True})) as stage:
        stage.open(stage.app(mode="tcp"))
        assert told(stage, BLUE).via == "reload"
        stage.flip(BLUE)
        found = told(stage, GREEN)

        if kind == "haproxy":
            assert (found.via, found.by, found.diff) == ("runtime", "by map", "")
        else:
            assert (found.via, found.by) == ("reload", "by a reload")
            assert "-    proxy_pass shop_blue;\n+    proxy_pass shop_green;\n" in found.diff
        assert stage.flip(GREEN).via == found.via


def test_a_template_that_names_the_colour() -> None:
    """The host's own decides by text: a reload, and the line that would change."""
    with staged("haproxy") as stage:
        folder = stage.proxy.root / "templates"
        folder.mkdir()
        (folder / "haproxy.cfg.j2").write_text(NAMES_THE_COLOUR)
        stage.open(stage.app())
        stage.flip(BLUE)
        found = told(stage, GREEN)

        assert (found.via, found.by) == ("reload", "by a reload")
        assert "-    default_backend shop_blue\n+    default_backend shop_green\n" in found.diff
        assert stage.flip(GREEN).via == "reload"


def test_a_proxy_that_does_not_answer(stage: Stage) -> None:
    """An app that it had cannot be flipped: its socket, or the word of its check, is missing."""
    stage.open(stage.app())
    stage.flip(BLUE)
    stage.proxy.kill()
    found = stage.change.forecast("shop", GREEN, stage.wanted(), diff=False)
    if stage.proxy.kind == "haproxy":
        assert isinstance(found, Failed)
        assert found.because is Because.PROXY_LOST


def test_an_app_that_was_dropped_meanwhile(stage: Stage) -> None:
    """Who asks has not heard yet: it is told, and nothing breaks. The same of a flip."""
    stage.open(stage.app())
    stage.change.reconfigure([])

    for found in (forecast(stage, GREEN), stage.flip(GREEN)):
        assert found == Failed(Because.CHECK_FAILED, "shop is not configured any more")


def test_only_who_asks_is_told_the_difference(stage: Stage) -> None:
    """And what is too long ends with a line that says so."""
    stage.open(stage.app(lines=tuple(stage.proxy.line(f"x-{n}", "x" * 60) for n in range(400))))

    assert told(stage, GREEN, diff=False).diff == ""
    found = told(stage, GREEN).diff
    assert MOST_BYTES - 200 < len(found.encode()) <= MOST_BYTES
    assert found.splitlines()[-1].startswith("... cut: ")


def test_what_would_be_left_behind(kind: str) -> None:
    """How many are open on the colour that serves; none where the app has never served."""
    with staged(kind, **({} if kind == "haproxy" else {"stream": True})) as stage:
        app = stage.app(mode="tcp")
        stage.open(app)
        assert told(stage, GREEN).sessions == 0
        stage.flip(BLUE)
        with socket.create_connection(("127.0.0.1", port_of(app))):
            eventually(lambda: told(stage, GREEN).sessions == 1, "a session is open on blue")
            assert told(stage, BLUE).sessions == 0
        eventually(lambda: told(stage, GREEN).sessions == 0, "it has ended")


def test_a_flip_does_not_wait_for_a_forecast(stage: Stage) -> None:
    """While the proxy's check hangs in one, flips go on: at runtime, and by a reload of their own."""
    hold, entered = stage.proxy.root / "hold", stage.proxy.root / "entered"
    script = stage.proxy.root / "check"
    program, _, arguments = stage.proxy.settings().check.partition(" ")
    wait = f"touch {entered}; while [ -e {hold} ]; do sleep 0.01; done"
    held = f"if grep -rq x-held $2 2>/dev/null; then {wait}; fi; shift 2"
    script.write_text(f'#!/bin/sh\n{held}\nexec {shlex.quote(program)} "$@"\n')
    script.chmod(0o755)
    held_app = stage.app("held", lines=(stage.proxy.line("x-held", 1),))
    stage.open(stage.app(), stage.app("pay"), held_app, check=f"{script} x {{folder}} {arguments}")
    assert isinstance(stage.flip(BLUE), Proved)
    hold.touch()
    found: list[Forecast | Failed] = []
    asked = threading.Thread(
        target=lambda: found.append(stage.change.forecast("held", GREEN, stage.wanted(), diff=True)),
        daemon=True,
    )
    asked.start()
    eventually(entered.exists, "the forecast is being checked")

    assert stage.flip(GREEN).via == "runtime"
    assert stage.flip(GREEN, "pay").via == "reload"
    assert stage.sync() == {}
    assert not found
    hold.unlink()
    asked.join(15)
    assert isinstance(found[0], Forecast)


@soak_on_nginx
def test_beside_flips_and_syncs(stage: Stage) -> None:
    """Asked all the time, by several: no request is lost, and what is rendered beside mixes with nothing."""
    shop, pay = stage.app(), stage.app("pay")
    stage.open(shop, pay)
    stage.flip(BLUE)
    over, found = threading.Event(), []

    def ask(app: str, colour: Colour) -> None:
        while not over.is_set():
            found.append(stage.change.forecast(app, colour, stage.wanted(), diff=True))

    asking = [
        threading.Thread(target=ask, args=each, daemon=True)
        for each in (("shop", BLUE), ("shop", GREEN), ("pay", GREEN))
    ]
    with Load(port_of(shop), clients=2) as load:
        for thread in asking:
            thread.start()
        for round_ in range(3):
            for colour in (GREEN, BLUE):
                assert isinstance(stage.flip(colour), Proved)
                stage.add_origin(colour.other)
                assert stage.sync() == {}
            if round_ == 1:
                assert isinstance(stage.flip(BLUE, "pay"), Proved)
        over.set()
        for thread in asking:
            thread.join(15)

    assert load.lost == []
    assert [each for each in found if isinstance(each, Failed)] == []
    assert stage.change._structure.is_ours(stage.change._adapter.running().structure)
    assert get(port_of(pay)) == "blue /"
    stage.proxy.restart()
    assert get(port_of(shop)) == "blue /"
