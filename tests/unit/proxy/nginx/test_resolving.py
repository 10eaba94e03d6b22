"""Host names of servers, resolved before nginx sees them."""

import socket
import threading
import time

import pytest

from bgd.core.model import Server
from bgd.proxy.nginx import resolving
from bgd.proxy.nginx.resolving import NOWHERE, Places


def test_a_name_has_an_address() -> None:
    """A host name is written as the address that it has; an address stays what it is."""
    found = Places().of([Server("localhost", 80), Server("10.0.0.1", 80)])

    assert found.keys() == {"localhost:80"}
    assert found["localhost:80"] in ("127.0.0.1:80", "[::1]:80")


def test_a_name_without_address_is_nowhere() -> None:
    """A name that does not exist leads nowhere, and is no error."""
    assert Places().of([Server("nowhere.invalid", 80)]) == {"nowhere.invalid:80": NOWHERE}


def test_the_last_answer_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that is lost takes nobody's address away."""
    places = Places()
    before = places.of([Server("localhost", 80)])
    monkeypatch.setattr(resolving, "FRESH_S", 0.0)

    def lost(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr(socket, "getaddrinfo", lost)

    assert places.of([Server("localhost", 80)]) == before


def test_a_slow_name_server_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many slow names together take no longer than one lookup may."""
    over = threading.Event()

    def slow(*_: object, **__: object) -> None:
        over.wait(10)
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr(resolving, "LOOKUP_S", 0.1)
    monkeypatch.setattr(socket, "getaddrinfo", slow)
    began_s = time.monotonic()
    found = Places().of([Server(f"h{number}.example", 80) for number in range(5)])
    over.set()

    assert set(found.values()) == {NOWHERE}
    assert time.monotonic() - began_s < 5
