"""The running daemon: every concrete part put together, started in order and stopped in order.

The disk comes first, then the proxy and the probes, Consul last: a host without Consul comes up as it
went down. Stopping touches nothing: the proxy goes on serving.
"""

import signal
import sys
import threading
from collections.abc import MutableMapping
from pathlib import Path

import structlog

from bgd import __version__
from bgd.config import AppSettings, ConfigProblems, Problem, Settings, changed_for_reload, load
from bgd.core.events import Event
from bgd.core.model import Policy
from bgd.hands import Fault
from bgd.host.clock import SystemClock
from bgd.host.notify import Notifier
from bgd.host.probe import AsyncProber
from bgd.host.state import StateDirectory, StateLocked, Unreadable
from bgd.host.systemd import ServiceManager
from bgd.host.warmup import Warmup
from bgd.loop import Loop, Reconfigured, Stop, World
from bgd.proxy.change import Change
from bgd.proxy.kinds import adapter
from bgd.status.board import Board
from bgd.status.listener import CannotListen
from bgd.status.server import StatusServer
from bgd.store import keys
from bgd.store.client import BadSetting, Client, StoreFault
from bgd.store.fleet import Fleet
from bgd.store.fleet import SecondDaemon as AnotherLives

LOOK_S = 1.0
"""So often the running proxy is asked what it decides."""
STUCK_S = 15.0
"""A loop that has not turned for so long is stuck: systemd is no longer told that it lives."""
SWITCH_S = 0.0001
"""How long one thread may keep the interpreter from another: a flip waits for it."""


class SecondDaemon(Exception):
    """Another bgd does this node's work."""


class Unusable(Exception):
    """The settings cannot be carried out on this host; `problem` names the place and the cure."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def policy(app: AppSettings) -> Policy:
    """The part of an app's settings that decisions depend on."""
    return Policy(
        min_healthy=app.flip.min_healthy,
        patience_s=app.flip.patience_s,
        interval_s=app.probe.interval_s,
        timeout_s=app.probe.timeout_s,
        rise=app.probe.rise,
        fall=app.probe.fall,
        probation_s=app.flip.probation_s,
        drain_s=app.drain_s,
        warmup_requests=app.flip.warmup_requests if app.probe.path else 0,
        auto=app.revert.auto,
        error_rate=app.revert.error_rate,
        latency_s=app.revert.latency_s,
        window_s=app.revert.window_s,
        min_requests=app.revert.min_requests,
    )


class Daemon:
    """bgd, from its settings to its end. `run` returns after SIGTERM."""

    def __init__(self, settings: Settings, path: Path, environ: MutableMapping[str, str]) -> None:
        self._settings, self._path = settings, path
        self._log = structlog.get_logger("bgd")
        self._clock = SystemClock()
        self._manager = ServiceManager(environ)
        self._stop, self._reread = threading.Event(), threading.Event()
        self._second = ""
        self._state = _state(settings.state_directory)
        self._client = _client(settings, environ)
        node = settings.node or _node(self._client, self._state, self._log, self._stop)
        self._board = Board(node)
        self._proxy = Change(
            settings.proxy,
            adapter(settings.proxy, node),
            settings.apps,
            node,
            self._board,
            structlog.get_logger("proxy"),
        )
        self._prober = AsyncProber(self._post)
        self._warmup = Warmup()
        self._notifier = Notifier(settings.notify)
        self._store = Fleet(
            self._client,
            settings.apps,
            node=node,
            instance=self._state.instance,
            post=self._post,
            second=self._give_way,
            told=self._notifier.tell,
        )
        self._loop = Loop(
            node=node,
            version=__version__,
            max_old_workers=settings.proxy.max_old_workers,
            world=World(
                proxy=self._proxy,
                store=self._store,
                prober=self._prober,
                warmup=self._warmup,
                state=self._state,
                clock=self._clock,
                observer=self._board,
            ),
        )
        self._status = StatusServer(settings.listen, self._board, self._healthy)

    def run(self) -> None:
        """Serve until SIGTERM. Raises SecondDaemon, or a fault of our own."""
        sys.setswitchinterval(SWITCH_S)
        threading.excepthook = self._thread_died
        self._listen_to_signals()
        self._recall()
        self._open_status()
        self._prober.start()
        threads = [
            threading.Thread(target=self._look, name="look", daemon=True),
            threading.Thread(target=self._reload, name="reload", daemon=True),
        ]
        for thread in threads:
            thread.start()
        self._store.start()
        self._manager.ready(f"{len(self._settings.apps)} apps")
        self._log.info("started", version=__version__, apps=[app.name for app in self._settings.apps])
        try:
            self._loop.run()
        finally:
            self._end(threads)
        if self._second:
            raise SecondDaemon(self._second)

    def _open_status(self) -> None:
        try:
            self._status.start()
        except CannotListen as cannot:
            raise Unusable(Problem(cannot.place, cannot.what, cannot.cure)) from None

    def _post(self, event: Event) -> None:
        self._loop.post(event)

    def _thread_died(self, args: threading.ExceptHookArgs) -> None:
        """A fault of our own in any thread ends the daemon: half a daemon is worse than a restart."""
        self._log.error("thread died", thread=args.thread.name if args.thread else "")
        self._loop.post(Fault(args.exc_value or RuntimeError(str(args.exc_type))))

    def _give_way(self, found: AnotherLives) -> None:
        self._second = str(found)
        self._loop.post(Stop())

    def _recall(self) -> None:
        """Take in what the disk holds; an app that the configuration dropped meanwhile ends here."""
        for app in self._settings.apps:
            self._prober.configure(app.name, app.probe)
            self._warmup.configure(app)
            kept = self._state.load(app.name)
            if isinstance(kept, Unreadable):
                self._log.error("state unreadable", app=app.name, detail=kept.detail)
                kept = None
            self._loop.add(app.name, policy(app), kept)
        for name in set(self._state.apps()) - {app.name for app in self._settings.apps}:
            self._store.withdraw(name)
            self._state.forget(name)

    def _listen_to_signals(self) -> None:
        signal.signal(signal.SIGTERM, lambda *_: self._loop.post(Stop()))
        signal.signal(signal.SIGINT, lambda *_: self._loop.post(Stop()))
        signal.signal(signal.SIGHUP, lambda *_: self._reread.set())

    def _end(self, threads: list[threading.Thread]) -> None:
        self._manager.stopping()
        self._stop.set()
        self._reread.set()
        self._store.close()
        self._notifier.close()
        self._prober.close()
        self._status.close()
        for thread in threads:
            thread.join(timeout=LOOK_S)
        self._state.close()
        self._log.info("stopped")

    def _healthy(self) -> tuple[bool, str]:
        age_s = self._clock.now_s() - self._loop.turned_s
        return (True, "") if age_s < STUCK_S else (False, f"the loop has not turned for {age_s:.0f} s")

    def _look(self) -> None:
        """Ask the proxy each second; and tell systemd that the loop turns, as long as it does."""
        while not self._stop.is_set():
            self._proxy.look(self._post)
            if self._healthy()[0]:
                self._manager.alive()
            self._stop.wait(LOOK_S)

    def _reload(self) -> None:
        """Read the configuration anew at each SIGHUP; one that is not right changes nothing."""
        while self._reread.wait() and not self._stop.is_set():
            self._reread.clear()
            self._manager.reloading()
            try:
                new = load(self._path)
                refused = changed_for_reload(self._settings, new)
            except ConfigProblems as wrong:
                refused = wrong.problems
            if refused:
                self._log.error(
                    "configuration refused, the old one stays",
                    file=str(self._path),
                    problems=list(map(str, refused)),
                )
            else:
                self._take(new)
            self._manager.ready(f"{len(self._settings.apps)} apps")

    def _take(self, new: Settings) -> None:
        gone = {app.name for app in self._settings.apps} - {app.name for app in new.apps}
        self._settings = new
        self._proxy.reconfigure(new.apps)
        self._notifier.configure(new.notify)
        for app in new.apps:
            self._prober.configure(app.name, app.probe)
            self._warmup.configure(app)
        self._loop.post(Reconfigured({app.name: policy(app) for app in new.apps}))
        self._store.reconfigure(new.apps)
        for name in gone:
            self._store.withdraw(name)
        self._log.info("configuration taken", apps=[app.name for app in new.apps])


def _state(directory: Path) -> StateDirectory:
    try:
        return StateDirectory(directory)
    except StateLocked as locked:
        raise SecondDaemon(f"{locked}: is bgd running already? systemctl status bgd") from None
    except OSError as error:
        what = f"{directory} cannot be used: {error.strerror}"
        cure = "name a folder that bgd's user may write, on a local file system"
        raise Unusable(Problem("state.directory", what, cure)) from None


def _client(settings: Settings, environ: MutableMapping[str, str]) -> Client:
    try:
        return Client(settings.consul, environ)
    except BadSetting as bad:
        raise Unusable(Problem(bad.place, bad.what, bad.cure)) from None


def _node(
    client: Client, state: StateDirectory, log: structlog.stdlib.BoundLogger, stop: threading.Event
) -> str:
    """This node's name: the Consul agent's, or while that is away the one it had last."""
    told = False
    while True:
        try:
            name, _ = client.agent()
        except StoreFault as fault:
            if state.node:
                return state.node
            if not told:
                log.warning("waiting for Consul: only its agent knows this node's name", detail=fault.detail)
            told = True
            stop.wait(1.0)
        else:
            if not keys.is_node(name):
                what = f"is not set, and {name!r}, the name of Consul's agent, is no name for a node"
                raise Unusable(Problem("node", what, "set node in bgd.toml"))
            state.node = name
            return name
