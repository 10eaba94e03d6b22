"""Those who take part: each follows a key of its own, with an HAProxy of its own, for the same backends.

Rules: a contender is flipped by a plain PUT of its key, and takes its turns under the same load.
"""

import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bgctl.demo.parts import Backends, Consul, Daemon, Haproxy, fetch
from bgctl.demo.process import Process, free_ports, until

Apps = Mapping[str, Mapping[str, Sequence[str]]]
"""App → colour → addresses."""

READY_S = 120.0
ROUTE = "    use_backend %[str({app}),map({folder}/live.map)] {condition}\n"


class Contender(ABC):
    """Someone who makes HAProxy follow keys."""

    name = ""
    key_prefix = ""

    def __init__(self, folder: Path, consul: Consul, apps: Apps) -> None:
        folder.mkdir()
        self.folder, self.consul, self.apps = folder, consul, apps
        self.port = 0

    @abstractmethod
    def start(self, stack: ExitStack) -> None:
        """Start the follower with its HAProxy."""

    @property
    def first(self) -> str:
        return next(iter(self.apps))

    def key(self, app: str) -> str:
        return f"{self.key_prefix}/apps/{app}/live"

    def flip(self, colour: str) -> None:
        """Write the first app's key."""
        self.consul.put_key(self.key(self.first), colour)

    def begin(self, stack: ExitStack) -> None:
        """Write all keys, start, and wait until all apps are served."""
        for app in self.apps:
            self.consul.put_key(self.key(app), "blue")
        self.start(stack)
        for app in self.apps:
            until(f"{self.name} serves {app}", partial(self.serves, app), timeout_s=READY_S)

    def serves(self, app: str) -> bool:
        return bool(fetch(self.port, "GET", self.path(app)) == "blue\n")

    def path(self, app: str) -> str:
        return "/" if app == self.first else f"/{app}"


class Bgd(Contender):
    """bgd, with all its gates, proofs and reports."""

    name, key_prefix = "bgd", "bluegreen"

    def start(self, stack: ExitStack) -> None:
        proxy = stack.enter_context(Haproxy(self.folder))
        self.daemon = stack.enter_context(Daemon(self.folder, self.consul, proxy, list(self.apps)))
        self.port = self.daemon.port


class ByHand(Contender):
    """One whose HAProxy is configured by hand."""

    def main_file(self, *, reloaded: bool) -> str:
        (self.port,) = free_ports(1)
        lines = [Haproxy.MAIN, f"frontend apps\n    bind 127.0.0.1:{self.port}\n"]
        lines.append("    option idle-close-on-response\n" if reloaded else "")
        for app in reversed(list(self.apps)):  # the first app takes what is left
            lines.append(self.route(app, "" if app == self.first else f"if {{{{ path_beg /{app} }}}}"))
        for app, colours in self.apps.items():
            lines += [backend(app, colour, addresses) for colour, addresses in colours.items()]
        return "".join(lines)

    def route(self, app: str, condition: str) -> str:
        return ROUTE.replace("{app}", app).replace("{condition}", condition)


class Follower(ByHand):
    """The least possible follower."""

    name, key_prefix = "least follower", "follower"

    def start(self, stack: ExitStack) -> None:
        live_map = self.folder / "live.map"
        live_map.write_text("".join(f"{app} {app}_blue\n" for app in self.apps))
        proxy = stack.enter_context(Haproxy(self.folder, main=self.main_file(reloaded=False)))
        where = [str(self.consul.port), f"{self.key_prefix}/apps/", str(proxy.runtime_socket), str(live_map)]
        command = [sys.executable, "-m", "bench.follower", *where]
        stack.enter_context(Process(command, self.folder / "follower.log"))


class ConsulTemplate(ByHand):
    """consul-template, which renders the whole file and has HAProxy reload it."""

    name, key_prefix = "consul-template", "rendered"

    def route(self, app: str, condition: str) -> str:
        return f"    use_backend {app}_blue {condition}\n"

    def start(self, stack: ExitStack) -> None:
        proxy = stack.enter_context(Haproxy(self.folder, main=self.main_file(reloaded=True)))
        template = self.folder / "haproxy.ctmpl"
        text = proxy.main_file.read_text()
        for app in self.apps:
            key = f'{{{{ key "{self.key(app)}" }}}}'
            text = text.replace(f"use_backend {app}_blue ", f"use_backend {app}_{key} ")
        template.write_text(text)
        job = f"{template}:{proxy.main_file}:kill -USR2 {proxy.pid}"
        command = ["consul-template", "-consul-addr", self.consul.url, "-template", job]
        stack.enter_context(Process(command, self.folder / "consul-template.log"))


def backend(app: str, colour: str, addresses: Sequence[str]) -> str:
    servers = "".join(f"    server s{number} {address}\n" for number, address in enumerate(addresses))
    return f"backend {app}_{colour}\n{servers}"


def contenders() -> list[type[Contender]]:
    """All that can take part on this machine."""
    return [Bgd, Follower, *([ConsulTemplate] if shutil.which("consul-template") else [])]


def backends_of(names: Sequence[str], backends: Backends) -> Apps:
    """Share the backends' addresses out to the apps, two of each colour."""
    blue, green = iter(backends.of("blue")), iter(backends.of("green"))
    return {name: {"blue": [next(blue), next(blue)], "green": [next(green), next(green)]} for name in names}
