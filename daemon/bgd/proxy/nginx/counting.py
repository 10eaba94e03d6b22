"""How nginx's answers come to be counted: by a log of bgd's own beside the host's.

Rule that lives here: where the host's logs cannot be named again beside it, there is no such log, and nothing
is known.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from bgd.config import ProxySettings
from bgd.core.model import Colour
from bgd.proxy import files
from bgd.proxy.adapter import Answered
from bgd.proxy.machine import Machine
from bgd.proxy.nginx import traffic
from bgd.proxy.nginx.host_logs import HostLogs
from bgd.proxy.nginx.text import Standing


class Counting:
    """The log that the standing text names, if it names one."""

    def __init__(self, settings: ProxySettings, machine: Machine, folder: Path, standing: Standing) -> None:
        self._host_logs = HostLogs(settings, machine)
        self._log = traffic.Log(folder)
        self._pid_file, self._standing = settings.pid_file, standing

    @property
    def dialect(self) -> str:
        """What a text has of the host's logs."""
        return self._host_logs.dialect

    @property
    def words(self) -> Mapping[str, Any]:
        """What the template is given."""
        return {
            "host_logs": self._host_logs.lines,
            "traffic": self._log,
            "traffic_format": traffic.FORMAT,
        }

    def prepare(self) -> None:
        """Have the log be there before nginx opens it. Raises WorldError."""
        if not self._stands:
            return
        try:
            self._log.prepare()
        except OSError as error:
            raise files.cannot_write(self._log.path, error) from error

    def answered(self, apps: Collection[str]) -> Mapping[tuple[str, Colour], Answered | None]:
        """What each colour of these apps has answered since the call before. Raises OSError."""
        if not self._stands and self._host_logs.unknown:
            raise OSError(self._host_logs.missing())
        lines = self._log.news(self._life()) if self._stands else None
        if lines is None:
            return traffic.nothing_known(apps)
        return traffic.counted(lines, apps, self._standing.places())

    @property
    def _stands(self) -> bool:
        return self._standing.mentions(str(self._log.path))

    def _life(self) -> object:
        """Another one after each start of nginx, where that can be seen."""
        try:
            found = self._pid_file.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns
