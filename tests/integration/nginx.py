"""A real nginx as a supervisor runs it: master and workers, the host's own file, and in it bgd's folder."""

import os
import re
import signal
import socket
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from bgctl.demo.process import free_ports
from bgd.config import ProxySettings
from bgd.proxy.nginx import text
from tests.integration.parts import nginx, nginx_environment, nginx_with_stream
from tests.integration.supervised import Supervised, running
from tests.integration.waiting import eventually

MAIN_FILE = """\
{main}
{user}
worker_processes {workers};
pid {root}/nginx.pid;
error_log {root}/error.log notice;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {root}/body;
    proxy_temp_path {root}/proxy;
    fastcgi_temp_path {root}/fastcgi;
    uwsgi_temp_path {root}/uwsgi;
    scgi_temp_path {root}/scgi;
    server {{
        listen 127.0.0.1:{health};
        return 200 "host's own";
    }}
{http}
    include {folder}/*.conf;
}}
{stream}
"""


class NginxServer(Supervised):
    """One nginx with bgd's folder in its main file."""

    kind = "nginx"
    tells_connections = False  # a server that left its text may have some in an old worker
    bad_line = "nonsense;"
    template = "nginx.conf.j2"
    bad_template = "nonsense {{ structure }};\n"

    def __init__(
        self, folder: Path, *, http: str = "", main: str = "", stream: bool = False, workers: int = 2
    ) -> None:
        super().__init__(folder)
        self.main_file = folder / "nginx.conf"
        self.pid_file = folder / "nginx.pid"
        self.error_log = folder / "error.log"
        self.health, self.proof_port = free_ports(2)
        self.write_main(http=http, main=main, stream=stream, workers=workers)

    def write_main(self, *, http: str = "", main: str = "", stream: bool = False, workers: int = 2) -> None:
        """The host's own file."""
        user = "user root;" if os.geteuid() == 0 else ""  # others may not look into the test's folder
        within = f"stream {{ include {self.folder}/*.stream; }}" if stream else ""
        text = MAIN_FILE.format(
            main=f"{nginx_with_stream()}\n{main}" if stream else main,
            user=user,
            workers=workers,
            root=self.root,
            health=self.health,
            http=http,
            folder=self.folder,
            stream=within,
        )
        self.main_file.write_text(text)

    def settings(self, **changes: Any) -> ProxySettings:
        """bgd's settings for this nginx."""
        known: dict[str, Any] = {
            "kind": "nginx",
            "main_file": self.main_file,
            "file": self.folder / "bgd.conf",
            "templates": self.root / "templates",
            "check": f"{nginx()} -t -q -e stderr -c {{main_file}}",
            "pid_file": self.pid_file,
            "proof_port": self.proof_port,
            "unit": "nginx.service",
        }
        return ProxySettings(**{**known, **changes})

    def command(self) -> list[str]:
        places = ["-p", str(self.root), "-e", str(self.error_log), "-c", str(self.main_file)]
        return [nginx(), *places, "-g", "daemon off;"]

    def environment(self) -> dict[str, str]:
        return nginx_environment()

    @property
    def part(self) -> Path:
        """The file of bgd's part."""
        return self.folder / "bgd.conf"

    def line(self, header: str, value: object) -> str:
        """An app's line that gives its answers a header."""
        return f"add_header {header} {value} always;"

    def has(self, app: str) -> bool:
        """Whether the app is left anywhere in what runs or in bgd's part."""
        return f"{app}_blue" in self.servers() or (self.folder / "flags" / f"{app}.green").exists()

    def holds_down(self, server: str, name: str) -> bool:
        """Whether it has been told to ask a server nothing."""
        group = text.servers(self.part.read_text()).get(name, {})
        return " down" in group.get(server, "") and not (self.folder / "closing").exists()

    def generation(self) -> frozenset[int]:
        """Another one after each reload."""
        return frozenset(self.workers())

    def reload_by_hand(self) -> None:
        """What somebody else does, as systemctl does it; returns when only new workers accept."""
        before = self.generation()
        self.signal(signal.SIGHUP)
        eventually(lambda: self.workers() and not before & self.workers(), "new workers alone accept")

    def workers(self, *, finishing: bool = False) -> set[int]:
        """The workers that serve, or those that finish what they have."""
        children = Path(f"/proc/{self.process_id}/task/{self.process_id}/children").read_text().split()
        titles = {int(pid): _title(pid) for pid in children}
        return {
            pid
            for pid, title in titles.items()
            if "worker process" in title and ("shutting down" in title) is finishing
        }

    def decides(self) -> dict[str, str]:
        """What its workers decide for each app: they look at the same files as a restart."""
        return self.on_disk()

    def on_disk(self) -> dict[str, str]:
        """What a restart would decide, by the flags and, for tcp apps, by the text."""
        flags = {file.stem for file in self.folder.glob("flags/*.green")}
        apps = {name.rpartition("_")[0] for name in self.servers()}
        streams = self.folder / "bgd.stream"
        named = re.findall(r"proxy_pass (\S+)_(\w+);", streams.read_text() if streams.exists() else "")
        return {app: "green" if app in flags else "blue" for app in apps} | dict(named)

    def permits(self, backend: str) -> bool:
        """Whether bgd lets it leave this backend by itself."""
        return any(self.folder.glob(f"permits/*/{backend}"))

    def held(self) -> set[str]:
        """Every server that it still has, by its file."""
        return {name for group in self.servers().values() for name, _ in group}

    def servers(self) -> dict[str, set[tuple[str, int]]]:
        """Group → (server, weight), by its file."""
        texts = [file.read_text() for file in self.folder.glob("bgd.*") if file.suffix != ".good"]
        return {
            name: {
                (server, int(re.findall(r"weight=(\d+)", written)[0]))
                for server, written in group.items()
                if "weight=" in written
            }
            for name, group in text.servers("\n".join(texts)).items()
            if not name.endswith("_grpc")
        }

    def said(self) -> str:
        """Its error log."""
        return self.error_log.read_text(errors="replace") if self.error_log.exists() else ""

    def answers(self) -> bool:
        return self.listens() and bool(self.workers())

    def listens(self) -> bool:
        with socket.socket() as front:
            front.settimeout(2)
            return front.connect_ex(("127.0.0.1", self.health)) == 0


def _title(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:  # it has just ended
        return ""


def running_nginx(**main: Any) -> AbstractContextManager[NginxServer]:
    """A started nginx."""
    return running(NginxServer, **main)
