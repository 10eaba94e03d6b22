"""What a process costs at rest, as the kernel counts it."""

import os
import time
from pathlib import Path

import attrs

TICKS = os.sysconf("SC_CLK_TCK")


@attrs.frozen
class Rest:
    """Memory, and processor time as a share of one core."""

    rss_mib: float
    cpu_percent: float


def rss_mib(pid: int) -> float:
    """Memory that is resident now."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) / 1024


def cpu_s(pid: int) -> float:
    """Processor time so far, of all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def measure(pid: int, seconds: float) -> Rest:
    """Watch a process for a while."""
    began_s, used_s = time.monotonic(), cpu_s(pid)
    time.sleep(seconds)
    share = (cpu_s(pid) - used_s) / (time.monotonic() - began_s)
    return Rest(rss_mib(pid), 100 * share)
