"""What systemd is told: ready, reloading, stopping, alive (sd_notify, which needs no library).

The variables are taken out of the environment, so that no child speaks for bgd. A systemd that cannot
be told changes nothing for traffic, so that failing to is no error.
"""

import os
import socket
import time
from collections.abc import MutableMapping


class ServiceManager:
    """The service manager that started this process, or nobody."""

    def __init__(self, environment: MutableMapping[str, str] = os.environ) -> None:
        self._address = environment.pop("NOTIFY_SOCKET", "")
        interval_us = environment.pop("WATCHDOG_USEC", "")
        meant_for = environment.pop("WATCHDOG_PID", "") or str(os.getpid())
        watched = interval_us.isdecimal() and meant_for == str(os.getpid())
        self.watchdog_s = int(interval_us) / 1_000_000 if watched else None
        """Without an `alive` for so long, bgd is taken for hung; None: nobody watches."""

    def ready(self, status: str = "") -> bool:
        """Started, or done with reloading."""
        return self._tell("READY=1", *_status(status))

    def reloading(self) -> bool:
        """Reading the configuration anew; `ready` ends it."""
        return self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> bool:
        """On the way out."""
        return self._tell("STOPPING=1")

    def status(self, text: str) -> bool:
        """One line for `systemctl status`."""
        return self._tell(*_status(text))

    def alive(self) -> bool:
        """The main loop turns."""
        return self._tell("WATCHDOG=1")

    def _tell(self, *lines: str) -> bool:
        if not self._address or not lines:
            return False
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)  # a service manager that does not read must not stop the loop
                sock.sendto("\n".join(lines).encode(errors="replace"), address)
        except (OSError, ValueError):
            return False
        return True


def _status(text: str) -> tuple[str, ...]:
    return (f"STATUS={' '.join(text.split())}",) if text else ()
