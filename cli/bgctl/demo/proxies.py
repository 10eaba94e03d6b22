"""The proxies that the story can be told on, each as a host runs it.

What they share is in `Proxy`; each adds what it is called, its main file, how it starts, and the lines
of bgd.toml that name its places.
"""

import os
import shlex
from pathlib import Path
from typing import ClassVar

from bgctl.demo.parts import fetch
from bgctl.demo.process import Process, free_ports, program


class Proxy(Process):
    """A proxy with a main file of the host's own, and a folder for bgd's part."""

    kind: ClassVar[str]
    title: ClassVar[str]
    """Its name in sentences."""
    PART: ClassVar[str]
    """bgd's file."""
    MAIN: ClassVar[str]
    """The main file: it answers 200 on a port of its own, and has room for more of the host's."""
    OPTIONS: ClassVar[str]
    SETTINGS: ClassVar[str]
    """bgd.toml's lines that only this proxy has."""
    CHECK: ClassVar[str]
    """How it checks itself, in bgd's words."""

    def __init__(self, folder: Path, *, more: str = "") -> None:
        (self.port,) = free_ports(1)
        self.folder, self.part = folder, folder / self.kind / self.PART
        self.part.parent.mkdir(exist_ok=True)
        self.main_file = folder / f"{self.kind}{self.part.suffix}"
        self.main_file.write_text(self.filled(self.MAIN, more=more))
        self.program = program(self.kind)
        options = [self.filled(word) for word in self.OPTIONS.split()]
        super().__init__([self.program, *options], folder / f"{self.kind}.log")

    def filled(self, text: str, **more: object) -> str:
        """A text with this proxy's places in it."""
        return text.format(
            folder=self.folder, main_file=self.main_file, part=self.part, port=self.port, **more
        )

    @property
    def settings(self) -> str:
        return self.filled(self.SETTINGS)

    @property
    def check(self) -> str:
        return f"{shlex.quote(self.program)} {self.CHECK}"

    def wait_ready(self) -> None:
        self.until_ready(f"{self.title} answers", lambda: fetch(self.port, "GET", "/") is not None)


class Haproxy(Proxy):
    """HAProxy: master and worker, with bgd's folder on the command line."""

    kind, title, PART = "haproxy", "HAProxy", "bgd.cfg"
    MAIN = """\
global
    stats socket {folder}/admin.sock mode 600 level admin expose-fd listeners
    maxconn 2000
defaults
    mode http
    timeout connect 2s
    timeout client 30s
    timeout server 30s
    timeout tunnel 1h
frontend health
    bind 127.0.0.1:{port}
    http-request return status 200
{more}"""
    OPTIONS = "-W -db -S {folder}/master.sock,mode,600 -f {main_file} -f {part.parent}"
    SETTINGS = """\
runtime_socket = "{folder}/admin.sock"
master_socket = "{folder}/master.sock"
"""
    CHECK = "-c -f {main_file} -f {folder}"

    @property
    def runtime_socket(self) -> Path:
        return self.folder / "admin.sock"


class Nginx(Proxy):
    """nginx: master and two workers, with bgd's folder under an `include`."""

    kind, title, PART = "nginx", "nginx", "bgd.conf"
    MAIN = """\
{user}daemon off;
worker_processes 2;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{
    worker_connections 2000;
}}
http {{
    access_log off;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    server {{
        listen 127.0.0.1:{port};
        return 200;
    }}
    include {part.parent}/*.conf;
{more}}}
"""
    OPTIONS = "-p {folder} -e stderr -c {main_file}"
    SETTINGS = """\
pid_file = "{folder}/nginx.pid"
proof_port = {proof_port}
"""
    CHECK = "-t -q -e stderr -c {main_file}"

    def __init__(self, folder: Path, *, more: str = "") -> None:
        (self.proof_port,) = free_ports(1)
        super().__init__(folder, more=more)

    def filled(self, text: str, **more: object) -> str:
        # Root's workers would be nobody's, who may not look into the folder.
        user = "user root;\n" if os.geteuid() == 0 else ""
        return super().filled(text, user=user, proof_port=self.proof_port, **more)


KINDS: dict[str, type[Proxy]] = {each.kind: each for each in (Haproxy, Nginx)}
"""Those that bgd can be put beside, by the word that names them in bgd.toml."""
