"""What bgd.toml may say when the proxy is nginx, and what is said about what it may not."""

import random
import re
from pathlib import Path

import pytest

from bgd.config import ProxySettings, changed_for_reload, parse
from bgd.config.directives import directives
from bgd.config.server_lines import server_line
from bgd.config.values import Bad
from tests.unit.config_text import app, problems

ROOT = Path(__file__).resolve().parents[2]
APP = '[[app]]\nname = "shop"\n'


def nginx(apps: str, proxy: str = "", main_file: Path | str = "/nowhere/nginx.conf") -> str:
    """A bgd.toml for an nginx with this file of its own."""
    return f'[proxy]\nkind = "nginx"\nmain_file = "{main_file}"\n{proxy}\n{apps}'


def test_the_defaults_are_nginxs() -> None:
    """The kind of proxy alone brings the places that Debian's nginx has."""
    proxy = parse(f'[proxy]\nkind = "nginx"\nunit = ""\n{APP}bind = []', "bgd.toml").proxy

    assert proxy == ProxySettings(
        kind="nginx",
        main_file=Path("/etc/nginx/nginx.conf"),
        file=Path("/var/lib/bgd/nginx/bgd.conf"),
        unit="nginx.service",
    )


def test_what_is_haproxys_is_read_and_not_used() -> None:
    """One file may name the sockets of HAProxy and the ports of nginx, whichever is chosen."""
    sockets = 'runtime_socket = "/run/a.sock"\nmaster_socket = "/run/m.sock"'
    ports = 'pid_file = "/run/n.pid"\nproof_port = 9180'

    assert Path("/run/a.sock") == parse(nginx(APP, sockets), "bgd.toml").proxy.runtime_socket
    assert parse(f"[proxy]\n{ports}\n{APP}", "bgd.toml").proxy.proof_port == 9180


@pytest.mark.parametrize("kind", ["ngnix", "Nginx", "nginx "])
def test_a_slip_in_the_kind_is_one_problem(kind: str) -> None:
    """The rest of the file is judged by the proxy that was likely meant."""
    text = nginx(f'{APP}lines = ["gzip on;"]', 'file = "/srv/bgd/bgd.conf"').replace('"nginx"', f'"{kind}"')

    assert list(problems(text)) == ["proxy.kind"]


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ('file = "/srv/bgd/bgd.cfg"', "proxy.file"),
        ('file = "/srv/b gd/bgd.conf"', "proxy.file"),
        ('file = "/srv/b;gd/bgd.conf"', "proxy.file"),
        ('file = "/srv/$bgd/bgd.conf"', "proxy.file"),
        ('file = "/nowhere/bgd.conf"', "proxy.file"),
        ("proof_port = 65536", "proxy.proof_port"),
        ('container = "lb;x"', "proxy.container"),
    ],
)
def test_bad_values_of_the_proxy(line: str, place: str) -> None:
    """A value that cannot be right for nginx is said to be wrong at its key, and nothing else is."""
    assert [place] == list(problems(nginx(APP, line)))


@pytest.mark.parametrize(
    ("written", "spelled"),
    [
        ("80", "*:80"),
        (":80", "*:80"),
        ("0.0.0.0:80", "*:80"),
        ("[::0]:80", "[::]:80"),
        ("[::1]", "[::1]:80"),
        ("127.0.0.1", "127.0.0.1:80"),
        ("Localhost:8080", "localhost:8080"),
        ("*:443  http2   ssl", "*:443 http2 ssl"),
        ("*:443 ssl http2", "*:443 http2 ssl"),
        ("8000-8010", "*:8000-8010"),
        (
            "[::]:80 so_keepalive=30m::10 backlog=99 ipv6only=on",
            "[::]:80 backlog=99 ipv6only=on so_keepalive=30m::10",
        ),
        ("*:80 proxy_protocol reuseport", "*:80 proxy_protocol reuseport"),
    ],
)
def test_one_spelling_of_a_bind(written: str, spelled: str) -> None:
    """A bind has one spelling, so that apps that share one can be told by its text."""
    assert (spelled,) == app(nginx(f'{APP}bind = ["{written}"]')).bind


@pytest.mark.parametrize(
    ("line", "cure"),
    [
        ("", "address:port"),
        ("*:0", "address:port"),
        ("*:80,*:81", "address:port"),
        ("ipv4@*:80", "address:port"),
        ("*:80; listen 81", "address:port"),
        ("*:80 x{", "address:port"),
        ("*:80 backlog=$n", "address:port"),
        ("*:80 #", "address:port"),
        ("$x:80", "address:port"),
        ("unix:/run/shop.sock", "127.0.0.1"),
        ("/run/shop.sock", "127.0.0.1"),
        ("*:80 default_server", "app without hosts"),
        ("*:443 quic", "QUIC"),
        ("*:53 udp", "TCP"),
        ("*:443 ssl crt /etc/ssl/x.pem", "ssl_certificate"),
        ("*:443 ssl alpn h2", "http2"),
        ("*:80 accept-proxy", "proxy_protocol"),
        ("[::]:80 v4v6", "ipv6only=off"),
    ],
)
def test_bad_binds(line: str, cure: str) -> None:
    """What nginx would not take, or not with bgd, is refused with what to write instead."""
    assert cure in problems(nginx(f'{APP}bind = ["{line}"]'))["app[shop].bind[0]"]


@pytest.mark.parametrize(
    "line",
    [
        "gzip on;",
        "  add_header X-A 'a;b' always;  ",
        'add_header X-A "#{}" always;',
        r"rewrite ^/a\{2\}$ /b;",
        "set $a ${host}x;",
        "set $a x};",
        "location = /robots.txt { return 404; }",
        "if ($http_x = '}') { return 403; }",
        "types { text/plain txt; }",
        "gzip on; gzip_vary on;",
        "include snippets/ssl.conf;",
        'content_by_lua_block { ngx.say("}") }',
    ],
)
def test_further_lines(line: str) -> None:
    """A further line is whole directives or blocks of nginx, as it stands."""
    lines = nginx(f"{APP}lines = ['''{line}''']")

    assert (line,) == app(lines).lines


@pytest.mark.parametrize(
    ("line", "cure"),
    [
        ("", "whole directives"),
        ("gzip on", "whole directives"),
        ("gzip;; ", "whole directives"),
        ("}", "whole directives"),
        ("gzip on; } server { listen 81;", "whole directives"),
        ("location /x {", "whole directives"),
        ("location /x { return 404 }", "whole directives"),
        ('add_header X "a;', "whole directives"),
        ("add_header X a\\;", "whole directives"),
        ("# ;", "whole directives"),
        ("gzip on; #}", "comments"),
        ("upstream x { server 1.2.3.4; }", "the host's own files"),
        ("'server' { return 200; }", "the host's own files"),
        ("listen 81;", "bind"),
        ("server_name x.example;", "hosts"),
        ("content_by_lua_block { [[ }", "whole directives"),
        ("http-request deny if { path /admin }", "whole directives"),
    ],
)
def test_bad_lines(line: str, cure: str) -> None:
    """A line that would change what follows it, or where it stands, is refused."""
    assert cure in problems(nginx(f"{APP}lines = ['''{line}''']"))["app[shop].lines[0]"]


def test_a_line_never_changes_what_follows_it() -> None:
    """Whatever a line holds: if it is taken, what stands after it is a directive of its own."""
    draw = random.Random(5)
    pieces = [";", '"', "'", "\\", "$", "${", "{", "}", "#", " ", "x", " a ", "; a "]
    taken = 0
    for _ in range(4000):
        line = "".join(draw.choices(pieces, k=draw.randrange(1, 9))) + draw.choice([";", "}"])
        try:
            server_line(line)
        except Bad:
            continue
        taken += 1
        *_, last = directives(f"{line}\nnext x;")

        assert (last.words, last.within, last.opens, last.line) == (("next", "x"), (), False, 2)

    assert taken > 100


@pytest.mark.parametrize("path", ["/a%20b", "/a//b", "/a/../b", "/a/.", "a", "/a;{", '/a\\"'])
def test_bad_paths(path: str) -> None:
    """A path that nginx would never find in a request is refused."""
    assert list(problems(nginx(f'{APP}paths = ["{path}"]'))) == ["app[shop].paths[0]"]


def two(first: str, second: str) -> str:
    return f'[[app]]\nname = "a"\n{first}\n[[app]]\nname = "b"\n{second}'


@pytest.mark.parametrize(
    ("first", "second", "place", "said"),
    [
        ("", 'bind = ["80"]', "app[b]", "*:80, any host, /"),
        ('bind = ["*:80 backlog=9"]', 'paths = ["/b"]', "app[b].bind[0]", "other options"),
        ('bind = ["[::]:80 ipv6only=off"]', "", "app[b].bind[0]", "*:80 is also bound"),
        ("", 'mode = "tcp"', "app[b].bind[0]", 'mode = "http"'),
        ("", 'mode = "tcp"\nbind = ["*:81"]\nhosts = ["x"]', "app[b].hosts", 'mode = "http" only'),
    ],
)
def test_two_apps_that_clash(first: str, second: str, place: str, said: str) -> None:
    """What two apps both claim is said as with HAProxy."""
    assert said in problems(nginx(two(first, second)))[place]


def test_two_apps_that_share() -> None:
    """Options in another order are the same options."""
    first, second = 'bind = ["*:443 ssl http2"]', 'bind = ["443 http2 ssl"]\nhosts = ["x.example"]'

    assert [each.bind for each in parse(nginx(two(first, second)), "x").apps] == [("*:443 http2 ssl",)] * 2


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """The files of a host's own nginx, laid out as Debian does it."""
    (tmp_path / "sites").mkdir()
    (tmp_path / "bgd").mkdir()
    main = tmp_path / "nginx.conf"
    main.write_text(
        "events {}\nhttp {\n  include mime.types;\n  include sites/*;\n  include bgd/*.conf;\n}\n"
    )
    (tmp_path / "sites" / "default").write_text(
        "server {\n  listen 80 default_server;\n  listen [::]:80 default_server;\n  server_name _;\n}\n"
    )
    (tmp_path / "bgd" / "bgd.conf").write_text(
        "server { listen *:81 default_server; server_name b.example; }\n"
    )
    return main


def beside(host: Path, apps: str, proxy: str = "") -> str:
    return nginx(apps, f'file = "{host.parent}/bgd/bgd.conf"\n{proxy}', host)


def test_a_default_server_of_the_host(host: Path) -> None:
    """An app without hosts and a server that is the default of its address are a problem, with the cure."""
    said = problems(beside(host, f'{APP}bind = ["*:80"]'))["app[shop].hosts"]

    assert f"*:80 has a default_server in {host.parent}/sites/default, line 2, already" in said
    assert "give the app hosts, or take default_server out there" in said


@pytest.mark.parametrize(
    ("server", "line", "place"),
    [
        ("listen 82 ssl; server_name x.example Shop.example;", 'hosts = ["shop.example"]', "app[shop].hosts"),
        ("listen 82;", 'mode = "tcp"', "app[shop].bind[0]"),
        ("listen [::]:82 ipv6only=off default_server;", "", "app[shop].hosts"),
    ],
)
def test_what_clashes_with_a_server_of_the_host(host: Path, server: str, line: str, place: str) -> None:
    """An app and a server of the host's own never claim the same requests: nginx would leave one out."""
    (host.parent / "sites" / "x").write_text(f"# x\nserver {{ {server} }}\n")
    said = problems(beside(host, f'{APP}bind = ["*:82"]\n{line}'))[place]

    assert f"{host.parent}/sites/x, line 2, already" in said


@pytest.mark.parametrize(
    ("server", "line"),
    [
        ("listen 82; server_name x.example;", 'hosts = ["shop.example"]'),
        ("listen 82;", ""),
        ("listen 83 default_server;", ""),
        ("listen unix:/x default_server; listen 443 quic;", ""),
        ("location /x { proxy_pass http://y; } listen", ""),
        ("'", ""),
        ("} } } server { listen 82 default_server; }", ""),
        ("include *;", 'hosts = ["shop.example"]'),
    ],
)
def test_what_does_not_clash_with_the_host(host: Path, server: str, line: str) -> None:
    """Servers may share an address by their names, and what is not clear is left to nginx's own check."""
    (host.parent / "sites" / "x").write_text(f"server {{ {server} }}\n")

    assert app(beside(host, f'{APP}bind = ["*:82"]\n{line}')).name == "shop"


def test_a_stream_of_the_host(host: Path) -> None:
    """A TCP server of the host's own shares its address with nobody; one without listen is on port 80."""
    host.write_text("stream { server { listen 82; } }\nhttp { server { server_name shop.example; } }\n")
    apps = two('bind = ["*:82"]\nhosts = ["x"]', 'bind = ["*:80"]\nhosts = ["shop.example"]')

    assert list(problems(beside(host, apps))) == ["app[a].bind[0]", "app[b].hosts"]


def test_bgds_own_part_is_not_the_hosts(host: Path) -> None:
    """What bgd itself wrote is not held against its apps."""
    assert app(beside(host, f'{APP}bind = ["*:81"]\nhosts = ["b.example"]')).name == "shop"


def test_a_container_has_its_own_files(host: Path) -> None:
    """The files of this host say nothing about a proxy in a container."""
    assert app(beside(host, APP, 'container = "lb"')).name == "shop"


@pytest.mark.parametrize(
    ("text", "owner"),
    [
        (nginx(f'{APP}bind = ["*:9181"]'), "app[shop].bind[0]"),
        (nginx(f'{APP}bind = ["127.0.0.1:9181"]'), "app[shop].bind[0]"),
        (nginx(f'{APP}bind = ["[::]:9181 ipv6only=off"]'), "app[shop].bind[0]"),
        (nginx(f'{APP}bind = ["9000-9200"]'), "app[shop].bind[0]"),
        (nginx(APP, "proof_port = 9180"), "status.listen"),
        (nginx(f'[status]\nlisten = "0.0.0.0:9181"\n{APP}'), "status.listen"),
        (nginx(f'[status]\nlisten = "[::]:9181"\n{APP}'), "status.listen"),
    ],
)
def test_the_proof_port_is_nobody_elses(text: str, owner: str) -> None:
    """A port of loopback that somebody else has is no port for the proof."""
    said = problems(text)

    assert list(said) == ["proxy.proof_port"]
    assert f"is taken by {owner}; use a port of its own" in said["proxy.proof_port"]


def test_the_proof_port_and_the_hosts_own_servers(host: Path) -> None:
    """A server of the host's own on all addresses would answer in the proof's place."""
    (host.parent / "sites" / "x").write_text("server { listen 9181; }\n")
    said = problems(beside(host, f"{APP}bind = []"))

    assert f"*:9181 is taken by {host.parent}/sites/x, line 1" in said["proxy.proof_port"]


@pytest.mark.parametrize("line", ['bind = ["10.0.0.1:9181"]', 'bind = ["[::1]:9181"]', "bind = []"])
def test_the_proof_port_elsewhere(line: str) -> None:
    """On other addresses the port is free for anybody."""
    assert app(nginx(APP + line)).name == "shop"


def test_another_proxy_is_for_a_restart() -> None:
    """A daemon that runs does not change over to another proxy."""
    old, new = parse(f"{APP}bind = []", "old"), parse(nginx(f"{APP}bind = []"), "new")

    assert {"proxy.kind", "proxy.file", "proxy.unit"} <= {each.place for each in changed_for_reload(old, new)}


def test_the_documents_examples() -> None:
    """Every example for nginx in docs/configuration.md is a bgd.toml that is right."""
    text = (ROOT / "docs" / "configuration.md").read_text()
    examples = re.findall(r'```toml\n(\[proxy\]\nkind = "nginx".*?)```', text, re.DOTALL)

    assert [app(each).name for each in examples] == ["shop", "mail"]
    assert all(
        parse(each, "doc").proxy == parse(f'[proxy]\nkind="nginx"\n{APP}bind=[]', "x").proxy
        for each in examples
    )


@pytest.mark.parametrize("line", ['error_rate = "5%"', 'latency = "1s"'])
def test_answers_that_nobody_hears(line: str) -> None:
    """Traffic is no evidence where the host's own servers answer, and only there."""
    said = problems(nginx(f"{APP}bind = []\n[app.revert]\n{line}"))

    assert list(said) == ["app[shop].revert"]
    assert "give the app a bind" in said["app[shop].revert"]
    assert list(problems(nginx(f"{APP}bind = 1\n[app.revert]\n{line}"))) == ["app[shop].bind"]
    assert app(nginx(f"{APP}[app.revert]\n{line}")).revert.judges_traffic
    assert app(f"{APP}bind = []\n[app.revert]\n{line}").revert.judges_traffic


def test_nginx_cuts_nothing() -> None:
    """A drain with an end is refused with the cure; HAProxy takes it."""
    assert "bgctl wait --drained" in problems(nginx(f'{APP}drain = "30m"'))["app[shop].drain"]
    assert app(nginx(f'{APP}drain = "0s"')).drain_s == 0
    assert app(f'{APP}drain = "30m"').drain_s == 1800
