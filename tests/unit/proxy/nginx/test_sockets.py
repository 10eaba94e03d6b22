"""This host's sockets by their peers."""

import socket

import pytest

from bgd.proxy.nginx import sockets


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_connection_is_found_by_where_it_leads(family: socket.AddressFamily, host: str) -> None:
    """From its beginning until whoever holds it lets it go; the other end is no such connection."""
    with socket.create_server((host, 0), family=family) as server:
        port = server.getsockname()[1]
        place = sockets.place(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        assert place is not None
        assert sockets.leading_to({place}) == []
        with socket.create_connection((host, port)) as client:
            (found,) = sockets.leading_to({place})
            assert found.peer == place
            assert found.inode in sockets.own()
            server.accept()[0].close()
            assert [each.inode for each in sockets.leading_to({place})] == [found.inode]
            assert client.recv(1) == b""
        assert sockets.leading_to({place}) == []


def test_several_ports_and_families_in_one_answer() -> None:
    """As many as there are."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        ports = [each.getsockname()[1] for each in (one, two)]
        places = {place for port in ports if (place := sockets.place(f"127.0.0.1:{port}"))}
        clients = [socket.create_connection(("127.0.0.1", port)) for port in ports * 40]
        assert len(sockets.leading_to({*places, (bytes(16), 1)})) == 80
        for client in clients:
            client.close()


@pytest.mark.parametrize("text", ["", "localhost:80", "127.0.0.1", "unix:/run/x", "127.0.0.1:http"])
def test_what_is_no_address(text: str) -> None:
    """Nothing leads there that could be told apart."""
    assert sockets.place(text) is None
