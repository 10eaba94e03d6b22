"""Those who take part: each follows a key of its own, with a proxy of its own, for the same backends.

Rules: a contender is flipped by a plain PUT of its key, and takes its turns under the same load.
"""

import re
import shutil
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path

from bench import by_hand
from bench.by_hand import Apps
from bgctl.demo.parts import Backends, Consul, Daemon, fetch
from bgctl.demo.process import Process, free_ports, until
from bgctl.demo.proxies import Haproxy, Nginx, Proxy

READY_S = 120.0


class Contender(ABC):
    """Someone who makes a proxy follow keys."""

    name = ""
    key_prefix = ""

    def __init__(self, folder: Path, consul: Consul, apps: Apps) -> None:
        folder.mkdir()
        self.folder, self.consul, self.apps = folder, consul, apps
        self.port = 0

    @abstractmethod
    def start(self, stack: ExitStack) -> None:
        """Start the follower with its proxy."""

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
        return bool(fetch(self.port, "GET", by_hand.path(app)) == "blue\n")


class Bgd(Contender):
    """bgd, with all its gates, proofs and reports."""

    name, key_prefix = "bgd", "bluegreen"
    proxy: type[Proxy] = Haproxy
    PROBED = 'probe = { interval = "1s" }\n'

    def start(self, stack: ExitStack) -> None:
        self.beside = stack.enter_context(self.proxy(self.folder))
        began_s = time.monotonic()
        self.daemon = Daemon(self.folder, self.consul, self.beside, list(self.apps), self.PROBED)
        stack.enter_context(self.daemon)
        self.port = self.daemon.port
        self.start_s = self.proved_after(began_s)

    def again(self) -> float:
        """Start anew beside what was kept; how long that took, in seconds."""
        self.daemon.stop()
        began_s = time.monotonic()
        self.daemon.start()
        return self.proved_after(began_s)

    def proved_after(self, began_s: float) -> float:
        until(f"{self.name} has proved every app", self.all_proved, timeout_s=READY_S)
        return time.monotonic() - began_s

    def all_proved(self) -> bool:
        """Whether every app serves what its key names, proved, with a verdict of its own."""
        said = fetch(self.daemon.status, "GET", "/status") or {"apps": ()}
        well = [each for each in said["apps"] if each["because"] in ("converged", "probation")]
        return len(well) == len(self.apps)

    def probe_each(self, interval: str) -> None:
        """Probe so often from now on."""
        settings = self.daemon.configuration.read_text()
        changed = re.sub('interval = ".*?"', f'interval = "{interval}"', settings)
        self.daemon.configuration.write_text(changed)
        self.daemon.signal(signal.SIGHUP)


class BgdOnNginx(Bgd):
    proxy = Nginx


class Follower(Contender):
    """The least possible follower, with a map."""

    name, key_prefix = "least follower", "follower"

    def start(self, stack: ExitStack) -> None:
        (self.port,) = free_ports(1)
        live_map = self.folder / "live.map"
        live_map.write_text("".join(f"{app} {app}_blue\n" for app in self.apps))
        own = by_hand.haproxy(self.apps, self.port, f"%[str({{app}}),map({live_map})]")
        proxy = stack.enter_context(Haproxy(self.folder, more=own))
        self.follow(stack, "haproxy", proxy.runtime_socket, live_map)

    def follow(self, stack: ExitStack, *where: str | Path) -> None:
        command = [sys.executable, "-m", "bench.follower", str(self.consul.port), f"{self.key_prefix}/apps/"]
        stack.enter_context(Process([*command, *where], self.folder / "follower.log"))


class FollowerOnNginx(Follower):
    """The least possible follower, with a flag file."""

    def start(self, stack: ExitStack) -> None:
        (self.port,) = free_ports(1)
        flags = self.folder / "flags"
        flags.mkdir()
        stack.enter_context(Nginx(self.folder, more=by_hand.nginx(self.apps, self.port, flags)))
        self.follow(stack, "nginx", flags)


class ConsulTemplate(Contender):
    """consul-template, which renders the whole file and has HAProxy reload it."""

    name, key_prefix = "consul-template", "rendered"

    def start(self, stack: ExitStack) -> None:
        (self.port,) = free_ports(1)
        own = by_hand.haproxy(self.apps, self.port, "{app}_blue")
        proxy = stack.enter_context(Haproxy(self.folder, more=own))
        template = self.folder / "haproxy.ctmpl"
        text = proxy.main_file.read_text()
        for app in self.apps:
            key = f'{{{{ key "{self.key(app)}" }}}}'
            text = text.replace(f"use_backend {app}_blue", f"use_backend {app}_{key}")
        template.write_text(text)
        job = f"{template}:{proxy.main_file}:kill -USR2 {proxy.pid}"
        command = ["consul-template", "-consul-addr", self.consul.url, "-template", job]
        stack.enter_context(Process(command, self.folder / "consul-template.log"))


def contenders(proxy: str) -> list[type[Contender]]:
    """All that can take part on this machine with a proxy."""
    if proxy == Nginx.kind:
        return [BgdOnNginx, FollowerOnNginx]
    return [Bgd, Follower, *([ConsulTemplate] if shutil.which("consul-template") else [])]


def backends_of(names: Sequence[str], backends: Backends, each: int) -> Apps:
    """Share the backends' addresses out to the apps, so many of each colour."""
    blue, green = iter(backends.of("blue")), iter(backends.of("green"))
    return {name: {"blue": list(islice(blue, each)), "green": list(islice(green, each))} for name in names}
