"""docs/adopting.md, carried out word by word on Debian's own configuration, under load."""

from pathlib import Path

import pytest

from tests.integration.adopting_world import Block, Host, furnished, in_own_host, section
from tests.integration.load import Load


def take(host: Host, title: str, *, until: str = "", since: str = "") -> None:
    """Carry out a section's blocks up to the one that says `until`, or all after the one with `since`."""
    blocks = section(title)
    first = next((at + 1 for at, block in enumerate(blocks) if since and since in block.text), 0)
    last = next((at + 1 for at, block in enumerate(blocks) if until and until in block.text), len(blocks))
    for block in blocks[first:last]:
        host.do(block)


def lossless(host: Host, title: str, name: str, **part: str) -> None:
    """Carry out a section, and lose no request."""
    with Load(80, folder=host.folder, name=name, kept=3, new=3, steady=2) as load:
        take(host, title, **part)
    lost = load.lost()

    assert len(load.records) > 100
    assert not lost, (name, len(lost), lost[:5], host.logs())


def by_hand(host: Host, title: str, file: str) -> None:
    """The host's own configuration, as the document supposes it."""
    text = next(block.text for block in section(title))
    host.do(Block("diff", file, "".join(f"+{line}\n" for line in text.splitlines())))


def test_haproxy_with_the_hosts_own_frontend(request: pytest.FixtureRequest) -> None:
    """Into a hand-written HAProxy and out again: but for its two restarts, no request is lost."""
    if not in_own_host(request.node.nodeid):
        return
    with furnished() as host:
        before = Path("/etc/default/haproxy").read_text()
        by_hand(host, "HAProxy: your frontend stays", "/etc/haproxy/haproxy.cfg")
        host.run("systemctl start haproxy")
        take(host, "Before")
        take(host, "HAProxy: in", until="systemctl restart")
        lossless(host, "HAProxy: in", "in", since="systemctl restart")
        lossless(host, "HAProxy: out", "out", until="rm -rf")
        take(host, "HAProxy: out", since="rm -rf")

        assert Path("/etc/default/haproxy").read_text() == before


def test_haproxy_whose_address_moves(request: pytest.FixtureRequest) -> None:
    """An address moves from the host's file to bgd and back, and no request is lost."""
    if not in_own_host(request.node.nodeid):
        return
    with furnished() as host:
        by_hand(host, "HAProxy: your frontend stays", "/etc/haproxy/haproxy.cfg")
        host.run("systemctl start haproxy")
        take(host, "Before")
        take(host, "HAProxy: in", until="systemctl restart")
        with_back = "HAProxy: the address moves back"
        lossless(host, "HAProxy: an address moves to bgd", "there", until="$ bgctl status")
        lossless(host, with_back, "back")


def test_nginx_with_the_hosts_own_server(request: pytest.FixtureRequest) -> None:
    """Into a hand-written nginx and out again: but for the first reload, no request is lost."""
    if not in_own_host(request.node.nodeid):
        return
    with furnished() as host:
        nginx_by_hand(host)
        before = Path("/etc/nginx/nginx.conf").read_text()
        take(host, "Before")
        take(host, "nginx: in", until="install -d")
        lossless(host, "nginx: in", "in", since="install -d")
        lossless(host, "nginx: out", "out")

        assert Path("/etc/nginx/nginx.conf").read_text() == before


def test_nginx_with_an_address_of_bgds_own(request: pytest.FixtureRequest) -> None:
    """A new address opens beside the host's own site, with templates of the host's, and goes again."""
    if not in_own_host(request.node.nodeid):
        return
    with furnished() as host:
        nginx_by_hand(host)
        take(host, "Before")
        take(host, "nginx: in", until="install -d", since="chmod")
        take(host, "nginx: bgd has an address of its own", until="$ bgctl status")
        with Load(8080, folder=host.folder, kept=3, new=3, steady=2) as load:
            take(host, "Your own templates")
        assert load.lost() == []
        take(host, "nginx: the address goes again")

        assert host.run("curl -s http://127.0.0.1/") == "blue\n"


def nginx_by_hand(host: Host) -> None:
    """The only site is the one that the document supposes."""
    Path("/etc/nginx/sites-available/default").write_text("")
    by_hand(host, "nginx: your server stays", "/etc/nginx/sites-available/default")
    host.run("systemctl start nginx")
