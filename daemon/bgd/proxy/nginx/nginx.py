"""What is nginx's own: its flags, its servers by reload only, its loss-free reload, and its proof.

Rules that live here: a reload is over when no worker of an earlier structure accepts any more; before
it, clients are led off their kept-alive connections, which the old workers would close under a request;
what counts as proved for an http and a tcp app.
"""

import re
import shlex
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from bgd.config import AppSettings, ProxySettings
from bgd.config.servers import listens_of
from bgd.core.model import Colour, Server
from bgd.core.permission import Permission
from bgd.core.reasons import Because
from bgd.ports import Failed
from bgd.proxy import asking, binds, command, proving
from bgd.proxy.adapter import Answered, Running, RunningServer, ServersByReload, Texts, Written
from bgd.proxy.blocks import Block, Blocks
from bgd.proxy.errors import WorldError
from bgd.proxy.machine import Machine
from bgd.proxy.names import backend
from bgd.proxy.nginx import check, door, fallback, text, workers
from bgd.proxy.nginx.counting import Counting
from bgd.proxy.nginx.door import Generation
from bgd.proxy.nginx.flags import Flags
from bgd.proxy.nginx.resolving import Places
from bgd.proxy.nginx.sessions import Addresses, Sessions
from bgd.proxy.nginx.slots import Slots
from bgd.proxy.nginx.virtual import virtual
from bgd.proxy.routes import Frontend

COMMAND_DEADLINE_S = 30.0
RELOAD_DEADLINE_S = 10.0
CLOSING_S = 1.2
"""So long clients are told to close: who speaks at least once a second has then been told."""
HANGS_S = 3.0
"""After that long it is asked whether the workers that are left are alive at all."""
AFTER_S = 0.05
"""A worker that has stopped accepting may still have a request to read on a new connection."""
LINGERS_BY_ITSELF = (1, 27, 4)
"""From this version on nginx keeps idle connections for a while when it shuts down."""
PROOF_DEADLINE_S = 2.0
KNOCK_S = 0.1
STEP_S = 0.005


class Nginx(ServersByReload):
    """One nginx, by its signals, its flags and its doors of bgd's own: an adapter."""

    title = "nginx"
    checks_health = False
    decides_by = "flag"
    decides_over_reloads = True  # workers of both generations look for the same flag
    reload_deadline_s = RELOAD_DEADLINE_S + CLOSING_S

    def __init__(self, settings: ProxySettings, machine: Machine, node: str) -> None:
        self._settings, self._machine, self._node = settings, machine, node
        self.folder = settings.file.parent.absolute()
        self._part = settings.file.name
        self._streams = f"{settings.file.stem}.stream"
        self.templates: Mapping[str, str] = {self._streams: "nginx.stream.j2", self._part: "nginx.conf.j2"}
        self._flags = Flags(self.folder / "flags")
        self._permits = Slots(self.folder / "permits")
        self._closing = self.folder / "closing"
        self._lingers = False
        self._serving: str | None = None
        self._retiring: str | None = None
        self._tidied = False
        self._places = Places()
        self._standing = text.Standing(self.folder, self._streams, self._part)
        self._addresses = Addresses(self.folder, self._standing)
        self._sessions = Sessions(self._addresses, self._users, self.old_workers)
        self._counting = Counting(settings, machine, self.folder, self._standing)

    # The text

    @property
    def dialect(self) -> str:
        return f"lingers{self._counting.dialect}" if self._lingers else self._counting.dialect

    def words(self, structure: str, fronts: Sequence[Frontend]) -> Mapping[str, Any]:
        port, numbers = self._settings.proof_port, {front.name: front.number for front in fronts}
        return {
            "flag": self._flags.path,
            "permit": self._permits.path("$bgd_backend"),
            "has_backups": fallback.has_backups,
            **self._counting.words,
            "closing": "" if self._lingers else self._closing,
            "proof_port": port,
            "proof": lambda name="": f"{door.address(structure, numbers.get(name, 0))}:{port}",
            "virtual": virtual,
        }

    def places(self, servers: Iterable[Server]) -> Mapping[str, str]:
        return self._places.of(servers)

    def structural(self, block: Block) -> Block:
        return block

    def marker(self, texts: Texts) -> str | None:
        return text.marker(texts.get(self._part, ""), texts.get(self._streams))

    def written(self, texts: Texts) -> Written:
        return text.servers("\n".join(texts.values()))

    def faults(self, blocks: Blocks) -> dict[str, Failed]:
        return {}

    def check(self, texts: Texts) -> str | None:
        return check.judge(texts, self._settings, self._machine)

    def notes(self) -> list[str]:
        return check.notes(self._settings, self._machine)

    def cannot(self, texts: Texts, standing: Texts) -> str | None:
        if self._settings.container:
            return None  # its addresses may not be this host's
        port = self._settings.proof_port
        own = {claim for listen in listens_of(self._settings) for claim in listen.bind.claims}
        known = {*text.claims(standing, but=port), *own}
        if binds.refused(text.claims(texts, but=port), known) is None:
            return None
        known |= {f"*:{held}" for held in workers.ports(self._process() or 0)}
        return binds.refused(text.claims(texts, but=port), known)

    # What is decided

    def kept(self) -> dict[str, Colour]:
        return self._flags.colours(self._standing.apps())

    def keep(self, colours: Mapping[str, Colour]) -> None:
        self._flags.settle(colours)

    def point(self, app: str, colour: Colour) -> None:
        self._flags.put(app, colour)

    def unpoint(self, app: str) -> None:
        self._flags.put(app, None)

    def permit(self, permitted: Mapping[str, Permission]) -> None:
        """Of what is decided nothing changes: only live's own group may go on to the other colour."""
        wall_s, now_s = time.time(), time.monotonic()
        self._permits.allow(
            {backend(app, each.live): wall_s + each.until_s - now_s for app, each in permitted.items()},
            wall_s,
        )

    # What runs

    def running(self, *, servers_too: bool = False) -> Running:
        try:
            self._machine.reach(self.folder)
        except OSError:
            self._serving = None
            raise
        self._tidy()
        found = self._generation()
        if found is None and not self._machine.alive(self._settings.pid_file):
            raise OSError(f"nginx does not run: {self._settings.pid_file} names no process that lives")
        if found is None:
            return Running(None, "", self.title, {})
        stands = found.structure == self._standing.marker()
        return Running(
            found.structure,
            found.pid,
            f"nginx {found.version}",
            self._flags.colours(self._standing.apps()),
            self._standing.servers() if stands else {},
        )

    def glance(self, app: str, colour: Colour) -> tuple[str | None, Mapping[str, RunningServer]]:
        """What was seen last is enough: the proof asks where only the file's structure answers.

        In a reload both generations look for the flag, so that both must have a colour's servers.
        """
        if self._serving is None:
            self._generation()
        looking = dict.fromkeys((self._standing.marker(), self._serving, self._retiring or self._serving))
        return self._serving, self._standing.usable(backend(app, colour), looking)

    def old_workers(self) -> int | None:
        seen = self._workers()
        return None if seen is None else sum(seen.values())

    def traffic(self, apps: Collection[str]) -> Mapping[tuple[str, Colour], Answered | None]:
        return self._counting.answered(apps)

    def sessions(self, apps: Collection[str]) -> Mapping[tuple[str, Colour], int | None]:
        return self._sessions.counted(apps)

    def cut(self, app: str, colour: Colour) -> int:
        """nginx ends the sessions of no colour by command, and the kernel ends none for a plain user."""
        return 0

    def went_over(self) -> bool:
        return self._sessions.went_over()

    def needs_reload(
        self, wanted: Iterable[Server], running: Mapping[str, RunningServer], healthy: frozenset[str]
    ) -> bool:
        """Whoever is to take traffic must be in the text, and not as one that is down."""
        return any(
            server.name in healthy and (server.name not in running or running[server.name].down)
            for server in wanted
        )

    def _generation(self) -> Generation | None:
        """The newest structure that answers, of those that stand on disk or answered last. Raises OSError."""
        for structure in dict.fromkeys((*self._standing.markers(), self._serving)):
            if structure and (found := door.generation(structure, self._settings.proof_port)):
                self._lingers = _version(found.version) >= LINGERS_BY_ITSELF
                self._serving = found.structure
                return found
        self._serving = None
        return None

    def _process(self) -> int | None:
        try:
            return self._machine.process(self._settings.pid_file)
        except OSError:
            return None

    def _workers(self) -> dict[int, bool] | None:
        master = self._process()
        return workers.of(master) if master else None

    def _users(self) -> set[int] | None:
        """Whom its workers run as."""
        seen = self._workers()
        return workers.users(seen) if seen else None

    # The reload

    def reload(self, structure: str, before: Running) -> None:
        self._addresses.note()
        if before.structure is None and (lacks := self._lacks()):
            raise WorldError(Because.RELOAD_FAILED, lacks)
        self._counting.prepare()
        old = _serving(self._workers())
        with self._clients_led_off(before), self._retired(before):
            said = self._order_reload()
            until_s = time.monotonic() + RELOAD_DEADLINE_S
            if not _holds(partial(self._serves, structure), until_s):
                raise WorldError(Because.RELOAD_FAILED, self._silence(said))
            self._serving = structure
            gone = partial(self._gone, structure, before.structure, old)
            hangs_s = min(until_s, time.monotonic() + HANGS_S)
            if not (
                _holds(gone, hangs_s) or self._hangs(structure, before.structure) or _holds(gone, until_s)
            ):
                detail = f"workers from before the reload still accept after {RELOAD_DEADLINE_S:.0f} s"
                raise WorldError(Because.RELOAD_FAILED, detail)
            time.sleep(AFTER_S)

    @contextmanager
    def _retired(self, before: Running) -> Iterator[None]:
        """Until it is over, requests may still come to workers of the structure before."""
        self._retiring = before.structure
        try:
            yield
        finally:
            self._retiring = None

    @contextmanager
    def _clients_led_off(self, before: Running) -> Iterator[None]:
        """Each client's next answer is the last one on its connection, until the old workers are gone."""
        if not (self._standing.mentions(str(self._closing)) or self._host_looks_for(self._closing)):
            yield
            return
        try:
            self._closing.touch(mode=0o644)
            time.sleep(CLOSING_S)
            yield
        finally:
            self._closing.unlink(missing_ok=True)

    def _host_looks_for(self, flag: Path) -> bool:
        """Whether the host's own servers look for a flag of bgd's; if that is not known, they may."""
        try:
            return check.mentions(str(flag), self._settings, self._machine)
        except WorldError:
            return True

    def _tidy(self) -> None:
        """A bgd that was killed during a reload has left clients without kept-alive connections.

        Once only: later the flag may be somebody's who reloads nginx by hand.
        """
        if not self._tidied:
            self._tidied = True
            self._closing.unlink(missing_ok=True)

    def _order_reload(self) -> str:
        """What was said of it, where anybody says anything: nginx itself does not."""
        if self._settings.reload != "auto":
            return self._run(shlex.split(self._settings.reload))
        try:
            self._machine.signal("HUP", self._settings.pid_file)
        except PermissionError:
            return self._run(["systemctl", "--no-ask-password", "reload", self._settings.unit])
        except OSError as error:
            raise WorldError(Because.PROXY_LOST, f"cannot signal nginx: {error}") from error
        return ""

    def _run(self, words: list[str]) -> str:
        said = self._machine.run(words, COMMAND_DEADLINE_S)
        return f"{shlex.join(words)}: {command.brief(said)}" if said else ""

    def _serves(self, structure: str) -> bool:
        found = door.generation(structure, self._settings.proof_port)
        return found is not None and found.structure == structure

    def _gone(self, structure: str, before: str | None, old: set[int]) -> bool:
        """Nobody accepts where the structure before did; where that cannot be asked, workers' titles tell."""
        if before not in (None, structure):
            return not door.listens(before or "", self._settings.proof_port)
        return not old & _serving(self._workers())

    def _hangs(self, structure: str, before: str | None) -> bool:
        """Whether what is left of the structure before answers nobody: it takes no connection either."""
        if before in (None, structure):
            return False
        try:
            door.generation(before or "", self._settings.proof_port)
        except TimeoutError:
            return True
        except OSError:
            pass
        return False

    def _silence(self, said: str) -> str:
        """Why the new structure does not serve, as far as can be known."""
        taken = f"nginx has not taken it within {RELOAD_DEADLINE_S:.0f} s; its error log says why"
        why = self._lacks() or taken
        return f"{why}. {said}" if said else why

    def _lacks(self) -> str | None:
        """What keeps the host's configuration from loading bgd's part."""
        try:
            return check.missing(self._standing.texts(), self._settings, self._machine)
        except WorldError as error:
            return error.failed.detail

    # The proof

    def prove(
        self, app: AppSettings, colour: Colour, fronts: Iterable[Frontend], *, node: str, answered: bool
    ) -> None:
        until_s = time.monotonic() + PROOF_DEADLINE_S
        attempt = self._prove_http if app.mode == "http" else self._prove_tcp
        try:
            for front in fronts:
                proving.until(until_s, partial(attempt, app, colour, front, answered))
        except WorldError:
            self._serving = None  # what was seen last may be gone
            raise

    def rehearse(self, app: AppSettings, colour: Colour, fronts: Iterable[Frontend]) -> None:
        raise AssertionError("no server comes in at runtime, so there is none to rehearse")

    def _door(self, front: Frontend) -> tuple[str, int]:
        """Where the structure that serves answers for a frontend: during a reload, the one before it."""
        structure = self._serving or self._standing.marker() or ""
        return door.address(structure, front.number), self._settings.proof_port

    def _prove_http(
        self,
        app: AppSettings,
        colour: Colour,
        front: Frontend,
        answered: bool,
        left_s: float,
    ) -> str | None:
        """One attempt; what was wrong with it, or None."""
        (host, path), name = front.door(app), backend(app.name, colour)
        answer = asking.ask(self._door(front), host, path, deadline_s=left_s)
        decides, *server = answer.said("bgd-served").split(" ", 1)
        if decides != name:
            return f"{front.name} decides for {answer.said('bgd-served')}, not for {name}"
        if answered and not (server and text.was_answered(server[0])):
            return f"GET {host}{path} through {front.name} was not answered by {name}: {answer.status}"
        return None

    def _prove_tcp(
        self,
        app: AppSettings,
        colour: Colour,
        front: Frontend,
        answered: bool,
        left_s: float,
    ) -> str | None:
        """nginx ends a connection at once when no server takes it; the colour is in the structure."""
        with asking.knock(self._door(front), left_s) as knocking:
            knocking.settimeout(min(left_s, KNOCK_S))
            try:
                ended = answered and not knocking.recv(1)
            except TimeoutError:
                ended = False
        return f"no server of {backend(app.name, colour)} took a connection" if ended else None


def _version(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:3]))


def _serving(seen: Mapping[int, bool] | None) -> set[int]:
    """The workers that still accept, of those that can be seen."""
    return {pid for pid, finishing in (seen or {}).items() if not finishing}


def _holds(what: Callable[[], bool], until_s: float) -> bool:
    """Wait until it is so."""
    while time.monotonic() < until_s:
        try:
            if what():
                return True
        except OSError:  # it is just being started
            pass
        time.sleep(STEP_S)
    return False
