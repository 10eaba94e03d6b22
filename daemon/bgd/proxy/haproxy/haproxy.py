"""What is HAProxy's own: its map, its servers at runtime, its reload, and its proof.

Rules that live here: that the result of a reload is what
the proxy itself shows, an exit code only a hint; what counts as proved for an http and a tcp app.
"""

import re
import shlex
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bgd.config import AppSettings, ProxySettings
from bgd.core.model import Colour, Server
from bgd.core.permission import Permission
from bgd.core.reasons import Because
from bgd.ports import Failed
from bgd.proxy import asking, binds, command, files, proving
from bgd.proxy.adapter import Answered, Running, RunningServer, Texts, Written
from bgd.proxy.blocks import Block, Blocks
from bgd.proxy.errors import WorldError
from bgd.proxy.haproxy import check, hop, proof, runtime, servers, stat, text
from bgd.proxy.haproxy.sessions import Sessions
from bgd.proxy.machine import Machine
from bgd.proxy.names import backend, by_name
from bgd.proxy.routes import Frontend

MARKER = "proc.bgd_structure"

COMMAND_DEADLINE_S = 30.0
RELOAD_DEADLINE_S = 10.0
RETURN_S = 0.1  # the master may not be asked for an instant after a reload
SETTLED_S = 1.0  # a new worker that does not have the file's structure by then will not get it
PROOF_DEADLINE_S = 2.0
KNOCK_S = 0.5
STEP_S = 0.005


class HAProxy:
    """One HAProxy, by its sockets and its program: an adapter."""

    title = "HAProxy"
    checks_health = True
    decides_by = "map"
    decides_over_reloads = False  # a new worker may have read the map's file before
    reload_deadline_s = RELOAD_DEADLINE_S

    def __init__(self, settings: ProxySettings, machine: Machine, node: str = "") -> None:
        self._settings, self._machine, self._node = settings, machine, node
        self._runtime, self._master = settings.runtime_socket, settings.master_socket
        self.folder = settings.file.parent.absolute()
        self.templates: Mapping[str, str] = {settings.file.name: "haproxy.cfg.j2"}
        self.map_file = self.folder / "colours.map"
        self.permitted_file, self.latched_file = self.folder / "permitted.map", self.folder / "latched.map"
        self._map_text = files.read(self.map_file) or ""
        self._counted: tuple[str, dict[str, stat.Counts]] = "", {}
        self._sessions = Sessions(self._ask, self._master, self.map_file)
        self._over = hop.Over()

    # The text

    dialect = ""

    def words(self, structure: str, fronts: Sequence[Frontend]) -> Mapping[str, Any]:
        return {
            "map": str(self.map_file),
            "permitted": str(self.permitted_file),
            "latched": str(self.latched_file),
            "latch_s": hop.LATCH_S,
            "wait": hop.WAIT,
            "hop_server": hop.SERVER,
            "went_over": hop.WENT_OVER,
            "hop": partial(hop.place, self._node, self.folder),
            "owner": text.owner(self.folder),
            "reached": text.reached,
        }

    def places(self, servers: Iterable[Server]) -> Mapping[str, str]:
        return {}  # HAProxy resolves names itself, and starts without

    def structural(self, block: Block) -> Block:
        return text.bare(block)

    def marker(self, texts: Texts) -> str | None:
        return text.read_marker(texts.get(self._settings.file.name, ""))

    def written(self, texts: Texts) -> Written:
        return text.read_servers(texts.get(self._settings.file.name, ""))

    def faults(self, blocks: Blocks) -> dict[str, Failed]:
        return text.faults(blocks, self.folder)

    def check(self, texts: Texts) -> str | None:
        part = texts.get(self._settings.file.name, "")
        return check.judge(part, self._settings, self._maps, self._machine)

    def notes(self) -> list[str]:
        return check.notes(self._settings, self._machine)

    def cannot(self, texts: Texts, standing: Texts) -> str | None:
        if self._settings.container:
            return None  # its addresses may not be this host's
        name = self._settings.file.name
        return binds.refused(text.claims(texts.get(name, "")), text.claims(standing.get(name, "")))

    # What is decided

    def kept(self) -> dict[str, Colour]:
        rows = (line.split() for line in self._map_text.splitlines())
        return _colours({row[0]: row[1] for row in rows if len(row) == 2})

    def keep(self, colours: Mapping[str, Colour]) -> None:
        for path in (self.permitted_file, self.latched_file):
            if not path.exists():
                files.write(path, hop.EMPTY)
        rows = "".join(f"{app} {backend(app, colour)}\n" for app, colour in sorted(dict(colours).items()))
        if rows == self._map_text and self.map_file.exists():
            return
        files.write(self.map_file, rows)
        self._map_text = rows

    def point(self, app: str, colour: Colour) -> None:
        name = backend(app, colour)
        answer = self._ask([f"set map {self.map_file} {app} {name}", *self._unlatch(app)])[0]
        if answer.startswith("entry not found"):
            answer = self._ask([f"add map {self.map_file} {app} {name}"])[-1]
        if answer:
            raise OSError(f"{self._runtime}: {answer}")

    def unpoint(self, app: str) -> None:
        self._ask([f"del map {self.map_file} {app}"])

    def permit(self, permitted: Mapping[str, Permission]) -> None:
        said = self._ask([f"show map {self.permitted_file}"])[0]
        if said.startswith("Unknown map"):
            return  # a template of the host's own, that has no hop
        steps = hop.steps(hop.times(permitted), runtime.entries(said), self.permitted_file, self.latched_file)
        answers = self._ask(steps) if steps else []
        for step, answer in zip(steps, answers, strict=True):
            if answer and not step.startswith("del "):
                raise OSError(f"{self._runtime}: {step}: {answer}")

    def _unlatch(self, app: str) -> list[str]:
        return [f"del map {self.latched_file} {backend(app, colour)}" for colour in Colour]

    @property
    def _maps(self) -> dict[Path, str]:
        """The maps that the text asks, and what stands in them."""
        kept = files.read(self.map_file) or ""
        return {self.map_file: kept, self.permitted_file: hop.EMPTY, self.latched_file: hop.EMPTY}

    # What runs

    def running(self, *, servers_too: bool = False) -> Running:
        self._machine.reach(self.folder)
        questions = [f"get var {MARKER}", "show info", f"show map {self.map_file}"]
        questions += ["show servers state"] if servers_too else []
        marker, info, entries, *rest = self._ask(questions)
        servers = runtime.servers(rest[0]) if rest else {}
        return Running(
            runtime.variable(marker),
            runtime.info(info, "Pid"),
            f"haproxy {runtime.info(info, 'Version')}",
            _colours(runtime.entries(entries)),
            servers,
        )

    def traffic(self, apps: Collection[str]) -> Mapping[tuple[str, Colour], Answered | None]:
        info, statistics = self._ask(["show info", stat.QUESTION])
        worker, rows = runtime.info(info, "Pid"), stat.read(statistics)
        names = {(app, colour): backend(app, colour) for app in apps for colour in Colour}
        now = {name: rows[name] for name in names.values() if name in rows}
        (worker_before, before), self._counted = self._counted, (worker, now)
        if worker != worker_before:
            return dict.fromkeys(names)
        return {place: stat.between(before.get(name), now.get(name)) for place, name in names.items()}

    def sessions(self, apps: Collection[str]) -> Mapping[tuple[str, Colour], int | None]:
        return self._sessions.counted(apps)

    def cut(self, app: str, colour: Colour) -> int:
        return self._sessions.cut(app, colour)

    def went_over(self) -> bool:
        info, said = self._ask(["show info", f"get var {hop.WENT_OVER}"])
        return self._over.seen(runtime.info(info, "Pid"), runtime.variable(said), time.monotonic())

    def old_workers(self) -> int | None:
        processes = runtime.processes(self._master)
        return processes.old_workers if processes else None

    def _ask(self, commands: list[str]) -> list[str]:
        try:
            answers = runtime.ask(self._runtime, commands)
        except OSError:
            self._machine.reach(self.folder)  # it knows better why
            raise
        for answer in answers:
            if answer.startswith("Permission denied"):
                raise OSError(f"{self._runtime} is no socket of 'level admin'")
        return answers

    def glance(self, app: str, colour: Colour) -> tuple[str | None, Mapping[str, RunningServer]]:
        name = backend(app, colour)
        marker, states = self._ask([f"get var {MARKER}", f"show servers state {name}"])
        return runtime.variable(marker), runtime.servers(states).get(name, {})

    def needs_reload(
        self, wanted: Iterable[Server], running: Mapping[str, RunningServer], healthy: frozenset[str]
    ) -> bool:
        """A host name that the worker does not have yet can only come with a reload."""
        return any(by_name(server) and server.name not in running for server in wanted)

    # Servers at runtime

    def joins(
        self,
        name: str,
        written: Mapping[str, str],
        wanted: Iterable[Server],
        running: Mapping[str, RunningServer],
        healthy: frozenset[str],
    ) -> list[str]:
        return servers.steps(name, written, wanted, running, healthy)

    def leaves(self, name: str, servers: Iterable[str]) -> list[str]:
        return [f"set server {name}/{server} state maint" for server in servers]

    def revivals(self, name: str, running: Mapping[str, RunningServer], healthy: frozenset[str]) -> list[str]:
        return servers.revivals(name, running, healthy)

    def suppressions(self, name: str, wanted: Iterable[Server], healthy: frozenset[str]) -> list[str]:
        return servers.suppressions(name, wanted, healthy)

    def carry_out(self, steps: list[str]) -> list[str]:
        if not steps:
            return []
        refused = []
        for step, answer in zip(steps, self._ask(steps), strict=True):
            fine = not answer or answer.startswith(("New server registered", "Already exists"))
            if step.startswith("add server") and not fine:
                refused.append(f"{step}: {answer}")
        return refused

    def remove(self, servers: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        leaving = list(servers)
        if not leaving:
            return set()
        answers = self._ask([f"del server {name}/{server}" for name, server in leaving])
        return {
            place
            for place, answer in zip(leaving, answers, strict=True)
            if not answer.startswith(("Server deleted", "No such"))
        }

    # The reload

    def reload(self, structure: str, before: Running) -> None:
        processes = runtime.processes(self._master)
        failed_before = processes.failed_reloads if processes else None
        ordered_s = time.monotonic()
        said = self._order_reload()
        while (waited_s := time.monotonic() - ordered_s) < RELOAD_DEADLINE_S:
            now = self._running_or_none()
            if now and now.pid != before.pid:
                if now.structure == structure:
                    return
                if waited_s > SETTLED_S:
                    break
            if "Success=0" in said or (waited_s > RETURN_S and self._failed_since(failed_before)):
                raise WorldError(Because.RELOAD_FAILED, _reload_words(said))
            time.sleep(STEP_S)
        raise WorldError(Because.RELOAD_FAILED, self._silence(said, before))

    def _running_or_none(self) -> Running | None:
        try:
            return self.running()
        except OSError:
            return None

    def _failed_since(self, failed_before: int | None) -> bool:
        """The master counts the reloads that failed."""
        processes = runtime.processes(self._master) if failed_before is not None else None
        return processes is not None and processes.failed_reloads > (failed_before or 0)

    def _order_reload(self) -> str:
        if self._settings.reload != "auto":
            return self._order(shlex.split(self._settings.reload))
        try:
            return runtime.order_reload(self._master)
        except OSError:
            return self._order_otherwise()

    def _order_otherwise(self) -> str:
        if not self._settings.container:
            return self._order(["systemctl", "--no-ask-password", "reload", self._settings.unit])
        try:
            self._machine.signal("USR2", Path())
        except OSError as error:
            return str(error)
        return ""

    def _order(self, words: list[str]) -> str:
        said = self._machine.run(words, COMMAND_DEADLINE_S)
        return f"{shlex.join(words)}: {command.brief(said)}" if said else ""

    def _silence(self, said: str, before: Running) -> str:
        """Why the new structure does not serve, as far as the proxy shows it."""
        now = self._running_or_none()
        if now is None:
            why = f"HAProxy does not answer on {self._runtime} since the reload"
        elif now.pid == before.pid:
            why = f"no new worker within {RELOAD_DEADLINE_S:.0f} s"
        elif now.structure is None:
            why = f"HAProxy does not load bgd's part: it needs '-f {self.folder}' on its command line"
        else:
            why = f"the new worker has structure {now.structure}, not the file's"
        return f"{why}. {said}".strip(". ") if said else why

    # The proof

    def prove(
        self, app: AppSettings, colour: Colour, fronts: Iterable[Frontend], *, node: str, answered: bool
    ) -> None:
        until_s = time.monotonic() + PROOF_DEADLINE_S
        for front in fronts:
            attempt = self._prove_http if app.mode == "http" else self._prove_tcp
            proving.until(until_s, partial(attempt, app, colour, front, node, answered))

    def rehearse(self, app: AppSettings, colour: Colour, fronts: Iterable[Frontend]) -> None:
        until_s = time.monotonic() + PROOF_DEADLINE_S
        attempt = self._rehearse_http if app.mode == "http" else self._rehearse_tcp
        for front in fronts:
            proving.until(until_s, partial(attempt, app, colour, front))

    def _prove_http(
        self, app: AppSettings, colour: Colour, front: Frontend, node: str, answered: bool, left_s: float
    ) -> str | None:
        """One attempt; what was wrong with it, or None."""
        (host, path), name = front.door(app), backend(app.name, colour)
        decision = asking.ask(front.socket, host, path, proof.DECISION, deadline_s=left_s)
        if (decision.headers.get("bgd-decides"), decision.headers.get("bgd-node")) != (name, node):
            return f"{front.name} decides for {decision.said('bgd-decides')}, not for {name}"
        return self._answer_http(app, name, front, "", left_s) if answered else None

    def _rehearse_http(self, app: AppSettings, colour: Colour, front: Frontend, left_s: float) -> str | None:
        name = backend(app.name, colour)
        return self._answer_http(app, name, front, proof.rehearsal(name), left_s)

    def _answer_http(
        self, app: AppSettings, name: str, front: Frontend, header: str, left_s: float
    ) -> str | None:
        host, path = front.door(app)
        served = asking.ask(front.socket, host, path, header, deadline_s=left_s)
        if served.headers.get("bgd-served", "").split(" ")[0] == name:
            return None
        said = served.said("bgd-served")
        return f"GET {host}{path} through {front.name} was not answered by {name}: {said}"

    def _prove_tcp(
        self, app: AppSettings, colour: Colour, front: Frontend, node: str, answered: bool, left_s: float
    ) -> str | None:
        name = backend(app.name, colour)
        said = self._ask([f"show map {self.map_file}"])[0]
        by_map = not said.startswith("Unknown map")  # else the text names the colour, and the structure tells
        if by_map and (decides := runtime.entries(said).get(app.name)) != name:
            return f"the map decides for {decides}, not for {name}"
        return self._answer_tcp(app, colour, front.socket, left_s) if answered else None

    def _rehearse_tcp(self, app: AppSettings, colour: Colour, front: Frontend, left_s: float) -> str | None:
        return self._answer_tcp(app, colour, front.rehearsal(colour), left_s)

    def _answer_tcp(self, app: AppSettings, colour: Colour, door: Path, left_s: float) -> str | None:
        """The backend notes each connection of bgd's own that reached a server."""
        question = f"get var proc.{text.reached(app.name, colour)}"
        before = self._ask([question])[0]
        with asking.knock(door, left_s):
            until_s = time.monotonic() + min(left_s, KNOCK_S)
            while time.monotonic() < until_s:
                if self._ask([question])[0] != before:
                    return None
                time.sleep(STEP_S / 5)
        return f"no connection through {door.name} reached a server of {backend(app.name, colour)}"


def _colours(entries: Mapping[str, str]) -> dict[str, Colour]:
    """App → colour in the entries of a map: app → backend."""
    names = {(app, backend(app, colour)): colour for app in entries for colour in Colour}
    return {app: names[app, name] for app, name in entries.items() if (app, name) in names}


def _reload_words(said: str) -> str:
    alerts = [line for line in said.splitlines() if "[ALERT]" in line]
    told = "; ".join(re.sub(r"^\[ALERT\]\s*\(\d+\) : ", "", line) for line in alerts)
    return told or "HAProxy refused the reload; its log says why" + (f". {said}" if said else "")
