"""nginx's part of a flip: flags that running workers read, and servers that only a reload brings in."""

from collections.abc import Iterator

import attrs
import pytest

from bgd.core.model import Colour
from bgd.core.reasons import Because
from bgd.ports import Failed, Proved
from tests.integration.haproxy import Load, Stage, get, port_of
from tests.integration.nginx import running_nginx

BLUE, GREEN = Colour.BLUE, Colour.GREEN


@pytest.fixture
def stage() -> Iterator[Stage]:
    with running_nginx() as nginx:
        stage = Stage(nginx)
        try:
            yield stage
        finally:
            stage.close()


def test_a_flag_is_enough(stage: Stage) -> None:
    """A flip reloads nothing, and every worker follows with its next request."""
    app = stage.app()
    stage.open(app)
    stage.flip(BLUE)
    workers = stage.proxy.workers()
    with Load(port_of(app), clients=4) as load:
        for colour in (GREEN, BLUE) * 5:
            flipped = stage.flip(colour)

            assert isinstance(flipped, Proved)
            assert flipped.via == "runtime"
            assert {get(port_of(app)) for _ in range(8)} == {f"{colour} /"}
            assert stage.look().decided == {"shop": colour}
    assert load.lost == []
    assert stage.proxy.workers() == workers


def test_servers_come_before_the_colour(stage: Stage) -> None:
    """Workers that have none of green's servers yet are not sent there: not one request is lost."""
    app = stage.app()
    stage.open(app)
    blue_only = {BLUE: stage.wanted().servers[BLUE], GREEN: frozenset()}
    stage.flip(BLUE, servers=blue_only)
    with Load(port_of(app), clients=8) as load:
        flipped = stage.flip(GREEN)

        assert isinstance(flipped, Proved)
        assert flipped.via == "reload"
        assert get(port_of(app)) == "green /"
    assert load.lost == []


def test_an_app_that_leaves_keeps_its_colour_to_the_end(stage: Stage) -> None:
    """While it is taken out its last requests go where those before went."""
    shop, pay = stage.app(), stage.app("pay")
    stage.open(shop, pay)
    stage.flip(BLUE)
    stage.flip(GREEN, "pay")
    stage.apps = [shop]
    stage.change.reconfigure([shop])
    with Load(port_of(pay), clients=2) as load:
        assert stage.sync() == {}
    assert set(load.answers) == {"green"}
    assert stage.proxy.decides() == {"shop": "blue"}
    assert list(stage.proxy.folder.glob("flags/*")) == []


def test_a_colour_that_nobody_answers_is_taken_back(stage: Stage) -> None:
    """Green refuses every connection: no request sees it, and the reason is told."""
    app = stage.app()
    stage.open(app)
    stage.flip(BLUE)
    stage.origins[GREEN][0].close()
    with Load(port_of(app), clients=4) as load:
        failed = stage.flip(GREEN)
    assert isinstance(failed, Failed)
    assert failed.because is Because.NOT_PROVED
    assert set(load.answers) == {"blue"}
    assert load.lost == []


def test_a_restart_decides_what_ran(stage: Stage) -> None:
    """nginx killed and started anew serves the last colour, and bgd finds all as it left it."""
    app = stage.app()
    stage.open(app)
    stage.flip(BLUE)
    assert stage.sync() == {}  # by now bgd knows the version, and what it can do
    stage.flip(GREEN)
    stage.proxy.restart()

    assert get(port_of(app)) == "green /"
    stage.open(app)
    assert stage.look().decided == {"shop": GREEN}
    workers = stage.proxy.workers()
    assert stage.sync() == {}
    assert stage.proxy.workers() == workers


def test_a_sick_server_is_not_asked(stage: Stage) -> None:
    """Who is known to be sick is down in the text, as long as another one serves; weights are kept."""
    app = stage.app()
    stage.open(app)
    sick = stage.add_origin(BLUE)
    stage.flip(BLUE)
    sick.healthy = False
    others = stage.wanted().healthy - {sick.server.name}

    assert stage.sync(healthy=others, sick=frozenset({sick.server.name})) == {}
    assert {get(port_of(app)) for _ in range(20)} == {"blue /"}
    assert stage.sync(healthy=frozenset(), sick=frozenset()) == {}
    assert f"server {sick.server.name} weight=100 max_fails=3 fail_timeout=1s down;" in part(stage)


def part(stage: Stage) -> str:
    return str((stage.proxy.folder / "bgd.conf").read_text())


def test_settings_change_without_a_loss(stage: Stage) -> None:
    """An app's lines come in by a reload under which kept-alive clients lose nothing."""
    app = stage.app()
    stage.open(app)
    stage.flip(BLUE)
    with Load(port_of(app), clients=8) as load:
        for turn in range(2):
            stage.apps = [attrs.evolve(app, lines=(f"add_header x-turn {turn};",))]
            stage.change.reconfigure(stage.apps)
            workers = stage.proxy.workers()

            assert stage.sync() == {}
            assert not workers & stage.proxy.workers()
    assert load.lost == []
    assert not (stage.proxy.folder / "closing").exists()


HOSTS_OWN = """\
    server {{
        listen 127.0.0.1:{port};
        server_name own.example;
        location / {{
            error_page 599 = @closing;
            if (-e {closing}) {{ return 599; }}
            return 200 "own";
        }}
        location @closing {{ keepalive_timeout 0; return 200 "own"; }}
    }}
"""


def test_an_address_shared_with_the_hosts_own_server(stage: Stage) -> None:
    """An app with hosts comes in beside a server that nginx holds the address for; each keeps its own hosts.

    The host's server looks for bgd's flag, and so loses nothing at bgd's reloads.
    """
    port = stage.proxy.port()
    stage.proxy.write_main(http=HOSTS_OWN.format(port=port, closing=stage.proxy.folder / "closing"))
    stage.proxy.restart()
    stage.open(stage.app(bind=(f"127.0.0.1:{port}",), hosts=("shop.example",)))
    with Load(port, clients=4) as load:
        flipped = stage.flip(BLUE)
    assert isinstance(flipped, Proved), flipped
    assert get(port, host="shop.example") == "blue /"
    assert set(load.answers) == {"own"}
    assert load.lost == []


def test_an_address_that_moves(stage: Stage) -> None:
    """What was taken out of the host's file, and nginx still holds, comes in as the app's without a loss."""
    port = stage.proxy.port()
    stage.proxy.write_main(http=HOSTS_OWN.format(port=port, closing=stage.proxy.folder / "closing"))
    stage.proxy.restart()
    with Load(port, clients=4) as load:
        stage.proxy.write_main()
        stage.open(stage.app(bind=(f"127.0.0.1:{port}",)))
        flipped = stage.flip(BLUE)
    assert isinstance(flipped, Proved), flipped
    assert get(port) == "blue /"
    assert len(load.lost) <= 4, "once for each client: nobody led them off before this reload"
