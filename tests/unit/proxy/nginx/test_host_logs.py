"""The host's own logs, which a server with a log of bgd's names again."""

from pathlib import Path

import attrs
import pytest

from bgd.config import AppSettings, ProxySettings
from bgd.config.settings import RevertSettings
from bgd.core.model import Colour, Server
from bgd.proxy.blocks import NO_SERVERS, Block
from bgd.proxy.machine import Here
from bgd.proxy.nginx import Nginx, host
from bgd.proxy.nginx.host_logs import HostLogs, inherited
from bgd.proxy.render import Renderer


def settings(folder: Path, http: str) -> ProxySettings:
    """A host whose http {} says this, and bgd's folder within it."""
    main = folder / "nginx.conf"
    main.write_text(f"http {{ {http} }}")
    (folder / "bgd").mkdir(exist_ok=True)
    return ProxySettings(kind="nginx", main_file=main, file=folder / "bgd" / "bgd.conf", templates=folder)


def of(folder: Path, http: str) -> tuple[str, ...] | None:
    return inherited(
        host.read({}, settings(folder, http.replace("US", f"include {folder}/bgd/*.conf;")), Here())
    )


def test_logs_are_named_as_the_host_does(tmp_path: Path) -> None:
    """Every one, wherever it stands within http {}, with all its options; those of servers are theirs."""
    (tmp_path / "logs.conf").write_text("access_log /var/log/two 'combined' buffer=8k;")
    main = (
        "log_format own '$status'; access_log /var/log/one own if=$loggable; US include logs.conf;"
        "server { access_log /var/log/three; }"
    )

    assert of(tmp_path, main) == (
        "access_log /var/log/one own if=$loggable;",
        "access_log /var/log/two 'combined' buffer=8k;",
    )


def test_a_host_without_a_log(tmp_path: Path) -> None:
    """One that wants none has none; nginx's built-in one, by no line, cannot be named again."""
    assert of(tmp_path, "access_log off; US") == ()
    assert of(tmp_path, "US") is None


def test_a_format_that_comes_too_late(tmp_path: Path) -> None:
    """nginx must have met it before bgd's part."""
    late = "US log_format own '$status'; access_log /var/log/one own;"
    early = "log_format own '$status'; US access_log /var/log/one own;"

    assert of(tmp_path, late) is None
    assert of(tmp_path, early) == ("access_log /var/log/one own;",)


def test_a_file_that_bgd_may_not_read(tmp_path: Path) -> None:
    """A log may stand in it, which would lose all that is not written to it."""
    (tmp_path / "hidden.conf").write_bytes(b"\xff")
    one = "access_log /var/log/one;"

    assert of(tmp_path, f"{one} US include hidden.conf;") is None
    assert of(tmp_path, f"{one} US server {{ include hidden.conf; }}") == (one,)


def test_what_cannot_be_read_is_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nobody reads before it is needed."""
    proxy = settings(tmp_path, "access_log /var/log/one;")
    logs = HostLogs(proxy, Here())
    assert logs.dialect == ""
    assert not logs.unknown
    assert logs.lines() == ("access_log /var/log/one;",)
    dialect = logs.dialect
    proxy.main_file.unlink()
    monkeypatch.setattr("bgd.proxy.nginx.host_logs.RENEWED_S", -1)

    assert logs.lines() == ("access_log /var/log/one;",)
    assert logs.dialect == dialect
    proxy.main_file.write_text("http { }")
    assert logs.lines() is None
    assert logs.unknown
    assert logs.dialect != dialect, "the text is to be made anew"


def test_traffic_that_cannot_be_counted(tmp_path: Path) -> None:
    """As soon as a text would have had a log it is said why there is none, and what to write."""
    adapter = Nginx(settings(tmp_path, ""), Here(), "lb-1")
    assert adapter.traffic(["shop"]) == {("shop", Colour.BLUE): None, ("shop", Colour.GREEN): None}
    adapter.words("", [])["host_logs"]()

    with pytest.raises(OSError, match=r"write an access_log .* within the http \{ \} of .*nginx\.conf"):
        adapter.traffic(["shop"])


def text(folder: Path, http: str, **changes: object) -> str:
    """bgd's part of that host, for one app whose traffic is judged."""
    app = AppSettings(name="shop", service="shop", bind=("*:80",), revert=RevertSettings(error_rate=0.1))
    block = Block(
        attrs.evolve(app, **changes), {**NO_SERVERS, Colour.BLUE: frozenset({Server("10.0.0.1", 80)})}
    )
    adapter = Nginx(settings(folder, http), Here(), "lb-1")
    return Renderer(folder, adapter, node="lb-1").page({"shop": block}).texts["bgd.conf"]


def test_a_log_beside_the_hosts(tmp_path: Path) -> None:
    """In the servers of customers only, and where traffic is judged."""
    http = "access_log /var/log/one;"
    found = text(tmp_path, http)

    assert found.count("    access_log /var/log/one;\n") == 1
    assert found.count("/traffic bgd_traffic buffer=64k flush=1s if=$bgd_counted;") == 1
    for other in (
        text(tmp_path, http, revert=RevertSettings()),
        text(tmp_path, ""),
        text(tmp_path, http, bind=()),
    ):
        assert "traffic" not in other
        assert "/var/log/one" not in other


def test_an_apps_own_log(tmp_path: Path) -> None:
    """It takes the place of the host's, as without bgd's; one that wants none still gets bgd's."""
    own = text(tmp_path, "access_log /var/log/one;", lines=("access_log /var/log/shop;",))
    none = text(tmp_path, "access_log /var/log/one;", lines=("gzip on; access_log off;",))

    assert "access_log /var/log/shop;" in own
    assert "/var/log/one" not in own + none
    assert "    gzip on;\n" in none
    assert none.count("access_log off;") == 2, "at bgd's own addresses"
    assert "bgd_traffic buffer" in own
    assert "bgd_traffic buffer" in none
