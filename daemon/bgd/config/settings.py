"""What bgd.toml comes to: frozen settings, each with its default."""

from pathlib import Path

import attrs

from bgd.core.model import MinHealthy


@attrs.frozen(kw_only=True)
class ConsulSettings:
    """Where Consul is. Empty means: as the consul CLI finds it in the environment, else its default."""

    address: str = ""
    token_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    prefix: str = "bluegreen"
    datacenter: str = ""


@attrs.frozen(kw_only=True)
class ProxySettings:
    """The proxy of this host, and bgd's own part of its configuration."""

    kind: str = "haproxy"  # or "nginx"
    main_file: Path = Path("/etc/haproxy/haproxy.cfg")
    file: Path = Path("/var/lib/bgd/haproxy/bgd.cfg")
    templates: Path = Path("/etc/bgd/templates")
    check: str = ""
    reload: str = "auto"
    runtime_socket: Path = Path("/run/haproxy/admin.sock")
    master_socket: Path = Path("/run/haproxy-master.sock")
    pid_file: Path = Path("/run/nginx.pid")
    proof_port: int = 9181
    unit: str = "haproxy.service"
    container: str = ""
    max_old_workers: int = 5


@attrs.frozen(kw_only=True)
class ProbeSettings:
    """How this node probes every backend of both colours. `path` empty: a TCP connect only."""

    path: str = "/"
    host: str = ""
    port: int = 0
    interval_s: float = 1.0
    timeout_s: float = 0.8
    rise: int = 2
    fall: int = 3
    expect: tuple[tuple[int, int], ...] = ((200, 399),)
    max_latency_s: float = 0.0


_ALL_OF_THEM = MinHealthy(100)


@attrs.frozen(kw_only=True)
class FlipSettings:
    """What a colour must show before it is flipped to, and how long until it is good."""

    min_healthy: MinHealthy = _ALL_OF_THEM
    patience_s: float = 600.0
    probation_s: float = 300.0
    warmup_requests: int = 0


@attrs.frozen(kw_only=True)
class RevertSettings:
    """What happens by itself, and what traffic must show for that. Zero: traffic is not judged by it."""

    auto: bool = True
    error_rate: float = 0.0  # a share from 0 to 1
    latency_s: float = 0.0
    window_s: float = 30.0
    min_requests: int = 50

    @property
    def judges_traffic(self) -> bool:
        """Whether the proxy's answers are counted at all."""
        return self.error_rate > 0 or self.latency_s > 0


@attrs.frozen(kw_only=True)
class AppSettings:
    """One app: its Consul service, its place in the proxy, its probe and its gates."""

    name: str
    service: str
    colour_by: str = "tag"  # "tag", "service" or "meta"
    release_meta: str = "version"
    mode: str = "http"  # or "tcp"
    bind: tuple[str, ...] = ("*:80",)
    hosts: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    drain_s: float = 0.0
    probe: ProbeSettings = ProbeSettings()
    flip: FlipSettings = FlipSettings()
    revert: RevertSettings = RevertSettings()


@attrs.frozen(kw_only=True)
class Settings:
    """All of bgd.toml."""

    node: str = ""
    consul: ConsulSettings = ConsulSettings()
    proxy: ProxySettings = ProxySettings()
    listen: str = "127.0.0.1:9180"
    state_directory: Path = Path("/var/lib/bgd")
    notify: tuple[str, ...] = ()
    apps: tuple[AppSettings, ...] = ()

    def app(self, name: str) -> AppSettings:
        return next(app for app in self.apps if app.name == name)
