"""This node's own probes of every backend of both colours.

What is to be probed comes in from any thread, and every result goes out by `post`; the probing itself
is done by one thread. The prober's own trouble (no file descriptor left, no name server) is *unknown*:
it is logged once, and nothing is posted for it.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial

import structlog

from bgd.config import ProbeSettings
from bgd.core.events import Probed
from bgd.core.model import Backend, Backends, Colour
from bgd.host import http1
from bgd.host.attempt import Outcome, Question, Trouble
from bgd.host.names import literal
from bgd.host.rounds import Aim, Rounds, Target

CALM_S = 10.0
"""Trouble that has not been met for so long is over."""
CLOSE_S = 5.0
TOGETHER_S = 0.015
"""Results wait so long for each other: there may be thousands a second, and each wakes up who hears of it."""

_Key = tuple[Colour, str]


class AsyncProber:
    """Probes what it is told to, from `start` to `close`. Its methods may be called from any thread."""

    def __init__(self, post: Callable[[Probed], None]) -> None:
        self._post = post
        self._orders: deque[Callable[[], None]] = deque()
        self._apps: dict[str, _App] = {}
        self._rounds = Rounds()
        self._trouble = _TroubleLog()
        self._results: list[Probed] = []
        self._tell_s = 0.0
        """When the results that wait are told."""
        self._stopping = self._closed = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="probes", daemon=True)

    @property
    def alive(self) -> bool:
        """Its thread runs."""
        return self._thread.is_alive()

    def configure(self, app: str, settings: ProbeSettings) -> None:
        """Probe this app's backends so from now on; what has changed begins anew."""
        self._order(partial(self._configure, app, settings))

    def watch(self, app: str, backends: Backends) -> None:
        """From now on these are the app's backends."""
        self._order(partial(self._watch, app, backends))

    def start(self) -> None:
        """Begin to probe."""
        self._thread.start()

    def close(self) -> None:
        """Stop; nothing is posted afterwards."""
        self._order(self._stop)
        if self._thread.ident is not None:
            self._thread.join(CLOSE_S)
        with self._lock:
            if not self._closed and not self._thread.is_alive():
                self._closed = True
                self._rounds.close()

    def _order(self, order: Callable[[], None]) -> None:
        with self._lock:
            if not self._closed:
                self._orders.append(order)
                self._rounds.wake()

    def _run(self) -> None:
        while not self._stopping:
            self._rounds.turn(self._tell_s - time.monotonic() if self._results else None)
            self._tell_all()
            while self._orders:
                self._orders.popleft()()
            self._trouble.turn()

    def _stop(self) -> None:
        self._stopping = True

    def _configure(self, app: str, settings: ProbeSettings) -> None:
        known = self._apps.setdefault(app, _App())
        if known.settings != settings:
            known.settings = settings
            self._aim(app, known, anew=True)

    def _watch(self, app: str, backends: Backends) -> None:
        known = self._apps.setdefault(app, _App())
        known.backends = {(colour, each.name): each for colour in backends for each in backends[colour]}
        self._aim(app, known, anew=False)

    def _aim(self, app: str, known: "_App", *, anew: bool) -> None:
        """Bring the targets in step with backends and settings."""
        for key in [key for key in known.targets if anew or key not in known.backends]:
            self._rounds.drop(known.targets.pop(key))
        if known.settings is None:
            return
        for (colour, name), backend in known.backends.items():
            if (colour, name) not in known.targets:
                target = Target(aim(backend, known.settings), partial(self._tell, app, colour, name))
                known.targets[colour, name] = target
                self._rounds.add(target)

    def _tell(self, app: str, colour: Colour, name: str, outcome: Outcome, took_s: float) -> None:
        if isinstance(outcome, Trouble):
            self._trouble.met(outcome.detail)
        else:
            if not self._results:
                self._tell_s = time.monotonic() + TOGETHER_S
            self._results.append(Probed(app, colour, name, outcome.ok, took_s, outcome.detail))

    def _tell_all(self) -> None:
        if self._results and time.monotonic() >= self._tell_s:
            results, self._results = self._results, []
            for result in results:
                self._post(result)


class _App:
    """What is known of one app; its probes wait until it is configured."""

    def __init__(self) -> None:
        self.settings: ProbeSettings | None = None
        self.backends: dict[_Key, Backend] = {}
        self.targets: dict[_Key, Target] = {}


class _TroubleLog:
    """The prober's own trouble: said when it comes, when it changes and when it is over."""

    def __init__(self) -> None:
        self._log = structlog.get_logger("probe")
        self._detail = ""
        self._met_s = 0.0

    def met(self, detail: str) -> None:
        self._met_s = time.monotonic()
        if detail != self._detail:
            self._detail = detail
            self._log.warning("cannot probe", detail=detail)

    def turn(self) -> None:
        if self._detail and time.monotonic() - self._met_s > CALM_S:
            self._detail = ""
            self._log.info("probing again")


def aim(backend: Backend, settings: ProbeSettings) -> Aim:
    """How one backend is probed."""
    port = settings.port or backend.port
    place = f"[{backend.address}]:{port}" if ":" in backend.address else f"{backend.address}:{port}"
    request = http1.request(settings.path, settings.host or place) if settings.path else b""
    return Aim(
        question=Question(place, request, settings.expect),
        host=backend.address,
        port=port,
        place=literal(backend.address, port),
        interval_s=settings.interval_s,
        timeout_s=settings.timeout_s,
        max_latency_s=settings.max_latency_s,
    )
