"""What bgd.toml may say, and what is said about what it may not."""

import random
import re
import tomllib
from pathlib import Path

import pytest

from bgd.config import (
    AppSettings,
    ConfigProblems,
    ProbeSettings,
    RevertSettings,
    Settings,
    changed_for_reload,
    load,
    parse,
)
from bgd.core.model import MinHealthy
from tests.unit.config_text import app, problems

APP = '[[app]]\nname = "shop"\n'


def test_a_name_is_enough() -> None:
    """All but the name of an app has a default."""
    assert app(APP) == AppSettings(name="shop", service="shop")


def test_every_key_at_once() -> None:
    """A file that says everything is read as it says."""
    text = """
        node = "lb-1.example"
        [consul]
        address = "unix:///run/consul.sock"
        token_file = "/etc/bgd/token"
        prefix = "team/bluegreen"
        datacenter = "dc1"
        [proxy]
        kind = "haproxy"
        file = "/srv/bgd/part.cfg"
        check = "haproxy -c -f {main_file} -f {folder}"
        unit = ""
        max_old_workers = 2
        [status]
        listen = "[::1]:9180"
        [state]
        directory = "/srv/bgd"
        [notify]
        command = ["/usr/local/bin/tell", "ops", "ops"]
        [[app]]
        name = "shop"
        service = "shop-web"
        colour_by = "meta"
        release_meta = "release"
        bind = [":80", "*:443  ssl crt /etc/ssl/shop.pem"]
        hosts = ["Shop.example"]
        paths = ["/api/"]
        lines = ["http-request deny if { path /admin }"]
        [app.probe]
        path = "/health?deep=1"
        host = "shop.example"
        port = 8081
        interval = "500ms"
        timeout = "0.2s"
        rise = 1
        fall = 5
        expect = "200,204,300-399"
        max_latency = "1m"
        [app.flip]
        min_healthy = "80% of live"
        patience = "1h"
        probation = "0s"
        [app.revert]
        auto = false
        error_rate = "0.5%"
        latency = "500ms"
        window = "10m"
        min_requests = 1
        """
    settings = parse(text, "bgd.toml")

    assert settings.node == "lb-1.example"
    assert (settings.consul.address, settings.consul.prefix) == ("unix:///run/consul.sock", "team/bluegreen")
    assert settings.proxy.unit == "haproxy.service"
    assert ("[::1]:9180", Path("/srv/bgd")) == (settings.listen, settings.state_directory)
    assert settings.app("shop").bind == ("*:80", "*:443 ssl crt /etc/ssl/shop.pem")
    assert settings.app("shop").hosts == ("shop.example",)
    assert settings.app("shop").probe == ProbeSettings(
        path="/health?deep=1",
        host="shop.example",
        port=8081,
        interval_s=0.5,
        timeout_s=0.2,
        rise=1,
        fall=5,
        expect=((200, 200), (204, 204), (300, 399)),
        max_latency_s=60.0,
    )
    assert (MinHealthy(80, "percent-of-live"), 3600.0, 0.0) == (
        settings.app("shop").flip.min_healthy,
        settings.app("shop").flip.patience_s,
        settings.app("shop").flip.probation_s,
    )
    assert settings.app("shop").revert == RevertSettings(
        auto=False, error_rate=0.005, latency_s=0.5, window_s=600.0, min_requests=1
    )
    assert settings.notify == ("/usr/local/bin/tell", "ops", "ops")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('"100%"', MinHealthy(100)),
        ('"2"', MinHealthy(2, "count")),
        ("2", MinHealthy(2, "count")),
        ('"80% of live"', MinHealthy(80, "percent-of-live")),
    ],
)
def test_min_healthy(written: str, meant: MinHealthy) -> None:
    """Enough backends is a share, a number, or a share of live's."""
    assert meant == app(f"{APP}[app.flip]\nmin_healthy = {written}").flip.min_healthy


@pytest.mark.parametrize(
    "text",
    [
        'node = "Lb_1"',
        f'node = "{"n" * 65}"',
        "node = 1",
        '[consul]\naddress = "ftp://x:1"',
        '[consul]\naddress = "http://x:99999"',
        '[consul]\naddress = "http://x:8500\\nevil"',
        '[consul]\ntoken_file = "token"',
        "[consul]\nca_file = []",
        '[consul]\ncert_file = "x.pem"',
        "[consul]\nkey_file = 3",
        '[consul]\nprefix = ""',
        '[consul]\nprefix = "a//b"',
        '[consul]\nprefix = "/a"',
        '[consul]\nprefix = "a/"',
        '[consul]\nprefix = "a/../b"',
        '[consul]\ndatacenter = "dc 1"',
        '[proxy]\nkind = "caddy"',
        "[proxy]\nkind = {}",
        '[proxy]\nmain_file = "haproxy.cfg"',
        '[proxy]\nfile = "/srv/bgd/bgd.conf"',
        '[proxy]\nfile = "/srv/b gd/bgd.cfg"',
        '[proxy]\nfile = "/etc/haproxy/bgd.cfg"',
        '[proxy]\nfile = "/etc/haproxy/haproxy.cfg"',
        '[proxy]\nfile = "/srv/../etc/haproxy/bgd.cfg"',
        '[proxy]\ntemplates = ""',
        '[proxy]\ncheck = "haproxy \'c"',
        '[proxy]\nreload = ""',
        f'[proxy]\nruntime_socket = "/{"s" * 107}"',
        '[proxy]\nmaster_socket = "master.sock"',
        '[proxy]\nunit = "haproxy"',
        "[proxy]\nmax_old_workers = 0",
        "[proxy]\nmax_old_workers = true",
        '[proxy]\npid_file = "nginx.pid"',
        "[proxy]\nproof_port = 0",
        '[proxy]\ncontainer = "-x"',
        '[proxy]\ncontainer = "a b"',
        '[status]\nlisten = "9180"',
        '[status]\nlisten = "127.0.0.1:0"',
        '[status]\nlisten = "127.0.0.1:65536"',
        '[state]\ndirectory = "state"',
        '[notify]\ncommand = "tell ops"',
        "[notify]\ncommand = 1",
    ],
)
def test_bad_values_of_the_host(text: str) -> None:
    """A value that cannot be right is said to be wrong at its key, and nothing else is."""
    section = re.match(r"\[(\w+)\]\n", text)
    key = text.removeprefix(section[0] if section else "").split(" ")[0]

    assert [f"{section[1]}.{key}" if section else key] == list(problems(f"{text}\n{APP}"))


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ('service = "sh op"', "service"),
        ('service = ""', "service"),
        ('colour_by = "color"', "colour_by"),
        ('release_meta = ""', "release_meta"),
        ('mode = "udp"', "mode"),
        ('bind = "*:80"', "bind"),
        ("bind = [80]", "bind[0]"),
        ('bind = ["*:80", ""]', "bind[1]"),
        ('bind = ["80"]', "bind[0]"),
        ('bind = ["*:0"]', "bind[0]"),
        ('bind = ["*:65536"]', "bind[0]"),
        ('bind = ["*:90-80"]', "bind[0]"),
        ('bind = ["*:80\\n  server evil 1.2.3.4"]', "bind[0]"),
        ('bind = ["*:80 # mode 600"]', "bind[0]"),
        ("bind = ['*:80 crt \"/x y\"']", "bind[0]"),
        ("bind = ['*:80\\']", "bind[0]"),
        ('bind = ["*:80", ":80"]', "bind[1]"),
        ('bind = ["1.2.3.4 :80"]', "bind[0]"),
        ('bind = ["[::1:80"]', "bind[0]"),
        ('hosts = ["*.example"]', "hosts[0]"),
        ('hosts = ["shop.example:80"]', "hosts[0]"),
        ('hosts = ["shop.example."]', "hosts[0]"),
        ('hosts = ["shop example"]', "hosts[0]"),
        ('hosts = [""]', "hosts[0]"),
        ('hosts = ["a.example", "A.example"]', "hosts[1]"),
        ('paths = ["api"]', "paths[0]"),
        ('paths = ["/a b"]', "paths[0]"),
        ('paths = ["/a?b"]', "paths[0]"),
        ('paths = ["/a\\nb"]', "paths[0]"),
        ('lines = ["a\\nb"]', "lines[0]"),
        ('lines = ["a\\tb"]', "lines[0]"),
        ('lines = ["", "  backend evil"]', "lines[1]"),
        ("lines = [{}]", "lines[0]"),
        ("""lines = ['"backend" x']""", "lines[0]"),
        ("""lines = ["b'ackend' x"]""", "lines[0]"),
        (r"""lines = ['\x62ackend x']""", "lines[0]"),
        (r"""lines = ['"${SECTION}" x']""", "lines[0]"),
        ('lines = ["  listen#x"]', "lines[0]"),
        ("probe = 1", "probe"),
        ('flip = ["x"]', "flip"),
        ('probe.path = "health"', "probe.path"),
        ('probe.path = "/ HTTP/1.0"', "probe.path"),
        ('probe.host = "a b"', "probe.host"),
        ("probe.port = 65536", "probe.port"),
        ("probe.port = -1", "probe.port"),
        ("probe.interval = 1", "probe.interval"),
        ("probe.interval = 0.5", "probe.interval"),
        ('probe.interval = "49ms"', "probe.interval"),
        ('probe.interval = "1"', "probe.interval"),
        ('probe.interval = "1d"', "probe.interval"),
        ('probe.interval = "-1s"', "probe.interval"),
        ('probe.interval = "1m30s"', "probe.interval"),
        ('probe.timeout = "0s"', "probe.timeout"),
        ("probe.rise = 0", "probe.rise"),
        ("probe.fall = 1.5", "probe.fall"),
        ('probe.fall = "3"', "probe.fall"),
        ("probe.expect = 200", "probe.expect"),
        ('probe.expect = ""', "probe.expect"),
        ('probe.expect = "99"', "probe.expect"),
        ('probe.expect = "399-200"', "probe.expect"),
        ('probe.expect = "200-600"', "probe.expect"),
        ('probe.expect = "2xx"', "probe.expect"),
        ("probe.max_latency = 0", "probe.max_latency"),
        ('flip.min_healthy = "0%"', "flip.min_healthy"),
        ('flip.min_healthy = "101%"', "flip.min_healthy"),
        ("flip.min_healthy = 0", "flip.min_healthy"),
        ("flip.min_healthy = 1.5", "flip.min_healthy"),
        ("flip.min_healthy = true", "flip.min_healthy"),
        ("flip.min_healthy = 0x" + "f" * 6000, "flip.min_healthy"),
        ('flip.min_healthy = "half"', "flip.min_healthy"),
        ('flip.patience = "0s"', "flip.patience"),
        ('flip.patience = "1000h"', "flip.patience"),
        ("flip.probation = 300", "flip.probation"),
        ('flip.probation = "-1s"', "flip.probation"),
        ('flip.probation = "169h"', "flip.probation"),
        ('revert = "off"', "revert"),
        ("revert.auto = 0", "revert.auto"),
        ('revert.auto = "false"', "revert.auto"),
        ("revert.error_rate = 5", "revert.error_rate"),
        ("revert.error_rate = 0.05", "revert.error_rate"),
        ("revert.error_rate = true", "revert.error_rate"),
        ('revert.error_rate = "5"', "revert.error_rate"),
        ('revert.error_rate = "-5%"', "revert.error_rate"),
        ('revert.error_rate = "100%"', "revert.error_rate"),
        ('revert.error_rate = "200%"', "revert.error_rate"),
        ('revert.error_rate = "1e1%"', "revert.error_rate"),
        ('revert.latency = "2h"', "revert.latency"),
        ("revert.latency = 1", "revert.latency"),
        ('revert.window = "0s"', "revert.window"),
        ('revert.window = "999ms"', "revert.window"),
        ('revert.window = "11m"', "revert.window"),
        ("revert.min_requests = 0", "revert.min_requests"),
        ('revert.min_requests = "50"', "revert.min_requests"),
        ("revert.min_requests = 1000001", "revert.min_requests"),
    ],
)
def test_bad_values_of_an_app(line: str, place: str) -> None:
    """A value of an app that cannot be right is said to be wrong at its key, and nothing else is."""
    assert [f"app[shop].{place}"] == list(problems(APP + line))


@pytest.mark.parametrize("name", ["", "Shop", "-shop", "shop-", "a.b", "a" * 41, "shop\\n", "läden"])
def test_bad_names(name: str) -> None:
    """An app's name is fit for keys, files and the proxy's configuration."""
    (place,) = problems(f'[[app]]\nname = "{name}"\n')

    assert place.endswith(".name")


def test_a_bare_number_is_no_duration() -> None:
    """A number without a unit is refused with the number that was likely meant."""
    said = problems(f"{APP}[app.probe]\ninterval = 2")["app[shop].probe.interval"]

    assert said == '2 has no unit; write a duration in quotes: "2s"'


@pytest.mark.parametrize(
    ("text", "place", "cure"),
    [
        ('nod = "a"\n' + APP, "nod", 'did you mean "node"?'),
        (f'{APP}host = ["a"]', "app[shop].host", 'did you mean "hosts"?'),
        (f'{APP}[app.probe]\nintervall = "1s"', "app[shop].probe.intervall", 'did you mean "interval"?'),
        (f'{APP}interval = "1s"', "app[shop].interval", "it belongs in [app.probe]"),
        (f'[consul]\nnode = "a"\n{APP}', "consul.node", "it belongs above the first table"),
        (f'{APP}sticky = "0s"', "app[shop].sticky", 'the nearest known key here is "'),
        (f"{APP}[app.flip]\ncanary = 1", "app[shop].flip.canary", "take it out"),
        (f'{APP}drains = "0s"', "app[shop].drains", 'did you mean "drain"?'),
        (f'{APP}preview_header = "X"', "app[shop].preview_header", 'the nearest known key here is "'),
        (f"{APP}[app.revert]\nautomatic = true", "app[shop].revert.automatic", 'did you mean "auto"?'),
        (f'{APP}error_rate = "5%"', "app[shop].error_rate", "it belongs in [app.revert]"),
        (f'[proxy]\nvia = "x"\n{APP}', "proxy.via", 'the nearest known key here is "'),
        (f"[notify]\ncomand = []\n{APP}", "notify.comand", 'did you mean "command"?'),
        (f'"a\\u001b[31m" = 1\n{APP}', '"a\\u001b[31m"', "the nearest known key"),
    ],
)
def test_unknown_keys(text: str, place: str, cure: str) -> None:
    """A key that does nothing is refused, with the nearest that does something."""
    assert cure in problems(text)[place]


def test_all_problems_at_once() -> None:
    """One reading says all that is wrong, in every table."""
    text = 'node = "A"\n[status]\nlisten = 1\n[[app]]\nname = "B"\nmode = "x"\n[[app]]\n[app.probe]\nrise = 0'

    assert {"node", "status.listen", "app[B].name", "app[B].mode", "app[#2].name", "app[#2].probe.rise"} == (
        problems(text).keys()
    )


def test_every_problem_reads_alone() -> None:
    """Each problem is one line with file, place, what is wrong, and the cure."""
    with pytest.raises(ConfigProblems) as raised:
        parse(f'{APP}mode = "x"\npaths = ["x"]', "/etc/bgd/bgd.toml")

    assert str(raised.value).splitlines() == [
        '/etc/bgd/bgd.toml: app[shop].mode: "x" means nothing here; use "http" or "tcp"',
        '/etc/bgd/bgd.toml: app[shop].paths[0]: "x" is not a path prefix; begin it with "/"; no query, no '
        "spaces, the rest as in a URL",
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a = \n", "line 1, column 5"),
        ("[[app]]\nname = 'x", "line 2"),
        ("a = 1\na = 2\n", "line 2, column 6"),
        ("a = " + "9" * 5000, "file"),
        ("a = " + "[" * 5000, "file"),
    ],
)
def test_what_is_not_toml(text: str, place: str) -> None:
    """A slip in the file's own grammar is said with line and column."""
    (found,) = problems(text)

    assert found.startswith(place)


@pytest.mark.parametrize("text", ["", "app = []", "app = 1", "app = [1]", '[app]\nname = "shop"'])
def test_no_app(text: str) -> None:
    """A file without an app says how to write one."""
    assert "[[app]]" in " ".join(problems(text).values())


@pytest.mark.parametrize(
    "text", ["consul = 1", "proxy = []", 'status = "x"', "state = 2020-01-01", 'notify = "x"']
)
def test_what_is_not_a_table(text: str) -> None:
    """A table that is written as a value says how to write it."""
    assert "is not a table" in problems(f"{text}\n{APP}")[text.split(" ")[0]]


def two(first: str, second: str) -> str:
    return f'[[app]]\nname = "a"\n{first}\n[[app]]\nname = "b"\n{second}'


@pytest.mark.parametrize(
    ("first", "second", "place", "said"),
    [
        ("", 'name = "a"', "app[#2].name", "app[#1]"),
        ("", "", "app[b]", "*:80, any host, /"),
        ("", 'paths = ["/"]', "app[b]", "*:80, any host, /"),
        ('hosts = ["x.example"]', 'hosts = ["y.example", "X.example"]', "app[b]", "x.example"),
        ('paths = ["/a", "/b"]', 'paths = ["/b"]', "app[b]", "/b"),
        ('bind = ["*:80 ssl crt /x"]', 'paths = ["/b"]', "app[b].bind[0]", "other options"),
        ('bind = ["*:80,*:81"]', 'paths = ["/b"]', "app[b].bind[0]", "other addresses"),
        ('bind = [":70-90"]', 'paths = ["/b"]', "app[b].bind[0]", "*:80 is also bound by app[a].bind[0]"),
        ('bind = ["[::]:80 v4v6"]', 'paths = ["/b"]', "app[b].bind[0]", "*:80 is also bound"),
        ("", 'mode = "tcp"', "app[b].bind[0]", 'mode = "http"'),
        ('mode = "tcp"', 'mode = "tcp"', "app[b].bind", "address of its own"),
        ("", 'bind = ["*:81"]\nmode = "tcp"\nhosts = ["x"]', "app[b].hosts", "http"),
        ("", 'bind = ["*:81"]\nmode = "tcp"\npaths = ["/x"]', "app[b].paths", "http"),
        ("", 'bind = ["*:81"]\nmode = "tcp"\nrevert.error_rate = "5%"', "app[b].revert.error_rate", "http"),
        ("", 'bind = ["*:81"]\nmode = "tcp"\nrevert.latency = "1s"', "app[b].revert.latency", "http"),
        ('bind = ["[::0]:80"]', 'bind = [":::80 accept-proxy"]', "app[b].bind[0]", "[::]:80"),
    ],
)
def test_two_apps_that_clash(first: str, second: str, place: str, said: str) -> None:
    """What two apps both claim is said with what it is, at the second."""
    text = two(first, second).replace('name = "b"\nname = "a"', 'name = "a"')

    assert said in problems(text)[place]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('hosts = ["x.example"]', ""),
        ('hosts = ["x.example"]', 'hosts = ["y.example"]'),
        ('hosts = ["x.example"]', 'hosts = ["x.example"]\npaths = ["/b"]'),
        ('paths = ["/a"]', 'paths = ["/a/b"]'),
        ("", 'bind = ["127.0.0.1:80"]'),
        ("", 'bind = ["*:81"]\nmode = "tcp"'),
        ("", 'bind = ["*:81"]\nmode = "tcp"\nrevert = {auto = false, error_rate = "0%", latency = "0s"}'),
        ("bind = []", "bind = []"),
        ('bind = [":80"]\nhosts = ["x"]', 'bind = ["0.0.0.0:80"]'),
        ('bind = ["/run/a.sock mode 600"]', 'bind = ["/run/b.sock"]'),
    ],
)
def test_two_apps_that_share(first: str, second: str) -> None:
    """Apps may share an address as long as each request has one owner."""
    assert [each.name for each in parse(two(first, second), "bgd.toml").apps] == ["a", "b"]


@pytest.mark.parametrize(
    ("written", "spelled"),
    [
        (":80", "*:80"),
        ("0.0.0.0:80", "*:80"),
        ("ipv4@:80", "*:80"),
        ("ipv6@:80", "[::]:80"),
        ("::1:80", "[::1]:80"),
        ("[0:0::1]:80", "[::1]:80"),
        ("10.0.0.1:80,10.0.0.2:80  ssl   alpn h2", "10.0.0.1:80,10.0.0.2:80 ssl alpn h2"),
        ("*:8000-8010", "*:8000-8010"),
        ("unix@/run/x.sock mode 600", "/run/x.sock mode 600"),
        ("abns@x", "abns@x"),
        ("fd@3", "fd@3"),
        ("quic4@:443 ssl", "quic4@*:443 ssl"),
        ("Lb.example:80", "lb.example:80"),
    ],
)
def test_one_spelling_of_a_bind(written: str, spelled: str) -> None:
    """An address has one spelling, so that apps that share a bind can be told by its text."""
    assert (spelled,) == app(f'{APP}bind = ["{written}"]').bind


@pytest.mark.parametrize(
    "line", ["bind :80", "  bind 0.0.0.0:80 name x # web", "bind *:70-90", "bind :::80 v4v6"]
)
def test_the_hosts_own_file_keeps_its_addresses(tmp_path: Path, line: str) -> None:
    """A bind that the host's own file has already is refused, with its line there."""
    main = tmp_path / "haproxy.cfg"
    main.write_text(f"# bind :80\nfrontend web\n{line}\n")
    said = problems(f'[proxy]\nmain_file = "{main}"\n{APP}')["app[shop].bind[0]"]

    assert f"*:80 is bound by {main}, line 3, already" in said


@pytest.mark.parametrize(
    "line", ["bind :81", "bind 'x", 'bind "${PORT}"', "bind", "server x :80", "# bind :80"]
)
def test_what_the_hosts_own_file_does_not_bind(tmp_path: Path, line: str) -> None:
    """What the host's own file does not clearly bind is left to the proxy's check."""
    main = tmp_path / "haproxy.cfg"
    main.write_bytes(line.encode() + b"\n\xff\n")

    assert app(f'[proxy]\nmain_file = "{main}"\n{APP}').name == "shop"


def test_a_container_has_a_main_file_of_its_own(tmp_path: Path) -> None:
    """A file of this host says nothing about a proxy in a container."""
    main = tmp_path / "haproxy.cfg"
    main.write_text("bind :80\n")

    assert app(f'[proxy]\nmain_file = "{main}"\ncontainer = "lb"\n{APP}').name == "shop"


def test_a_main_file_that_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    """Whether the host's own file can be read is not this file's fault."""
    for main in (tmp_path, tmp_path / "missing"):
        assert app(f'[proxy]\nmain_file = "{main}"\n{APP}').name == "shop"


def test_load(tmp_path: Path) -> None:
    """A file is read; one that is missing, a folder, or not UTF-8 is a problem like any other."""
    file = tmp_path / "bgd.toml"
    file.write_text(APP)
    (tmp_path / "latin.toml").write_bytes(b'[[app]]\nname = "\xe4"')

    assert load(file).apps[0].name == "shop"
    for name, said in (("none.toml", "No such file"), ("latin.toml", "byte 16"), ("", "directory")):
        with pytest.raises(ConfigProblems, match=said):
            load(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("", []),
        ('[[app]]\nname = "other"\nbind = ["*:81"]', []),
        ('[notify]\ncommand = ["tell"]', []),
        ('node = "x"', ["node"]),
        ('[consul]\nprefix = "x"\ntoken_file = "/x"', ["consul.token_file", "consul.prefix"]),
        ('[proxy]\nruntime_socket = "/x"\nfile = "/x/x.cfg"', ["proxy.file", "proxy.runtime_socket"]),
        ('[proxy]\ncontainer = "lb"\nproof_port = 9', ["proxy.proof_port", "proxy.container"]),
        ('[status]\nlisten = ""\n[state]\ndirectory = "/x"', ["status.listen", "state.directory"]),
    ],
)
def test_what_a_reload_cannot_change(text: str, places: list[str]) -> None:
    """What only a restart can change is refused at a reload, each change with its place."""
    old, new = parse(APP, "old"), parse(f"{text}\n{APP}", "new")
    changes = changed_for_reload(old, new)

    assert places == [change.place for change in changes]
    assert {"restart bgd"} >= {change.cure for change in changes}


_PIECES = [
    *(
        "[[app]]\n",
        "[app]\n",
        "[app.probe]\n",
        "[app.flip]\n",
        "[app.revert]\n",
        "[notify]\n",
        "[consul]\n",
        "[proxy]\n",
        "[status]\n",
        "[[",
        "]",
    ),
    *(
        "name",
        "bind",
        "hosts",
        "paths",
        "lines",
        "mode",
        "probe",
        "flip",
        "interval",
        "expect",
        "min_healthy",
        "command",
        "auto",
        "error_rate",
        "window",
    ),
    *(
        "node",
        "address",
        "file",
        "main_file",
        "listen",
        "port",
        "rise",
        "check",
        "sticky",
        ".",
        ",",
        "\n",
        "#",
    ),
    *(
        '"*:80"',
        '":1-65535"',
        '"/a"',
        '"shop"',
        '"tcp"',
        '"1s"',
        '"80%"',
        '"\\u0000"',
        '"é"',
        "'\\'",
        '"""',
        "'",
    ),
    *(
        "1",
        "-1",
        "true",
        "nan",
        "inf",
        "1e400",
        "0x" + "f" * 5000,
        "1979-05-27T07:32:00Z",
        "{",
        "}",
        "[",
        "\x00",
    ),
]


def _noise(draw: random.Random) -> str:
    lines = []
    for _ in range(draw.randrange(12)):
        if draw.random() < 0.7:
            value = draw.choice(_PIECES)
            value = f"[{value}, {draw.choice(_PIECES)}]" if draw.random() < 0.3 else value
            lines.append(f"{draw.choice(_PIECES)} = {value}\n")
        else:
            lines.append("".join(draw.choices(_PIECES, k=draw.randrange(6))))
    return "".join(lines)


def _nonsense(draw: random.Random, depth: int = 0) -> str:
    kinds = [
        lambda: draw.choice(
            ['"x"', '"*:80"', '"/"', "0", "7", "-3", "1.5", "nan", "false", "07:32:00", '"\\t"']
        ),
        lambda: f"[{', '.join(_nonsense(draw, depth + 1) for _ in range(draw.randrange(3)))}]",
        lambda: f"{{k = {_nonsense(draw, depth + 1)}}}",
    ]
    return draw.choice(kinds[: 1 if depth > 2 else 3])()


def _settled(text: str) -> Settings | ConfigProblems:
    try:
        return parse(text, "noise")
    except ConfigProblems as wrong:
        found = wrong
    assert found.problems
    assert all(str(problem).isprintable() and problem.cure for problem in found.problems)
    return found


def test_noise_is_only_ever_a_problem() -> None:
    """Whatever the file holds, reading it gives settings or problems in plain words."""
    draw = random.Random(3)
    texts = [_noise(draw) for _ in range(3000)]

    assert any(isinstance(_settled(text), ConfigProblems) for text in texts)


def test_any_value_at_any_key_is_only_ever_a_problem() -> None:
    """Any value of any type at any key gives settings or problems in plain words."""
    draw = random.Random(4)
    keys = {
        "": ["node", "consul", "proxy", "status", "state", "notify"],
        "[consul]": ["address", "token_file", "ca_file", "cert_file", "key_file", "prefix", "datacenter"],
        "[proxy]": ["kind", "main_file", "file", "templates", "check", "reload", "pid_file", "container"],
        "[status]": ["listen"],
        "[notify]": ["command"],
        "[state]": ["directory"],
        "[[app]]": [
            "name",
            "service",
            "colour_by",
            "mode",
            "bind",
            "hosts",
            "paths",
            "lines",
            "probe",
            "flip",
        ],
        "[app.probe]": [
            "path",
            "host",
            "port",
            "interval",
            "timeout",
            "rise",
            "fall",
            "expect",
            "max_latency",
        ],
        "[app.flip]": ["min_healthy", "patience", "probation"],
        "[app.revert]": ["auto", "error_rate", "latency", "window", "min_requests"],
    }
    readable = 0
    for _ in range(3000):
        text = "".join(
            f"{table}\n" + "".join(f"{key} = {_nonsense(draw)}\n" for key in names if draw.random() < 0.2)
            for table, names in keys.items()
        )
        try:
            tomllib.loads(text)
        except tomllib.TOMLDecodeError:
            continue  # two tables of one name
        readable += 1
        _settled(text)

    assert readable > 500
