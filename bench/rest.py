"""What bgd and its neighbours cost at rest, as the kernel counts it, and what Consul writes meanwhile."""

import os
import re
import time
from pathlib import Path

import attrs

from bgctl.demo.parts import Consul, fetch

TICKS = os.sysconf("SC_CLK_TCK")


@attrs.frozen
class Rest:
    """Memory of bgd, and processor time as a share of one core: bgd's, and its neighbours'."""

    interval: str
    start_s: float
    """From bgd's start beside an empty disk to every app proved; and anew, beside what it had kept."""
    again_s: float
    rss_mib: float
    cpu_percent: float
    proxy_percent: float
    consul_percent: float
    probes: float
    """Probes that ended, a second: on a machine that is too slow they are fewer than were asked for."""
    writes: int
    """Entries of Consul's raft log."""


def rss_mib(pid: int) -> float:
    """Memory that is resident now."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) / 1024


def cpu_s(pid: int) -> float:
    """Processor time so far, of all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@attrs.define
class Watch:
    """Processes with their children, watched from now on."""

    pid: int
    began_s: float = attrs.field(factory=time.monotonic)
    used_s: dict[int, float] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        self.used_s = {pid: cpu_s(pid) for pid in (self.pid, *map(int, children))}

    def percent(self) -> float:
        """Of one core, since then; a child that has ended meanwhile does not count."""
        used_s = sum(cpu_s(pid) - before_s for pid, before_s in self.used_s.items() if alive(pid))
        return 100 * used_s / (time.monotonic() - self.began_s)


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").exists()


def probes(status_port: int) -> int:
    """How many probes have ended, by bgd's own metrics."""
    said = fetch(status_port, "GET", "/metrics") or ""
    return sum(int(float(count)) for count in re.findall(r"^bgd_probe_seconds_count{.*} (\S+)", said, re.M))


def raft_index(consul: Consul) -> int:
    """The last entry of Consul's log."""
    return int(consul.get("/v1/agent/self")["Stats"]["raft"]["last_log_index"])
