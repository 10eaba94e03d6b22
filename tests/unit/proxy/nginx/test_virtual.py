"""Servers and locations of a frontend, before nginx reads them."""

from pathlib import Path
from typing import Any

from bgd.config import AppSettings
from bgd.proxy.nginx.virtual import Virtual, virtual
from bgd.proxy.routes import frontends

TLS = ("ssl_certificate /a.pem;", "ssl_certificate_key /a.key;")


def app(name: str = "shop", **changes: Any) -> AppSettings:
    return AppSettings(name=name, service=name, **changes)


def servers(*apps: AppSettings, proof: bool = False) -> dict[str, Virtual]:
    """The servers of the first frontend by their names; that of all other hosts is "*"."""
    found = [each for each in virtual(frontends(apps, Path("/f"))[0]) if each.proof is proof]
    return {" ".join(each.names).replace('"', "") or "*": each for each in found}


def whose(server: Virtual) -> dict[str, str]:
    return {each.match.replace('"', ""): each.app for each in server.locations if not each.closing}


def test_a_path_counts_by_whole_segments() -> None:
    """A path is itself and all beneath it, before any regular expression; the rest is nobody's."""
    (server,) = servers(app(paths=("/shop",))).values()

    assert whose(server) == {"= /shop": "shop", "^~ /shop/": "shop", "/": ""}


def test_a_whole_host_is_one_location() -> None:
    """An app without paths takes all, and leaves room for regular expressions among its lines."""
    assert whose(servers(app())["*"]) == {"/": "shop"}


def test_an_exact_host_wins_over_none() -> None:
    """A host's server holds the routes without a host, but for those beneath a path of its own."""
    found = servers(
        app("any", paths=("/a", "/a/b", "/c")),
        app("host", hosts=("h.example",), paths=("/a",)),
        app("all", hosts=("all.example",)),
    )

    assert whose(found["*"]).keys() == {"= /a", "^~ /a/", "= /a/b", "^~ /a/b/", "= /c", "^~ /c/", "/"}
    assert whose(found["h.example"]) == {
        "= /a": "host",
        "^~ /a/": "host",
        "= /c": "any",
        "^~ /c/": "any",
        "/": "",
    }
    assert whose(found["all.example"]) == {"/": "all"}


def test_hosts_with_the_same_routes_share_a_server() -> None:
    """Hosts that differ in nothing but their names are one server."""
    assert [*servers(app(hosts=("B.example", "a.example")))] == ["bgd.invalid", "a.example b.example"]


def test_only_an_app_without_hosts_is_the_default() -> None:
    """Who takes every host says so aloud; who answers for nobody only stands first."""
    common = servers(app(), app("host", hosts=("h.example",)))
    named = servers(app(hosts=("h.example",)))

    assert common["*"].listens == ("*:80 default_server",)
    assert common["h.example"].listens == ("*:80",)
    assert [each.listens for each in named.values()] == [("*:80",), ("*:80",)]
    assert whose(named["bgd.invalid"]) == {"/": ""}


def test_options_of_an_address_stand_once() -> None:
    """nginx takes an address's options once; every server repeats only how it speaks."""
    bind = ("*:443 backlog=9 http2 proxy_protocol ssl",)
    found = servers(app(bind=bind), app("host", bind=bind, hosts=("h.example",)))

    assert found["*"].listens == (f"{bind[0]} default_server",)
    assert found["h.example"].listens == ("*:443 http2 proxy_protocol ssl",)


def test_http2_by_bind_or_line() -> None:
    """HTTP/2 is spoken where a bind or a line says so, and never at bgd's door."""
    assert [each.http2 for each in virtual(frontends([app(bind=("*:1 http2",))], Path("/f"))[0])] == [
        True,
        False,
    ]
    assert servers(app(lines=("http2 on;",)))["*"].http2
    assert not servers(app(lines=("http2 off;",)))["*"].http2


def test_an_app_without_a_bind_is_at_the_door_only() -> None:
    """Its own server is for the proof."""
    assert not servers(app(bind=(), hosts=("h.example",)))
    assert whose(servers(app(bind=(), hosts=("h.example",)), proof=True)["*"]) == {"/": "shop"}


def test_equal_lines_stand_once() -> None:
    """Apps that share a server may say the same of it."""
    both = [app(name, paths=(f"/{name}",), lines=("gzip on;", f"location /{name}/x {{}}")) for name in "ab"]

    assert servers(*both)["*"].lines == ("gzip on;", "location /a/x {}", "location /b/x {}")


def test_the_nearer_line_counts() -> None:
    """In a host's server its own apps' directives replace those of apps without a host; blocks add up."""
    common = app("any", paths=("/any",), lines=("gzip on;", "ssl_certificate /any.pem;", "location /x {}"))
    own = app("host", hosts=("h.example",), lines=(*TLS, "location /y {}"), paths=("/host",))
    found = servers(common, own)

    assert found["h.example"].lines == (*TLS, "location /y {}", "gzip on;", "location /x {}")
    assert found["*"].lines == common.lines


def test_the_answer_for_nobody_has_a_certificate() -> None:
    """Other hosts of a TLS bind are shown that of the first app that names one."""
    found = servers(app("a", hosts=("a.example",)), app("b", hosts=("b.example",), lines=(*TLS, "gzip on;")))

    assert found["bgd.invalid"].lines == TLS


def test_lines_at_the_door() -> None:
    """Where bgd asks, only lines stand that say how requests are passed on, none that answers or refuses."""
    passing = ("proxy_set_header Host x;", "proxy_read_timeout 9s;")
    others = ("return 301 /;", "deny all;", "proxy_cache c;", "location / { proxy_read_timeout 1s; }")

    assert servers(app(lines=passing + others), proof=True)["*"].lines == passing


def test_what_lines_say_is_not_said_again() -> None:
    """A directive that stands among the lines is left to them; of headers each by itself, in any case."""
    server = servers(app(lines=("proxy_buffering on; proxy_set_header host x;", "location /x { gzip on; }")))[
        "*"
    ]

    said = ("proxy_buffering off", "gzip on", "proxy_set_header Host $host", "proxy_set_header X-A b")
    assert server.unsaid(*said) == ["gzip on", "proxy_set_header X-A b"]
    assert server.says("location", "/x")
    assert not server.says("location", "/")


def test_what_debian_says_is_not_said_again() -> None:
    """With Debian's proxy_params among the lines no header is sent twice."""
    server = servers(app(lines=("include /etc/nginx/proxy_params;",)))["*"]

    assert server.unsaid("proxy_set_header Host $x", "proxy_set_header Upgrade $y") == [
        "proxy_set_header Upgrade $y"
    ]
