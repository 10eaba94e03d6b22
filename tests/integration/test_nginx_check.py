"""nginx judges bgd's part within the host's own configuration, as root and as a plain user."""

import json
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bgctl.demo.process import free_ports
from bgd.config import AppSettings, ProxySettings
from bgd.core.model import Colour, Server
from bgd.proxy.blocks import Block
from bgd.proxy.certificates import STAND_IN
from bgd.proxy.errors import WorldError
from bgd.proxy.machine import Here
from bgd.proxy.nginx import Nginx, check
from bgd.proxy.render import Renderer
from tests.integration.parts import nginx, nginx_with_stream

NOBODY = 65534
MAIN_FILE = """\
{top}
error_log {root}/log/error.log;
events {{ }}
http {{
    access_log {root}/log/access.log;
    client_body_temp_path {root}/temp/body;
    proxy_temp_path {root}/temp/proxy;
    fastcgi_temp_path {root}/temp/fastcgi;
    uwsgi_temp_path {root}/temp/uwsgi;
    scgi_temp_path {root}/temp/scgi;
    {http}
}}
{bottom}
"""


class Host:
    """A host with an nginx.conf of its own, which loads bgd's folder unless it is told otherwise."""

    def __init__(self, root: Path, program: Path) -> None:
        """`program` is an nginx that everybody may run."""
        self.root, self.main_file, self.folder = root, root / "etc/nginx.conf", root / "bgd"
        for name in ("etc/conf.d", "bgd", "log", "temp"):
            (root / name).mkdir(parents=True)
        self.check = f"{program} -t -q -e stderr -c {{main_file}}"
        self.with_stream = nginx_with_stream().replace(
            str(Path(nginx()).resolve().parents[1]), str(program.parents[1])
        )
        self.port = free_ports(1)[0]
        self.write()

    def write(self, http: str | None = None, *, top: str = "", bottom: str = "", more: str = "") -> None:
        http = f"include {self.folder}/*.conf;" if http is None else http
        text = MAIN_FILE.format(root=self.root, http=f"{http} {more}", top=top, bottom=bottom)
        self.main_file.write_text(text)

    def put(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def part(self, *, listen: str = "", name: str = "shop.example", line: str = "") -> str:
        """bgd's part, with one app."""
        listen = listen or f"127.0.0.1:{self.port}"
        return (
            "# bgd's\nupstream shop_blue { server 127.0.0.1:9; }\n"
            f"server {{\n    listen {listen};\n    server_name {name};\n    {line}\n"
            "    location / { proxy_pass http://shop_blue; }\n}\n"
        )

    def settings(self, **changes: Any) -> ProxySettings:
        known: dict[str, Any] = {
            "kind": "nginx",
            "main_file": self.main_file,
            "file": self.folder / "bgd.conf",
        }
        return ProxySettings(**{**known, "check": self.check, **changes})

    def judge(self, part: str | None = None, stream: str = "", **changes: Any) -> str | None:
        """What the check says, as the user that the test runs as."""
        return check.judge(self.texts(part, stream), self.settings(**changes), Here())

    def missing(self, part: str | None = None, stream: str = "") -> str | None:
        return check.missing(self.texts(part, stream), self.settings(), Here())

    def texts(self, part: str | None, stream: str) -> Mapping[str, str]:
        return {"bgd.conf": self.part() if part is None else part, "bgd.stream": stream}

    def judge_as_nobody(self, part: str | None = None, stream: str = "") -> str | None:
        """What it says for a plain user."""
        said: str | None = as_nobody(lambda: self.judge(part, stream))
        return said


def as_nobody(ask: Callable[[], Any]) -> Any:
    """What a process without root's rights answers; it cannot start anew where a checkout is root's own."""
    read, write = os.pipe()
    if not (child := os.fork()):
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
            os.write(write, json.dumps({"answer": ask()}).encode())
        except BaseException as error:
            os.write(write, json.dumps({"failed": repr(error)}).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as said:
        told = json.load(said)
    os.waitpid(child, 0)
    assert "failed" not in told, told
    return told["answer"]


def for_everybody(parts: Path) -> Path:
    """An nginx that everybody may run, also where the checkout is root's own."""
    wrapper = Path(nginx()).resolve()
    unpacked = wrapper.parents[1] / "nginx"
    if not unpacked.is_dir():
        return wrapper
    shutil.copytree(unpacked, parts / "nginx", symlinks=True)
    (parts / "bin").mkdir()
    return Path(shutil.copy(wrapper, parts / "bin" / "nginx"))


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A host that everybody may look at."""
    root = Path(tempfile.mkdtemp(prefix="bgd-"))
    root.chmod(0o755)
    host = Host(root, for_everybody(root / "parts"))
    stand_in = host.put("stand_in.pem", STAND_IN.read_text())
    monkeypatch.setattr("bgd.proxy.nginx.copies.STAND_IN", stand_in)
    monkeypatch.delenv("NGINX", raising=False)  # to nginx it names sockets
    yield host
    for folder in (root / "etc").glob("*/"):
        folder.chmod(0o755)
    shutil.rmtree(root)


def test_a_part_that_is_fine(host: Host) -> None:
    """Nothing is said, and nothing is left behind on the host."""
    before = sorted(path for path in host.root.rglob("*") if "temp" not in path.parts)

    assert host.judge() is None
    assert host.judge_as_nobody() is None
    assert before == sorted(path for path in host.root.rglob("*") if "temp" not in path.parts)


def test_the_shipped_part(host: Host) -> None:
    """What bgd writes for apps of all kinds passes, and warns of nothing, beside the host's own servers."""
    secret = host.put("etc/key.pem", STAND_IN.read_text())
    secret.chmod(0)
    plain, tls, mail, own = (f"127.0.0.1:{port}" for port in free_ports(4))
    lines = (f"ssl_certificate {secret};", f"ssl_certificate_key {secret};")
    apps = [
        app("shop", bind=(plain,), hosts=("shop.example",), paths=("/", "/a b")),
        app("books", bind=(plain,), hosts=("books.example", "shop.example"), paths=("/books",)),
        app("rest", bind=(plain,)),
        app("safe", bind=(f"{tls} ssl http2",), lines=lines),
        app("mail", mode="tcp", bind=(mail,)),
    ]
    stream = f"stream {{ include {host.folder}/*.stream; }}"
    host.write(top=host.with_stream, bottom=stream, more=f"server {{ listen {own}; }}")
    servers = {colour: frozenset({Server("127.0.0.1", 9)}) for colour in Colour}
    adapter = Nginx(host.settings(), Here(), "lb-1")
    blocks = {each.name: Block(each, servers) for each in apps}

    texts = Renderer(host.root / "templates", adapter, node="lb-1").page(blocks).texts
    assert sorted(texts) == ["bgd.conf", "bgd.stream"]
    assert adapter.check(texts) is None
    assert as_nobody(lambda: adapter.check(texts)) is None
    host.write(top=host.with_stream, bottom=stream, more=f"server {{ listen {plain}; }}")
    assert f'conflicting server name "" on {plain}' in (adapter.check(texts) or "")


def app(name: str, **changes: Any) -> AppSettings:
    return AppSettings(**{"name": name, "service": name, **changes})


def test_a_broken_line_of_an_app(host: Host) -> None:
    """The words are nginx's own, of the file that will stand, with the line."""
    said = host.judge(host.part(line="proxy_pas http://shop_blue;"))

    assert said == f'unknown directive "proxy_pas" in {host.folder}/bgd.conf:6 (proxy_pas http://shop_blue;)'
    assert said == host.judge_as_nobody(host.part(line="proxy_pas http://shop_blue;"))


def test_a_broken_line_of_the_host(host: Host) -> None:
    """The host's own file is named as it is called, not as its copy."""
    host.write(top="worker_proceses 1;")

    assert host.judge() == f'unknown directive "worker_proceses" in {host.main_file}:1 (worker_proceses 1;)'


def test_nothing_loads_the_part(host: Host) -> None:
    """A part that nothing loads passes no check; said is the line to write, and where."""
    host.write("")

    cure = f"write 'include {host.folder}/*.conf;' within its http {{ }}"
    assert host.judge() == f"{host.main_file} does not load {host.folder}/bgd.conf: {cure}"
    assert host.judge("nonsense") == host.missing("nonsense") == host.judge()


def test_the_part_is_loaded_in_the_wrong_place(host: Host) -> None:
    """An include outside http {} is named with its place."""
    host.write("", bottom=f"include {host.folder}/*.conf;")

    assert f"loads {host.folder}/bgd.conf only at {host.main_file}:13: write" in (host.missing() or "")
    assert "directive is not allowed here" in (host.judge() or "")


def test_nothing_is_loaded_from_the_folder_but_the_candidate(host: Host) -> None:
    """What stands in bgd's folder now has no part in the check of what will."""
    host.put("bgd/bgd.conf", "nonsense;")

    assert host.judge() is None


@pytest.mark.parametrize("line", ["include conf.d/*.conf;", 'include "{root}/etc/conf.d/own.conf";'])
@pytest.mark.parametrize("link", [False, True])
def test_loaded_by_a_file_in_conf_d(host: Host, line: str, link: bool) -> None:
    """The part is found wherever the host includes it, also by a link, and so is a fault in it."""
    host.write(line.format(root=host.root))
    if link:
        (host.root / "etc/conf.d/own.conf").symlink_to(host.folder / "bgd.conf")
    else:
        host.put("etc/conf.d/own.conf", f"include {host.folder}/*.conf;")
    host.put("bgd/bgd.conf", "what stands now;")

    assert host.judge() is None
    assert f"{host.folder}/bgd.conf:6 (nonsense;)" in (host.judge(host.part(line="nonsense;")) or "")


def test_relative_to_the_main_file(host: Host) -> None:
    """What the host's files name without a folder is found where it is, also by an included file."""
    host.put("etc/conf.d/a.conf", f"include snippets/b.conf; include {host.folder}/*.conf;")
    host.put("etc/snippets/b.conf", f"server {{ listen 127.0.0.1:{host.port}; include snippets/c; }}")
    host.put("etc/snippets/c", "server_name other.example;")
    host.write("include conf.d/a.conf;", more="include mime.types;")
    host.put("etc/mime.types", "types { text/html html; include nowhere; }")

    assert "nowhere" in (host.judge() or "")
    host.put("etc/mime.types", "types { text/html html; }")
    assert host.judge_as_nobody() is None


def test_files_that_include_each_other(host: Host) -> None:
    """A circle of includes ends: nginx runs out of files, or of memory for them."""
    host.put("etc/conf.d/a.conf", "include conf.d/a.conf; include conf.d/*.conf;")
    host.write("include conf.d/a.conf;")

    assert host.judge() is not None


def test_links_that_lead_nowhere(host: Host) -> None:
    """A link that leads to itself, or to nothing, and a path that is none are nginx's to tell."""
    host.write("include conf.d/*;", more=f"include {host.folder}/*.conf;")
    (host.root / "etc/conf.d/a").symlink_to("a")
    assert f'open() "{host.root}/etc/conf.d/a" failed' in (host.judge() or "")

    (host.root / "etc/conf.d/a").unlink()
    (host.root / "etc/conf.d/b").symlink_to("gone")
    assert f'open() "{host.root}/etc/conf.d/b" failed' in (host.judge() or "")

    (host.root / "etc/conf.d/b").unlink()
    odd = "include \0; error_log \0; ssl_certificate \0; ssl_certificate_key \0;"
    assert host.judge(host.part(line=odd)) is not None


def test_a_port_for_root_only(host: Host) -> None:
    """A plain user may not open port 80; all else was judged before that."""
    low = host.part(listen="127.0.0.1:80")

    assert host.judge_as_nobody(low) is None
    assert "nonsense" in (host.judge_as_nobody(host.part(listen="127.0.0.1:80", line="nonsense;")) or "")


def test_addresses(host: Host) -> None:
    """One that a running proxy has is no fault; one that this host does not have is, as at the reload."""
    with socket.create_server(("127.0.0.1", host.port)):
        assert host.judge() is None
    assert "Cannot assign requested address" in (host.judge(host.part(listen="192.0.2.1:8080")) or "")


def test_logs_of_another_user(host: Host) -> None:
    """A plain user's check writes no logs; one in a folder that is not there is a fault all the same."""
    host.write(more="access_log log/relative.log; error_log stderr; access_log syslog:server=127.0.0.1;")
    logs = (
        f"access_log {host.root}/log/shop.log combined buffer=32k; error_log {host.root}/log/error.log warn;"
    )

    assert host.judge_as_nobody(host.part(line=logs)) is None
    assert not [*(host.root / "log").iterdir()]
    lost = host.judge_as_nobody(host.part(line=f"access_log {host.root}/gone/x.log;"))
    assert f'open() "{host.root}/gone/x.log" failed (2: No such file or directory)' in (lost or "")


def test_folders_that_a_plain_user_cannot_make(host: Host) -> None:
    """Folders that nginx makes at its start are made in the copy only."""
    host.write(more=f"proxy_cache_path {host.root}/temp/cache keys_zone=c:1m;")

    assert host.judge_as_nobody() is None
    assert not [*(host.root / "temp").iterdir()]


def test_a_key_for_root_only(host: Host) -> None:
    """A key that bgd may not read has a stand-in, with its certificate; one that is lost is a fault."""
    host.put("etc/tls/cert.pem", STAND_IN.read_text())
    key = host.put("etc/tls/key.pem", STAND_IN.read_text())
    key.chmod(0)
    pair = "ssl_certificate tls/cert.pem; ssl_certificate_key {};"
    listen = f"127.0.0.1:{host.port} ssl"

    private = host.put("etc/private/key.pem", "").parent
    private.chmod(0)

    for name in ("tls/key.pem", private / "key.pem"):
        assert host.judge_as_nobody(host.part(listen=listen, line=pair.format(name))) is None
    assert "tls/gone.pem" in (host.judge_as_nobody(host.part(line=pair.format("tls/gone.pem"))) or "")


def test_a_certificate_that_is_none(host: Host) -> None:
    """What bgd may read is judged as it is."""
    host.put("etc/cert.pem", "no certificate")
    line = "ssl_certificate cert.pem; ssl_certificate_key cert.pem;"

    assert "cert.pem" in (host.judge_as_nobody(host.part(listen=f"{host.port} ssl", line=line)) or "")


def test_the_hosts_own_tls(host: Host) -> None:
    """A key of the host's own server is no reason to refuse bgd's part."""
    keys = [host.put(f"etc/{name}", STAND_IN.read_text()) for name in ("key.pem", "dh.pem")]
    cert = host.put("etc/cert.pem", "not the one of this key")
    for each in keys:
        each.chmod(0)
    host.write(more=f"ssl_certificate_key key.pem; ssl_dhparam {keys[1]};")
    server = f"server {{ listen 127.0.0.1:{free_ports(1)[0]} ssl; ssl_certificate {cert}; }}"
    host.write(
        f"include {host.folder}/*.conf; {server}", more="ssl_certificate_key key.pem; ssl_dhparam dh.pem;"
    )

    assert host.judge_as_nobody() is None


def test_a_main_file_that_may_not_be_read(host: Host) -> None:
    """That cannot be judged at all, and is said so."""
    host.main_file.unlink()

    with pytest.raises(WorldError, match=r"proxy\.main_file: .*nginx\.conf cannot be read: No such file"):
        host.judge()


def test_a_server_name_of_the_host(host: Host) -> None:
    """nginx would ignore bgd's server and only warn of it: a fault, with both places."""
    own = f"server {{ listen 127.0.0.1:{host.port}; server_name a.example SHOP.example; }}"
    host.write(f"include conf.d/*.conf; include {host.folder}/*.conf;")
    place = host.put("etc/conf.d/own.conf", f"# mine\n{own}")

    both = f"claimed by {place}:2, {host.folder}/bgd.conf:5"
    expected = f'conflicting server name "shop.example" on 127.0.0.1:{host.port}: {both}'
    assert host.judge() == host.judge_as_nobody() == expected


def test_a_server_name_that_is_in_the_hosts_way_alone(host: Host) -> None:
    """A quarrel among the host's own servers does not keep bgd's part out."""
    own = f"server {{ listen 127.0.0.1:{host.port}; server_name a.example; }}"
    host.write(more=own + own)

    assert host.judge() is None


def test_a_file_that_may_not_be_read(host: Host) -> None:
    """An included file that bgd may not read is named, and where it is included."""
    host.put("etc/secret.conf", "").chmod(0)
    host.write(more="include secret.conf;")

    said = host.judge_as_nobody() or ""
    assert f'open() "{host.root}/etc/secret.conf" failed (13: Permission denied)' in said
    assert f"in {host.main_file}:11" in said


class Inside(Here):
    """A machine whose commands may do more than bgd, as those in a container."""

    privileged = True

    @contextmanager
    def scratch(self, folder: Path) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix=".check-", dir=folder) as copies:
            yield Path(copies)


def test_where_commands_may_do_more(host: Host) -> None:
    """There nothing is exchanged but bgd's part, and copies within bgd's own folder are not loaded."""
    lost = host.part(line="ssl_certificate tls/gone.pem; ssl_certificate_key tls/gone.pem;")
    host.write(top=f"pid {host.root}/nginx.pid;")

    assert check.judge({"bgd.conf": host.part()}, host.settings(), Inside()) is None
    assert f"{host.root}/etc/tls/gone.pem" in (
        check.judge({"bgd.conf": lost}, host.settings(), Inside()) or ""
    )
    assert (host.root / "log/access.log").exists()
    host.write(top=f"pid {host.root}/nginx.pid;", more=f"server {{ listen {host.port}; }}")
    twice = {"bgd.conf": f"server {{ listen {host.port}; }}"}
    assert "conflicting server name" in (check.judge(twice, host.settings(), Inside()) or "")


def test_a_command_that_is_nonsense(host: Host) -> None:
    """The check's own command is named when it is at fault."""
    assert host.judge(check="/no/such -t") == "proxy.check: cannot run /no/such: No such file or directory"
    assert "proxy.check: " in (host.judge(check="sh -c 'echo no idea; exit 1'") or "")


def test_a_command_of_the_hosts_own(host: Host) -> None:
    """It is given the copies, of the main file and of bgd's folder."""
    look = "sh -c 'grep -q shop_blue {folder}/bgd.conf && grep -q http {main_file}'"

    assert host.judge(check=look) is None
    assert "proxy.check: " in (host.judge("other", check=look) or "")


def test_a_command_that_hangs(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for without end."""
    monkeypatch.setattr(check, "DEADLINE_S", 0.3)

    assert host.judge(check="sleep 60") == f"proxy.check: {shutil.which('sleep')} did not end within 0.3 s"


def tcp(host: Host, line: str = "") -> str:
    """bgd's part for apps that speak TCP."""
    return (
        "upstream mail_blue { server 127.0.0.1:9; }\n"
        f"server {{\n    listen 127.0.0.1:{free_ports(1)[0]};\n    proxy_pass mail_blue;\n    {line}\n}}\n"
    )


def test_tcp_apps(host: Host) -> None:
    """Their file is judged within the host's stream {}."""
    host.write(top=host.with_stream, bottom=f"stream {{ include {host.folder}/*.stream; }}")

    assert host.missing(stream=tcp(host)) is None
    assert host.judge(stream=tcp(host)) is None
    assert host.judge_as_nobody(stream=tcp(host)) is None
    assert f"{host.folder}/bgd.stream:5 (nonsense;)" in (host.judge(stream=tcp(host, "nonsense;")) or "")


def test_no_stream(host: Host) -> None:
    """Without TCP apps nothing is missing; with them it is said what to write, and where."""
    host.write(top=host.with_stream)
    assert host.missing() is None
    assert host.judge(stream="") is None

    line = f"include {host.folder}/*.stream;"
    loads = f"{host.main_file} does not load {host.folder}/bgd.stream"
    cure = f"{loads}: write 'stream {{ {line} }}' beside its http {{ }}"
    assert host.judge(stream=tcp(host)) == host.missing(stream=tcp(host)) == cure
    host.write(top=host.with_stream, bottom="stream { }")
    assert host.judge(stream=tcp(host)) == f"{loads}: write '{line}' within its stream {{ }}"


def test_no_stream_module(host: Host) -> None:
    """The package that is missing is named, whether the host has a stream {} yet or not."""
    host.write()
    built_in = not host.with_stream
    lacks = f"http {{ }}{'' if built_in else f'; {check.STREAM_MODULE}'}"
    assert (host.missing(stream=tcp(host)) or "").endswith(lacks)
    assert (host.judge(stream=tcp(host)) or "").endswith(lacks)

    host.write(bottom=f"stream {{ include {host.folder}/*.stream; }}")
    assert host.missing(stream=tcp(host)) == (None if built_in else check.STREAM_MODULE)
    said = host.judge(stream=tcp(host)) or ""
    assert built_in or ('unknown directive "stream"' in said and said.endswith(check.STREAM_MODULE))


def test_stream_within_http(host: Host) -> None:
    """The file for TCP apps is not loaded by an include within http {}."""
    host.write(f"include {host.folder}/*.conf; include {host.folder}/*.stream;", top=host.with_stream)

    place = f"only at {host.main_file}:11: write 'stream {{ include"
    assert place in (host.missing(stream=tcp(host)) or "")
    assert "bgd.stream:4" in (host.judge(stream=tcp(host)) or "")
