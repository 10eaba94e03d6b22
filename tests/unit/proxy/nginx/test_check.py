"""How nginx's configuration is read, what of it is exchanged in copies, and what its words come to."""

import shlex
from pathlib import Path

import attrs
import pytest

from bgd.config import ProxySettings
from bgd.config.directives import directives, quoted
from bgd.proxy import certificates
from bgd.proxy.certificates import STAND_IN
from bgd.proxy.machine import Here
from bgd.proxy.nginx import check, host, loading
from bgd.proxy.nginx.conflicts import conflicts
from bgd.proxy.nginx.copies import Copies

TEXT = """\
# include a; {
user  'www data' "x\\"y";  # user b;
http{map $a $b{default "};{";}
  log_format main '$remote_addr
      include c;' ${x}y;include d#e;
}
stream { }
"""


def words(text: str) -> list[tuple[str, ...]]:
    return [each.words for each in directives(text)]


def test_words() -> None:
    """Comments are none, quotes keep a word together, and what is in them neither ends nor opens."""
    assert words(TEXT) == [
        ("user", "www data", 'x"y'),
        ("http",),
        ("map", "$a", "$b"),
        ("default", "};{"),
        ("log_format", "main", "$remote_addr\n      include c;", "${x}y"),
        ("include", "d#e"),
        ("stream",),
    ]


def test_places() -> None:
    """A directive knows its line and the blocks around it."""
    found = [(each.name, each.line, "/".join(each.within)) for each in directives(TEXT)]

    assert found[3:] == [
        ("default", 3, "http/map"),
        ("log_format", 4, "http"),
        ("include", 5, "http"),
        ("stream", 7, ""),
    ]
    assert [each.within for each in directives("server { listen 80; }", ("http",))][1] == ("http", "server")


def test_lua() -> None:
    """A body of Lua is no directives, whatever its strings and comments hold."""
    text = """a; content_by_lua_block { local x = {"}", [=[ } ]] ]=]} -- }
      include b; } c;"""

    assert words(text) == [("a",), ("content_by_lua_block",), ("c",)]


@pytest.mark.parametrize("text", ["a; b", "a; b 'c;", "a; }", "a; } {", "a; }}} ;;", 'a; "'])
def test_what_is_broken(text: str) -> None:
    """It is read as far as it goes."""
    assert words(text) == [("a",)]


def test_quoted() -> None:
    """A word that is written is the word that is read."""
    for word in ("/a b", 'say "no"', "back\\slash", "{;}#$"):
        assert words(f"include {quoted(word)};") == [("include", word)]


@pytest.fixture
def settings(tmp_path: Path) -> ProxySettings:
    (tmp_path / "etc").mkdir()
    (tmp_path / "bgd").mkdir()
    return ProxySettings(main_file=tmp_path / "etc/nginx.conf", file=tmp_path / "bgd/bgd.conf")


def read(settings: ProxySettings, main: str, part: str = "") -> host.Source:
    settings.main_file.write_text(main)
    return host.read({"bgd.conf": part}, settings, Here())


@pytest.mark.parametrize("line", ["*.conf", "bgd.conf", "b?d.*", "*"])
def test_includes_that_load_the_part(settings: ProxySettings, line: str) -> None:
    """Any pattern that matches the file loads it, though it does not stand yet."""
    loaded = read(settings, f"http {{ include {settings.file.parent}/{line}; }}", "user x;")

    assert [source.text for source in loaded.all() if source.part] == ["user x;"]
    assert [*loading.lacks(loaded, {"bgd.conf": ""}, settings)] == []


@pytest.mark.parametrize(
    "line",
    [
        "http { include *.conf; }",
        "http { include {folder}/*.cfg; }",
        "http { # include {folder}/*.conf;\n }",
        "http { log_format x 'include {folder}/*.conf;'; }",
        "include a",
    ],
)
def test_includes_that_do_not(settings: ProxySettings, line: str) -> None:
    """A pattern of another folder or of other files does not, nor does a comment or a quoted word."""
    loaded = read(settings, line.replace("{folder}", str(settings.file.parent)))

    assert len([*loading.lacks(loaded, {"bgd.conf": ""}, settings)]) == 1


def copied(settings: ProxySettings, main: str, tmp_path: Path) -> str:
    """The copy of a main file without its pid, with short names."""
    copies = Copies(read(settings, main), {}, settings=settings, machine=Here(), scratch=tmp_path)
    text = copies.main_file.read_text().partition('nginx.pid"; ')[2]
    return text.replace(str(STAND_IN), "STAND_IN").replace(str(tmp_path), "")


@pytest.fixture
def secrets(settings: ProxySettings, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Files that are root's only, whoever runs the test; and one that is not."""
    paths = [settings.main_file.with_name(name) for name in ("secret.pem", "open.pem")]
    for path in paths:
        path.write_text("")
    real = certificates.readable
    monkeypatch.setattr(certificates, "readable", lambda each: each != paths[0] and real(each))
    return [path.name for path in paths]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("CERT open.pem; KEY secret.pem;", "CERT S; KEY S;"),
        ("CERT open.pem; KEY open.pem;", "CERT open.pem; KEY open.pem;"),
        ("CERT gone.pem; KEY secret.pem;", "CERT gone.pem; KEY S;"),
        ("CERT $name.pem; KEY data:x;", "CERT $name.pem; KEY data:x;"),
        ("proxy_KEY secret.pem; proxy_CERT open.pem;", "proxy_KEY S; proxy_CERT S;"),
        ("ssl_client_certificate secret.pem;", "ssl_client_certificate S;"),
        ("ssl_trusted_certificate open.pem;", "ssl_trusted_certificate open.pem;"),
        ("ssl_dhparam secret.pem; ssl_crl open.pem;", " ssl_crl open.pem;"),
        ("map $a $b { ssl_dhparam secret.pem; }", "map $a $b { ssl_dhparam secret.pem; }"),
    ],
)
def test_certificates(
    settings: ProxySettings, secrets: list[str], tmp_path: Path, given: str, expected: str
) -> None:
    """What may not be read has a stand-in or is left out; what may, and what is lost, stays."""
    for short, name in {
        "CERT": "ssl_certificate",
        "KEY": "ssl_certificate_key",
        " S;": ' "STAND_IN";',
    }.items():
        given, expected = given.replace(short, name), expected.replace(short, name)

    copy = copied(settings, f"http {{ server {{ {given} }} }}", tmp_path)
    assert copy == f"http {{ access_log off; server {{ {expected} }} }}"


def test_a_pair_in_two_blocks(settings: ProxySettings, secrets: list[str], tmp_path: Path) -> None:
    """A certificate that is in another block than its key is exchanged with it."""
    copy = copied(settings, "a { ssl_certificate open.pem; } b { ssl_certificate_key secret.pem; }", tmp_path)

    assert copy == 'a { ssl_certificate "STAND_IN"; } b { ssl_certificate_key "STAND_IN"; }'


def test_logs_and_folders(settings: ProxySettings, tmp_path: Path) -> None:
    """A check begins no log and makes no folder; one path has one place in the copy."""
    (tmp_path / "there.log").write_text("")
    main = """
        access_log ROOT/a.log combined buffer=32k; error_log ROOT/a.log; access_log ROOT/there.log;
        access_log ROOT/gone/a.log; access_log /x/$host.log; access_log off; error_log stderr;
        proxy_temp_path ROOT/temp 1 2; proxy_cache_path ROOT/gone/a keys_zone=a:1m;
    """

    assert (
        copied(settings, main.replace("ROOT", str(tmp_path)), tmp_path)
        == """
        access_log "/x0" combined buffer=32k; error_log "/x0"; access_log /there.log;
        access_log /gone/a.log; access_log /x/$host.log; access_log off; error_log stderr;
        proxy_temp_path "/x1" 1 2; proxy_cache_path /gone/a keys_zone=a:1m;
    """
    )


def test_lines_stay(settings: ProxySettings, tmp_path: Path) -> None:
    """What is exchanged over several lines leaves all others where they were."""
    main = f"http {{\ninclude\n  {settings.file.parent}/*.conf\n;\nerror_log\nlog/x;\n}}"

    assert copied(settings, main, tmp_path).count("\n") == main.count("\n")


@pytest.mark.parametrize(
    ("listen", "address", "meant"),
    [
        ("80", "0.0.0.0:80", True),
        ("*:80 default_server", "0.0.0.0:80", True),
        ("127.0.0.1", "127.0.0.1:80", True),
        ("[::]:443 ssl", "[::]:443", True),
        ("localhost:81", "127.0.0.1:81", True),
        ("8000-8010", "0.0.0.0:8005", True),
        ("unix:/run/x", "unix:/run/x", False),
        ("80", "127.0.0.1:80", False),
        ("127.0.0.1:8080", "127.0.0.1:80", False),
    ],
)
def test_conflicts(settings: ProxySettings, listen: str, address: str, meant: bool) -> None:
    """nginx's warning is bgd's trouble where a server of its part has the name on that address."""
    part = f"server {{ listen 9;\nlisten {listen}; server_name a Shop; }}"
    main = read(settings, f"http {{ include {settings.file}; }}", part)
    said = f'2026/01/31 [warn] 1#1: conflicting server name "shop" on {address}, ignored\n'

    expected = f'conflicting server name "shop" on {address}: claimed by {settings.file}:2'
    assert [*conflicts(said * 2, main)] == ([expected] if meant else [])


def test_no_circle_is_followed_without_end(settings: ProxySettings) -> None:
    """Files that include each other are read so many times and no more."""
    main = "include nginx.conf; " * 50

    assert len([*read(settings, main).all()]) <= host.FILES_MAX + 1


def test_nothing_is_run_to_see_what_is_missing(settings: ProxySettings) -> None:
    """Without TCP apps the files alone say it."""
    settings.main_file.write_text("http { }")

    assert "within its http { }" in (
        check.missing({"bgd.conf": "x", "bgd.stream": ""}, settings, Here()) or ""
    )


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("nginx: [emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)", None),
        ('2026/01/31 [emerg] 7#7: mkdir() "/var/x/body" failed (13: Permission denied)', None),
        ("[alert] no error log\n[emerg] bind() to [::]:80 failed (13: Permission denied)", None),
        ("[emerg] bind() to a:80 failed (99: Cannot)", "bind() to a:80 failed (99: Cannot)"),
        ("[warn] old\n2026/01/31 [emerg] 7#7: bad\nnginx: test failed", "bad"),
        ("[crit] 7#7: pread() failed", "pread() failed"),
        ("[emerg] a\n" * 5, "a; a; a"),
        ("[warn] only", "proxy.check: [warn] only"),
        ("no\nsuch thing", "proxy.check: no such thing"),
    ],
)
def test_complaints(settings: ProxySettings, said: str, told: str | None) -> None:
    """What a plain user is refused at last is no fault; warnings are none; the rest is told briefly."""
    settings.main_file.write_text(f"http {{ include {settings.file}; }}")
    speaks = attrs.evolve(settings, check=f"sh -c 'echo \"$0\"; exit 1' {shlex.quote(said)}")

    assert check.judge({"bgd.conf": "x"}, speaks, Here()) == told
