"""What the tests of the store have in common: clients, a mailbox, and a proxy that cuts answers."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from bgd.config import AppSettings, ConsulSettings
from bgd.core.events import Event, LiveSeen
from bgd.core.model import LiveKey
from bgd.store.catalogs import WATCHES_AT_MOST
from bgd.store.client import Client
from bgd.store.fleet import Fleet
from bgd.store.shares import ENOUGH
from tests.integration.consul import ConsulServer
from tests.integration.relay import Relay

E = TypeVar("E")
WITHIN_S = 20.0
"""Less than a watch waits for, so that what is heard by then has been told, and not come upon."""


def client(server: ConsulServer, *, prefix: str = "bluegreen", token: str = "", **environ: str) -> Client:
    """A client of this server."""
    token = token or server.token
    return Client(
        ConsulSettings(address=server.address, prefix=prefix), {"CONSUL_HTTP_TOKEN": token, **environ}
    )


def app(name: str = "shop", **settings: str) -> AppSettings:
    return AppSettings(name=name, service=settings.pop("service", name), **settings)  # type: ignore[arg-type]


class Mailbox:
    """Keeps what is posted, and waits for it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.events: list[Event] = []

    def post(self, event: Event) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def forget(self) -> None:
        with self._changed:
            self.events.clear()

    def of(self, kind: type[E]) -> list[E]:
        """All of one kind."""
        with self._changed:
            return [event for event in self.events if isinstance(event, kind)]

    def wait(
        self, kind: type[E], matching: Callable[[E], bool] = lambda _: True, within_s: float = WITHIN_S
    ) -> E:
        """The first of a kind that matches, posted already or to come."""

        def found() -> E | None:
            return next((e for e in self.events if isinstance(e, kind) and matching(e)), None)

        with self._changed:
            assert self._changed.wait_for(lambda: found() is not None, within_s), self.events
            event = found()
            assert event is not None
            return event

    def live(self, name: str = "shop") -> LiveKey | None:
        """The live key that was posted last."""
        seen = self.of(LiveSeen)
        return seen[-1].keys.get(name) if seen else None


@contextmanager
def fleet(
    server: ConsulServer,
    *apps: AppSettings,
    mailbox: Mailbox | None = None,
    node: str = "lb-1",
    instance: str = "one",
    token: str = "",
    second: Callable[[Any], None] = lambda _: None,
    watches_at_most: int = WATCHES_AT_MOST,
    read_together: int = ENOUGH,
) -> Iterator[tuple[Fleet, Mailbox]]:
    """A node's whole store, with what it posts; it says goodbye at the end."""
    mailbox = mailbox or Mailbox()
    made = Fleet(
        client(server, token=token),
        apps or (app(),),
        node=node,
        instance=instance,
        post=mailbox.post,
        second=second,
        watches_at_most=watches_at_most,
        read_together=read_together,
    )
    made.start()
    try:
        yield made, mailbox
    finally:
        made.close()


class CuttingProxy(Relay):
    """Passes requests on to Consul; of those that `cut` names, the answer is lost on its way back."""

    def __init__(self, server: ConsulServer, cut: Callable[[bytes], bool]) -> None:
        self._cut, self.cuts = cut, 0
        super().__init__(server)

    def __enter__(self) -> "CuttingProxy":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def passes(self, near: socket.socket, far: socket.socket) -> None:
        while request := near.recv(1 << 20):
            far.sendall(request)
            answer = far.recv(1 << 20)
            if self._cut(request):
                self.cuts += 1
                return
            near.sendall(answer)
