"""What is HAProxy's own: its map, its servers at runtime, its reload, and its proof.

Rules that live here: which of a server's states bgd puts right; that the result of a reload is what
the proxy itself shows, an exit code only a hint; what counts as proved for an http and a tcp app.
"""

import re
import shlex
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bgd.config import AppSettings, ProxySettings
from bgd.core.model import Colour, Server
from bgd.core.reasons import Because
from bgd.proxy import check, command, proof, runtime
from bgd.proxy.errors import WorldError
from bgd.proxy.render import backend, by_name, reached
from bgd.proxy.routes import Frontend
from bgd.proxy.runtime import RunningServer

MARKER = "proc.bgd_structure"
TEMPLATE = "haproxy.cfg.j2"

COMMAND_DEADLINE_S = 30.0
RELOAD_DEADLINE_S = 10.0
RETURN_S = 0.1  # the master may not be asked for an instant after a reload
SETTLED_S = 1.0  # a new worker that does not have the file's structure by then will not get it
PROOF_DEADLINE_S = 2.0
KNOCK_S = 0.5
STEP_S = 0.005


@dataclass(frozen=True, slots=True)
class Running:
    """What the worker that serves has: its structure, its map, its servers."""

    structure: str | None
    pid: str
    version: str
    decides: Mapping[str, str]
    servers: Mapping[str, Mapping[str, RunningServer]]


class HAProxy:
    """One HAProxy, by its sockets and its program."""

    template = TEMPLATE

    def __init__(self, settings: ProxySettings) -> None:
        self._settings = settings
        self._runtime, self._master = settings.runtime_socket, settings.master_socket
        self.folder = settings.file.parent.absolute()
        self.map_file = self.folder / "colours.map"

    # What runs

    def running(self, *, servers_too: bool = False) -> Running:
        """Ask the serving worker. Raises OSError."""
        questions = [f"get var {MARKER}", "show info", f"show map {self.map_file}"]
        questions += ["show servers state"] if servers_too else []
        marker, info, entries, *rest = self._ask(questions)
        servers = runtime.servers(rest[0]) if rest else {}
        return Running(
            runtime.variable(marker),
            runtime.info(info, "Pid"),
            f"haproxy {runtime.info(info, 'Version')}",
            runtime.entries(entries),
            servers,
        )

    def old_workers(self) -> int | None:
        """How many workers of earlier structures still finish what they have; None when not to be known."""
        processes = runtime.processes(self._master)
        return processes.old_workers if processes else None

    def _ask(self, commands: list[str]) -> list[str]:
        answers = runtime.ask(self._runtime, commands)
        for answer in answers:
            if answer.startswith("Permission denied"):
                raise OSError(f"{self._runtime} is no socket of 'level admin'")
        return answers

    def glance(self, name: str) -> tuple[str | None, Mapping[str, RunningServer]]:
        """The serving worker's structure, and the servers of one backend. Raises OSError."""
        marker, states = self._ask([f"get var {MARKER}", f"show servers state {name}"])
        return runtime.variable(marker), runtime.servers(states).get(name, {})

    # What is changed at runtime

    def point(self, app: str, name: str) -> None:
        """Make the serving worker decide for this backend. Raises OSError."""
        answer = self._ask([f"set map {self.map_file} {app} {name}"])[0]
        if answer.startswith("entry not found"):
            answer = self._ask([f"add map {self.map_file} {app} {name}"])[-1]
        if answer:
            raise OSError(f"{self._runtime}: {answer}")

    def unpoint(self, app: str) -> None:
        """Take the app out of the serving worker's map. Raises OSError."""
        self._ask([f"del map {self.map_file} {app}"])

    def carry_out(self, steps: list[str]) -> list[str]:
        """Carry out server steps; those that HAProxy refused, with its words. Raises OSError."""
        if not steps:
            return []
        refused = []
        for step, answer in zip(steps, self._ask(steps), strict=True):
            fine = not answer or answer.startswith(("New server registered", "Already exists"))
            if step.startswith("add server") and not fine:
                refused.append(f"{step}: {answer}")
        return refused

    def remove(self, servers: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Delete servers that are in maintenance; those that still have connections. Raises OSError."""
        leaving = list(servers)
        if not leaving:
            return set()
        answers = self._ask([f"del server {name}/{server}" for name, server in leaving])
        return {
            place
            for place, answer in zip(leaving, answers, strict=True)
            if not answer.startswith(("Server deleted", "No such"))
        }

    def check(self, text: str) -> str | None:
        """HAProxy's own words against this text beside the host's file, or None when it is content."""
        return check.judge(text, self._settings, self.map_file)

    # The reload

    def reload(self, structure: str, before: Running) -> None:
        """Reload, and wait until a new worker serves this structure. Raises WorldError."""
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
            return _order(shlex.split(self._settings.reload))
        try:
            return runtime.order_reload(self._master)
        except OSError:
            return _order(["systemctl", "--no-ask-password", "reload", self._settings.unit])

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
        """Show that each front decides for the colour and, if asked, that a server answers.

        Raises WorldError.
        """
        until_s = time.monotonic() + PROOF_DEADLINE_S
        for front in fronts:
            attempt = self._prove_http if app.mode == "http" else self._prove_tcp
            _until(until_s, partial(attempt, app, colour, front, node, answered))

    def rehearse(self, app: AppSettings, colour: Colour, fronts: Iterable[Frontend]) -> None:
        """Show, before anything is decided, that a server of the colour answers. Raises WorldError."""
        until_s = time.monotonic() + PROOF_DEADLINE_S
        attempt = self._rehearse_http if app.mode == "http" else self._rehearse_tcp
        for front in fronts:
            _until(until_s, partial(attempt, app, colour, front))

    def _prove_http(
        self, app: AppSettings, colour: Colour, front: Frontend, node: str, answered: bool, left_s: float
    ) -> str | None:
        """One attempt; what was wrong with it, or None."""
        (host, path), name = front.door(app), backend(app.name, colour)
        decision = proof.ask(front.socket, host, path, proof.DECISION, deadline_s=left_s)
        if (decision.headers.get("bgd-decides"), decision.headers.get("bgd-node")) != (name, node):
            return f"{front.name} decides for {_said(decision, 'bgd-decides')}, not for {name}"
        return self._answer_http(app, name, front, "", left_s) if answered else None

    def _rehearse_http(self, app: AppSettings, colour: Colour, front: Frontend, left_s: float) -> str | None:
        name = backend(app.name, colour)
        return self._answer_http(app, name, front, proof.rehearsal(name), left_s)

    def _answer_http(
        self, app: AppSettings, name: str, front: Frontend, header: str, left_s: float
    ) -> str | None:
        host, path = front.door(app)
        served = proof.ask(front.socket, host, path, header, deadline_s=left_s)
        if served.headers.get("bgd-served", "").split(" ")[0] == name:
            return None
        said = _said(served, "bgd-served")
        return f"GET {host}{path} through {front.name} was not answered by {name}: {said}"

    def _prove_tcp(
        self, app: AppSettings, colour: Colour, front: Frontend, node: str, answered: bool, left_s: float
    ) -> str | None:
        name = backend(app.name, colour)
        entries = runtime.entries(self._ask([f"show map {self.map_file}"])[0])
        if (decides := entries.get(app.name)) != name:
            return f"the map decides for {decides}, not for {name}"
        return self._answer_tcp(app, colour, front.socket, left_s) if answered else None

    def _rehearse_tcp(self, app: AppSettings, colour: Colour, front: Frontend, left_s: float) -> str | None:
        return self._answer_tcp(app, colour, front.rehearsal(colour), left_s)

    def _answer_tcp(self, app: AppSettings, colour: Colour, door: Path, left_s: float) -> str | None:
        """The backend notes each connection of bgd's own that reached a server."""
        question = f"get var proc.{reached(app.name, colour)}"
        before = self._ask([question])[0]
        with proof.knock(door, left_s):
            until_s = time.monotonic() + min(left_s, KNOCK_S)
            while time.monotonic() < until_s:
                if self._ask([question])[0] != before:
                    return None
                time.sleep(STEP_S / 5)
        return f"no connection through {door.name} reached a server of {backend(app.name, colour)}"


def server_steps(
    name: str,
    written: Mapping[str, str],
    wanted: Iterable[Server],
    running: Mapping[str, RunningServer],
    healthy: frozenset[str],
) -> list[str]:
    """What brings a running backend's servers to what is wanted; removal is not part of it.

    A new server counts as up for its first checks: one that is not healthy by own probes is put
    down first, while another is there to serve.
    """
    steps: list[str] = []
    others_serve = any(server.name in healthy for server in wanted)
    for server in sorted(wanted):
        place, now = f"{name}/{server.name}", running.get(server.name)
        if now is None and not by_name(server):
            steps += _joins(
                place, written[server.name], server.weight, others_serve and server.name not in healthy
            )
        if now is None:
            continue
        if now.taken_out:
            steps += [f"enable health {place}", f"set server {place} state ready"]
        if now.weight != server.weight:
            steps.append(f"set server {place} weight {server.weight}")
    return steps


def revivals(name: str, running: Mapping[str, RunningServer], healthy: frozenset[str]) -> list[str]:
    """Servers that are healthy by own probes but that HAProxy's checks have not seen rise yet."""
    return [
        f"set server {name}/{server} health up"
        for server in running
        if server in healthy and running[server].down
    ]


def suppressions(name: str, wanted: Iterable[Server], healthy: frozenset[str]) -> list[str]:
    """After a reload every server counts as up: those that are not healthy are put down at once."""
    names = [server.name for server in wanted]
    if not any(each in healthy for each in names):
        return []
    return [f"set server {name}/{each} health down" for each in sorted(names) if each not in healthy]


def _joins(place: str, written: str, weight: int, suspect: bool) -> list[str]:
    steps = [f"add server {place} {written}", f"enable health {place}"]
    if not suspect:
        return [*steps, f"set server {place} state ready"]
    return [
        *steps,
        f"set server {place} weight 0",
        f"set server {place} state ready",
        f"set server {place} health down",
        f"set server {place} weight {weight}",
    ]


def _until(until_s: float, attempt: Callable[[float], str | None]) -> None:
    """Try until it is proved or the time is over. Raises WorldError."""
    wrong = "no time left"
    while (left_s := until_s - time.monotonic()) > 0:
        try:
            found = attempt(left_s)
        except OSError as error:
            found = f"bgd's own listener does not answer: {error}"
        if found is None:
            return
        wrong = found
        time.sleep(min(STEP_S, max(0.0, until_s - time.monotonic())))
    raise WorldError(Because.NOT_PROVED, wrong)


def _said(answer: proof.Answer, field: str) -> str:
    return answer.headers.get(field) or answer.status or "nothing"


def _order(words: list[str]) -> str:
    said = command.run(words, COMMAND_DEADLINE_S)
    return f"{shlex.join(words)}: {command.brief(said)}" if said else ""


def _reload_words(said: str) -> str:
    alerts = [line for line in said.splitlines() if "[ALERT]" in line]
    told = "; ".join(re.sub(r"^\[ALERT\]\s*\(\d+\) : ", "", line) for line in alerts)
    return told or "HAProxy refused the reload; its log says why" + (f". {said}" if said else "")
