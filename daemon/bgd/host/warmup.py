"""Warm-up: requests that fill a new release's caches before customers come.

Rules that live here: all backends at once, each one's requests one after the other; how long a cold
backend takes is what this is for, so each request may take far longer than a probe, but all of one
backend's together have an end; the newest answer must be one that a probe would take: a backend that
cannot give it after all its practice is not ready; what is not wanted any more ends at once.
"""

import http.client
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from bgd.config import AppSettings
from bgd.core.model import Backend, Colour
from bgd.core.reasons import Because
from bgd.host import probe
from bgd.host.http1 import AGENT
from bgd.ports import Failed, Still

REQUEST_S = 10.0
"""One request may take so long."""
BACKEND_S = 30.0
"""All requests to one backend may take so long; those that are left then are not made."""
AT_ONCE = 64
"""So many backends at once; more wait for their turn."""
ASK_S = 0.05
"""How often it is asked whether it is wanted still."""
_HEADERS = {"User-Agent": AGENT, "Connection": "close"}
_PIECE = 1 << 16


class Warmup:
    """Sends the warm-up requests of all apps. May be used from several threads."""

    def __init__(self) -> None:
        self._apps: dict[str, AppSettings] = {}

    def configure(self, app: AppSettings) -> None:
        """From now on these are the app's settings."""
        self._apps[app.name] = app

    def __call__(self, app: str, colour: Colour, backends: Iterable[Backend], still: Still) -> int | Failed:
        """Warm these backends: how many requests each has had at least, or why one of them is not warm."""
        settings = self._apps[app]
        visits = [_Visit(settings, backend) for backend in backends] if settings.probe.path else []
        if not _made(visits, still):
            return Failed(Because.TARGET_NOT_READY, f"{colour} is not warm: it was not waited for")
        cold = [visit.words for visit in visits if visit.words]
        if cold:
            return Failed(Because.TARGET_NOT_READY, f"{colour} is not warm: {cold[0]}")
        return min((visit.made for visit in visits), default=0)


def _made(visits: list["_Visit"], still: Still) -> bool:
    """Make all visits; False when they were given up. Nobody waits for a name server that is silent."""
    waiting, busy = deque(visits), []
    for _ in range(min(AT_ONCE, len(visits))):
        busy.append(threading.Thread(target=_make, args=(waiting,), name="warm", daemon=True))
        busy[-1].start()
    while busy := [thread for thread in busy if thread.is_alive()]:
        wanted, now_s = still(), time.monotonic()
        for visit in visits:
            if not wanted or visit.until_s <= now_s:
                visit.give_up()
        if not wanted:
            return False
        busy[0].join(ASK_S)
    return True


def _make(waiting: deque["_Visit"]) -> None:
    with suppress(IndexError):
        while True:
            waiting.popleft().make()


class _Visit:
    """All requests to one backend."""

    def __init__(self, settings: AppSettings, backend: Backend) -> None:
        self._probe, self._requests = settings.probe, settings.flip.warmup_requests
        self._backend, self._place = backend, probe.aim(backend, settings.probe).question.place
        self._over = False
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self.until_s = float("inf")
        self.made = 0
        self.words = ""
        """What the newest request met; empty when it was answered well."""

    def make(self) -> None:
        """Make the requests, one after the other."""
        self.until_s = time.monotonic() + BACKEND_S
        while self.made < self._requests and not self._over:
            words = self._ask()
            if self._over and self.made:
                return  # it was cut off: the one before counts
            self.words, self.made = words, self.made + 1

    def give_up(self) -> None:
        """Make no more requests, and wait for no answer."""
        with self._lock:
            self._over = True
            if self._socket is not None:
                with suppress(OSError):  # it has ended by itself
                    self._socket.shutdown(socket.SHUT_RDWR)

    def _ask(self) -> str:
        host, port = self._backend.address, self._probe.port or self._backend.port
        connection = http.client.HTTPConnection(host, port, timeout=REQUEST_S)
        headers = {"Host": self._probe.host or self._place, "Accept": "*/*", **_HEADERS}
        try:
            connection.connect()
            with self._held(connection.sock):
                connection.request("GET", self._probe.path, headers=headers)
                return self._judged(connection.getresponse())
        except TimeoutError:
            return f"no answer from {self._place} within {REQUEST_S:.0f} s"
        except OSError as error:
            return f"{(error.strerror or str(error)).lower()}: {self._place}"
        except http.client.HTTPException as error:
            return f"{self._place} does not answer in HTTP/1: {error}"
        finally:
            connection.close()

    @contextmanager
    def _held(self, sock: socket.socket) -> Iterator[None]:
        """While it is asked, so that it can be cut off."""
        with self._lock:
            self._socket = None if self._over else sock
        if self._socket is None:
            raise OSError("given up")
        try:
            yield
        finally:
            with self._lock:
                self._socket = None

    def _judged(self, answer: http.client.HTTPResponse) -> str:
        """The status counts, as it does for a probe; the body is what fills the caches."""
        until_s = time.monotonic() + REQUEST_S
        with suppress(OSError, http.client.HTTPException):
            while answer.read1(_PIECE) and time.monotonic() < until_s:
                pass
        fine = any(low <= answer.status <= high for low, high in self._probe.expect)
        return "" if fine else f"{answer.status} from {self._place}"
