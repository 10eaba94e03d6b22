"""From blocks to text, and what of it is structure."""

from pathlib import Path
from typing import Any

import pytest

from bgd.config import AppSettings, ProbeSettings, ProxySettings
from bgd.core.model import Colour, Server
from bgd.proxy.blocks import NO_SERVERS, Block
from bgd.proxy.errors import WorldError
from bgd.proxy.haproxy import HAProxy
from bgd.proxy.haproxy.text import read_marker, read_servers
from bgd.proxy.machine import Here
from bgd.proxy.render import Page, Renderer, shipped_templates


def renderer(folder: Path) -> Renderer:
    return Renderer(folder, HAProxy(ProxySettings(file=folder / "bgd.cfg"), Here()), node="lb-1")


def text(page: Page) -> str:
    return page.texts["bgd.cfg"]


def block(*servers: Server, **changes: Any) -> Block:
    settings = AppSettings(name="shop", service="shop", **changes)
    return Block(settings, {**NO_SERVERS, Colour.BLUE: frozenset(servers)})


def structure(folder: Path, *servers: Server, **changes: Any) -> str:
    return renderer(folder).page({"shop": block(*servers, **changes)}).structure


def test_servers_are_no_structure(tmp_path: Path) -> None:
    """Servers that come and go at runtime, and their weights, leave the structure as it is."""
    none = structure(tmp_path)

    assert structure(tmp_path, Server("10.0.0.1", 80)) == none
    assert structure(tmp_path, Server("10.0.0.1", 80, 7), Server("::1", 80)) == none


def test_all_else_is_structure(tmp_path: Path) -> None:
    """What only a reload can change makes another structure: lines, probes, host names."""
    none = structure(tmp_path)

    assert structure(tmp_path, lines=("http-request deny",)) != none
    assert structure(tmp_path, probe=ProbeSettings(fall=5)) != none
    assert structure(tmp_path, Server("web.example", 80)) != none


def test_the_text_says_its_structure(tmp_path: Path) -> None:
    """The marker that a running proxy shows is read back from the file."""
    page = renderer(tmp_path).page({"shop": block()})

    assert read_marker(text(page)) == page.structure
    assert read_marker("") is None


def test_servers_are_read_back(tmp_path: Path) -> None:
    """What is done at runtime is what the text says of a server."""
    page = renderer(tmp_path).page({"shop": block(Server("::1", 80, 7))})

    assert page.servers == read_servers(text(page))
    checked = "check inter 1000ms downinter 250ms rise 1 fall 3"
    written = f"{checked} observe layer4 error-limit 1 on-error mark-down weight 7"
    assert page.servers["shop_blue"] == {"::1:80": f"[::1]:80 {written}"}
    assert page.servers["shop_green"] == {}


def test_own_template_extends_the_shipped(tmp_path: Path) -> None:
    """A template of the host's own may fill the blocks of the shipped one."""
    own = '{% extends "shipped/haproxy.cfg.j2" %}{% block global %}    # mine\n{% endblock %}'
    (tmp_path / "haproxy.cfg.j2").write_text(own)

    assert "    # mine\n" in text(renderer(tmp_path).page({}))


def test_templates_are_read_once(tmp_path: Path) -> None:
    """A template that is being edited counts from the next reading of the configuration on."""
    mine = '{% extends "shipped/haproxy.cfg.j2" %}'
    (tmp_path / "haproxy.cfg.j2").write_text(mine)
    before = renderer(tmp_path)
    before.page({})
    (tmp_path / "haproxy.cfg.j2").write_text("{% nonsense")

    assert "frontend bgd_shop" in text(before.page({"shop": block()}))
    with pytest.raises(WorldError, match=r"haproxy\.cfg\.j2, line 1"):
        renderer(tmp_path).page({})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "{% extends 'shipped/haproxy.cfg.j2' %}{% block head %}{{ nope }}{% endblock %}",
            "'nope' is undefined",
        ),
        ("{% if %}", "line 1: "),
        ("{% extends 'nope.j2' %}", "nope.j2: there is no template of this name"),
        ("{% extends 'haproxy.cfg.j2' %}", "recursion"),
        ("{% for i in range(1000000000000) %}{% endfor %}", "Range too big"),
        ("{{ 'x' * 1000000000000000 }}", "MemoryError"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("", "has no marker"),
    ],
)
def test_a_template_that_does_not_render_says_why(tmp_path: Path, text: str, said: str) -> None:
    """Whatever a template of the host does, a sentence comes of it, with its name."""
    (tmp_path / "haproxy.cfg.j2").write_text(text)

    with pytest.raises(WorldError, match=r"haproxy\.cfg\.j2") as wrong:
        renderer(tmp_path).page({"shop": block()})

    assert said in wrong.value.failed.detail


def test_a_template_that_leaves_a_server_out_says_which(tmp_path: Path) -> None:
    """bgd finds its servers again by their names, so each must have its line."""
    shipped = (shipped_templates() / "haproxy.cfg.j2").read_text()
    (tmp_path / "haproxy.cfg.j2").write_text(shipped.replace("server {{ server.name }}", "server one"))

    with pytest.raises(WorldError, match=r"no line 'server 10\.0\.0\.1:80 \.\.\.' in backend shop_blue"):
        renderer(tmp_path).page({"shop": block(Server("10.0.0.1", 80))})


def test_templates_that_cannot_be_read_are_not_passed_over(tmp_path: Path) -> None:
    """A templates folder that is there but is none is said, rather than the shipped ones used."""
    file = tmp_path / "templates"
    file.write_text("")
    with pytest.raises(WorldError, match=r"proxy\.templates"):
        renderer(file).page({"shop": block()})

    assert text(renderer(tmp_path / "nowhere").page({"shop": block()}))
