"""Templates of the host's own: they extend the shipped one block by block, or name the live colour."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bgd.core.model import Colour
from bgd.core.reasons import Because
from bgd.ports import Failed, Proved
from tests.integration.haproxy import Load, Stage, get, port_of, set_stage
from tests.integration.waiting import eventually

BLUE, GREEN = Colour.BLUE, Colour.GREEN

EACH_BLOCK = """\
{% extends "shipped/haproxy.cfg.j2" %}
{% block head %}
# ours
{% endblock %}
{% block global %}    tune.bufsize 32768
{% endblock %}
{% block defaults %}
defaults
    mode http
    timeout connect 2s
    timeout client 20s
    timeout server 20s
{% endblock %}
{% block frontend_head %}    log-tag {{ front.name }}
{% endblock %}
{% block lines %}    http-request set-header x-lines {{ front.apps | join(",") }}
{{ super() }}
{% endblock %}
{% block frontend_end %}    http-response set-header x-front {{ front.name }}
{% endblock %}
{% block backend_head %}    http-response set-header x-colour {{ colour.colour }}
{% endblock %}
{% block backend_end %}    # end of {{ colour.backend }}
{% endblock %}
"""

NAMES_THE_COLOUR = """\
global
    set-var proc.bgd_structure str({{ structure }})
{% for front in frontends %}
frontend {{ front.name }}
    {% for bind in front.binds %}
    bind {{ bind }}
    {% endfor %}
    bind unix@{{ front.socket }} mode 600 name bgd
    option idle-close-on-response
    http-request allow if { so_name bgd }
    default_backend {{ front.apps[0] }}_{{ live(front.apps[0]) }}
{% endfor %}
{% for app in apps %}
{% for colour in app.colours %}
backend {{ colour.backend }}
    option redispatch 1
    acl asked req.hdr(bgd-proof) -m found
    http-request return status 200 hdr bgd-node {{ node }} hdr bgd-decides %[be_name] if { so_name bgd } asked
    http-response set-header bgd-served "%[be_name] %[srv_name]" if { so_name bgd }
    {% for server in colour.servers %}
    server {{ server.name }} {{ server.place }} weight {{ server.weight }}
    {% endfor %}
{% endfor %}
{% endfor %}
"""


NAMES_A_TCP_COLOUR = """\
global
    set-var proc.bgd_structure str({{ structure }})
{% for front in frontends %}
frontend {{ front.name }}
    mode tcp
    bind {{ front.binds[0] }}
    bind unix@{{ front.socket }} mode 600 name bgd
    default_backend {{ front.apps[0] }}_{{ live(front.apps[0]) }}
{% endfor %}
{% for app in apps %}
{% for colour in app.colours %}
backend {{ colour.backend }}
    mode tcp
    tcp-response content set-var(proc.{{ reached(app.name, colour.colour) }}) uuid() if { so_name -m beg bgd }
    {% for server in colour.servers %}
    server {{ server.name }} {{ server.place }} weight {{ server.weight }}
    {% endfor %}
{% endfor %}
{% endfor %}
"""


@pytest.fixture
def stage() -> Iterator[Stage]:
    with set_stage() as stage:
        yield stage


def own(stage: Stage, text: str) -> Path:
    folder = stage.proxy.root / "templates"
    folder.mkdir(exist_ok=True)
    file = folder / "haproxy.cfg.j2"
    file.write_text(text)
    return file


def test_each_block_may_be_filled(stage: Stage) -> None:
    """Global lines, defaults, frontends, an app's lines and backends are the host's to add to."""
    own(stage, EACH_BLOCK)
    app = stage.app(lines=("http-response set-header x-mine 1",))
    change = stage.open(app)

    assert change.check() == []
    assert isinstance(stage.flip(BLUE), Proved)
    text = (stage.proxy.folder / "bgd.cfg").read_text()
    for line in ("# ours", "tune.bufsize 32768", "timeout client 20s", "log-tag bgd_shop", "x-lines shop"):
        assert line in text
    assert text.count("x-mine 1") == text.count("x-front bgd_shop") == 1
    assert text.count("x-colour ") == text.count("# end of shop_") == 2
    assert stage.flip(GREEN).via == "runtime"
    assert change.render().count("# ours") == 1


def test_a_template_that_names_the_live_colour(stage: Stage) -> None:
    """Then a flip is a loss-free reload, and says so; a restart serves what was served."""
    own(stage, NAMES_THE_COLOUR)
    app = stage.app()
    stage.open(app)
    stage.flip(BLUE)
    with Load(port_of(app), clients=4) as load:
        for colour in (GREEN, BLUE, GREEN):
            flipped = stage.flip(colour)

            assert isinstance(flipped, Proved)
            assert flipped.via == "reload"
            assert get(port_of(app)) == f"{colour} /"
            assert stage.look().decided == {"shop": colour}
            assert stage.sync() == {}
    assert load.lost == []
    worker = stage.proxy.pid()
    stage.open(app)
    assert stage.sync() == {}
    assert stage.proxy.pid() == worker
    stage.proxy.restart()

    assert get(port_of(app)) == "green /"
    assert stage.look().decided == {"shop": GREEN}


def test_a_template_that_names_the_live_colour_of_a_tcp_app(stage: Stage) -> None:
    """No map is asked there either: the structure tells the colour, and a server must take the connection."""
    own(stage, NAMES_A_TCP_COLOUR)
    app = stage.app(mode="tcp")
    stage.open(app)
    for colour in (BLUE, GREEN):
        flipped = stage.flip(colour)

        assert isinstance(flipped, Proved), flipped
        assert flipped.via == "reload"
        assert get(port_of(app)) == f"{colour} /"


def test_a_colour_that_is_not_proved_is_taken_back(stage: Stage) -> None:
    """A flip by reload that no server answers is undone by another reload."""
    own(stage, NAMES_THE_COLOUR)
    app = stage.app()
    stage.open(app)
    stage.flip(BLUE)
    stage.origins[GREEN][0].close()
    failed = stage.flip(GREEN)

    assert isinstance(failed, Failed)
    assert failed.because is Because.NOT_PROVED
    assert get(port_of(app)) == "blue /"
    assert stage.look().decided == {"shop": BLUE}


def test_from_the_map_to_the_live_colour_and_back(stage: Stage) -> None:
    """Another template may come at any time: what is served stays."""
    app = stage.app()
    change = stage.open(app)
    stage.flip(GREEN)
    file = own(stage, NAMES_THE_COLOUR)
    change.reconfigure(stage.apps)
    assert stage.sync() == {}
    assert get(port_of(app)) == "green /"
    assert stage.flip(BLUE).via == "reload"
    file.unlink()
    change.reconfigure(stage.apps)
    assert stage.sync() == {}

    assert get(port_of(app)) == "blue /"
    assert stage.flip(GREEN).via == "runtime"


def test_a_flip_overtakes_a_template_that_names_the_colour(stage: Stage) -> None:
    """The template comes in while a flip by map is made: its text names the colour that was flipped to."""
    begun, hold = stage.proxy.root / "begun", stage.proxy.root / "hold"
    wait = f"touch {begun}; while [ -e {hold} ]; do sleep 0.01; done"
    app = stage.app()
    change = stage.open(app, check=f"sh -c '{wait}; exec {stage.proxy.settings().check}'")
    stage.flip(BLUE)
    begun.unlink()
    own(stage, NAMES_THE_COLOUR)
    change.reconfigure(stage.apps)
    hold.touch()
    sync = threading.Thread(target=stage.sync)
    sync.start()
    eventually(begun.exists, "the template is being checked")
    assert stage.flip(GREEN).via == "runtime"
    with Load(port_of(app), clients=4) as load:
        hold.unlink()
        sync.join(20)
    assert set(load.answers) == {"green"}
    assert load.lost == []
    assert "default_backend shop_green" in (stage.proxy.folder / "bgd.cfg").read_text()


def test_a_mistake_is_shown_with_its_place(stage: Stage) -> None:
    """The file and the line of a mistake are told, and the last good configuration serves on."""
    app = stage.app()
    change = stage.open(app)
    stage.flip(BLUE)
    own(stage, '{% extends "shipped/haproxy.cfg.j2" %}\n{% block global %}\n{{ nope }}\n{% endblock %}\n')
    change.reconfigure(stage.apps)
    failed = stage.sync()["shop"]

    assert failed.because is Because.CHECK_FAILED
    assert failed.detail == "haproxy.cfg.j2, line 3: 'nope' is undefined"
    assert get(port_of(app)) == "blue /"
    assert stage.flip(GREEN).via == "runtime"
