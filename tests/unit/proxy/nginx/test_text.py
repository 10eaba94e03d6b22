"""bgd's part of an nginx configuration as text."""

import re
from pathlib import Path
from typing import Any

from bgd.config import AppSettings, ProxySettings
from bgd.core.model import Colour, Server
from bgd.proxy.blocks import NO_SERVERS, Block
from bgd.proxy.machine import Here
from bgd.proxy.nginx import Nginx
from bgd.proxy.render import Page, Renderer

ONE = Server("10.0.0.1", 80)


def renderer(folder: Path) -> Renderer:
    proxy = ProxySettings(kind="nginx", file=folder / "bgd.conf", templates=folder)
    return Renderer(folder, Nginx(proxy, Here(), "lb-1"), node="lb-1")


def block(*servers: Server, down: frozenset[str] = frozenset(), **changes: Any) -> Block:
    settings = AppSettings(**{"name": "shop", "service": "shop", **changes})
    return Block(settings, {**NO_SERVERS, Colour.BLUE: frozenset(servers)}, down)


def page(folder: Path, *blocks: Block) -> Page:
    return renderer(folder).page({each.settings.name: each for each in blocks})


def group(text: str, name: str) -> list[str]:
    """The servers of a group, as they are written."""
    found = re.search(rf"^upstream {name} {{\n(.*?)^}}", text, re.MULTILINE | re.DOTALL)
    assert found
    return re.findall(r"server (.*?);", found[1])


def test_http_and_tcp_apps_have_files_of_their_own(tmp_path: Path) -> None:
    """TCP apps stand in a second file, which is there only while they are."""
    both = page(tmp_path, block(ONE), block(ONE, name="db", mode="tcp", bind=("*:5432",))).texts
    one = page(tmp_path, block(ONE)).texts

    assert "shop_blue" not in both["bgd.stream"]
    assert "db_blue" not in both["bgd.conf"]
    assert one.keys() == {"bgd.conf"}


def test_servers_as_they_are_written(tmp_path: Path) -> None:
    """Each with its weight, an IPv6 address in brackets, and whether bgd knows it to be sick."""
    text = page(tmp_path, block(ONE, Server("::1", 80, 7), down=frozenset({ONE.name}))).texts["bgd.conf"]

    assert group(text, "shop_blue") == [
        "10.0.0.1:80 weight=100 max_fails=3 fail_timeout=1s down",
        "[::1]:80 weight=7 max_fails=3 fail_timeout=1s",
    ]
    assert group(text, "shop_green") == ["127.0.0.1:1 down"], "nginx takes no group without a server"


def test_only_http_is_decided_by_a_flag(tmp_path: Path) -> None:
    """A flip changes no text, but that of a TCP app, which names the live colour."""
    shop, db = block(ONE), block(ONE, name="db", mode="tcp", bind=("*:5432",))
    texts = {live: page(tmp_path, shop.with_live(live), db.with_live(live)).texts for live in Colour}

    assert renderer(tmp_path).names_live({"shop": shop, "db": db}) == {"db"}
    assert "proxy_pass db_green;" in texts[Colour.GREEN]["bgd.stream"]
    assert "proxy_pass db_green;" not in texts[Colour.BLUE]["bgd.stream"]


def test_grpc_has_groups_of_its_own(tmp_path: Path) -> None:
    """They stand where an app's bind speaks HTTP/2, and nowhere else."""
    with_it = page(tmp_path, block(ONE, bind=("*:443 http2 ssl",))).texts["bgd.conf"]
    without = page(tmp_path, block(ONE, bind=("*:443 ssl",))).texts["bgd.conf"]

    assert group(with_it, "shop_blue_grpc") == group(with_it, "shop_blue")
    assert "grpc_" not in without.replace(str(tmp_path), "")


def test_the_other_colour_stands_behind(tmp_path: Path) -> None:
    """In further groups a colour's servers are followed by the other's as backups: no colour has them."""
    blue, green = Server("10.0.0.1", 80), Server("10.0.0.2", 80)
    servers = {Colour.BLUE: frozenset({blue}), Colour.GREEN: frozenset({green})}
    settings = AppSettings(name="shop", service="shop", bind=("*:443 http2 ssl",))
    found = page(tmp_path, Block(settings, servers, frozenset({green.name})))
    text = found.texts["bgd.conf"]
    options = "weight=100 max_fails=3 fail_timeout=1s"

    for suffix in ("", "_grpc"):
        assert group(text, f"shop_blue_or_other{suffix}") == [
            f"10.0.0.1:80 {options}",
            f"10.0.0.2:80 {options} backup down",
        ]
        assert group(text, f"shop_green_or_other{suffix}") == [
            f"10.0.0.2:80 {options} down",
            f"10.0.0.1:80 {options} backup",
        ]
    assert set(found.servers) == {"shop_blue", "shop_green", "shop_blue_grpc", "shop_green_grpc"}


def test_a_permission_is_looked_for_by_customers_only(tmp_path: Path) -> None:
    """At bgd's own address a request stays with the colour that is decided."""
    text = page(tmp_path, block(ONE)).texts["bgd.conf"]
    public, own = re.findall(r"location / {\n(.*?)^    }", text, re.MULTILINE | re.DOTALL)

    assert f"if (-e {tmp_path}/permits/$bgd_slot/$bgd_backend)" in public
    assert "shop.green" in own
    assert "permits" not in own


def test_a_group_that_knows_no_backup_stays_alone(tmp_path: Path) -> None:
    """Where the host's template chooses servers in such a way, nothing is permitted."""
    (tmp_path / "nginx.conf.j2").write_text(
        '{% extends "shipped/nginx.conf.j2" %}{% block backend_head %}    ip_hash;\n{% endblock %}'
    )
    text = page(tmp_path, block(ONE)).texts["bgd.conf"]

    assert text.count("ip_hash;") == 2
    assert "or_other" not in text
    assert "permits" not in text


def test_an_nginx_that_lingers_needs_no_closing(tmp_path: Path) -> None:
    """Where nginx itself keeps idle connections for a while, the text has no closing flag."""
    adapter = Nginx(ProxySettings(kind="nginx", file=tmp_path / "bgd.conf"), Here(), "lb-1")
    words = adapter.words
    adapter.words = lambda *given: {**words(*given), "closing": ""}  # type: ignore[method-assign]
    text = Renderer(tmp_path, adapter, node="lb-1").page({"shop": block(ONE)}).texts["bgd.conf"]

    assert "/closing" in page(tmp_path, block(ONE)).texts["bgd.conf"]
    assert not re.search("/closing|@bgd|599", text)
    assert text.count("keepalive_min_timeout 2s;") == 1, "at bgd's door no connection is kept"


def test_blocks_of_an_own_template(tmp_path: Path) -> None:
    """A template that extends the shipped one adds to each part of it."""
    front = ("frontend_head", "frontend_end", "app_head", "app_end")
    names = ("head", "global", *front, "backend_head", "backend_end")
    own = [f"{{% block {name} %}}# my {name}\n{{% endblock %}}" for name in names]
    own[names.index("app_head")] = "{% block app_head %}# my app_head of {{ app.name }}\n{% endblock %}"
    (tmp_path / "nginx.conf.j2").write_text("\n".join(['{% extends "shipped/nginx.conf.j2" %}', *own]))
    text = page(tmp_path, block(ONE)).texts["bgd.conf"]

    assert {name: text.count(f"# my {name}") for name in names} == {
        "head": 1,
        "global": 1,
        "frontend_head": 2,
        "frontend_end": 2,
        "app_head": 3,
        "app_end": 3,
        "backend_head": 4,
        "backend_end": 4,
    }
    assert text.count("# my app_head of shop\n") == 3, "as ever, while connections end, and at bgd's door"


def test_an_own_template_may_name_the_live_colour(tmp_path: Path) -> None:
    """One that decides by itself makes another text for another colour."""
    decision = "set $bgd_backend {{ app.name }}_{{ app.live }};"
    (tmp_path / "nginx.conf.j2").write_text(
        '{% extends "shipped/nginx.conf.j2" %}{% block app_colour %}' + decision + "{% endblock %}"
    )
    shop = block(ONE)

    assert renderer(tmp_path).names_live({"shop": shop}) == {"shop"}
    text = page(tmp_path, shop.with_live(Colour.GREEN)).texts["bgd.conf"]
    assert "set $bgd_backend shop_green;" in text
    assert "shop.green" not in text
