"""Warm-up: requests that fill a new release's caches before customers come.

All backends at once, each one's requests one after the other. How long a cold backend takes is what this
is for, so each request may take far longer than a probe. The last one must be answered as a probe's
would be: a backend that cannot do that after all its practice is not ready.
"""

import http.client
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from bgd.config import AppSettings
from bgd.core.model import Backend, Colour
from bgd.core.reasons import Because
from bgd.host.http1 import AGENT
from bgd.ports import Failed

REQUEST_S = 10.0
"""One request may take so long."""
AT_ONCE = 32


class Warmup:
    """Sends the warm-up requests of all apps. May be used from several threads."""

    def __init__(self) -> None:
        self._apps: dict[str, AppSettings] = {}

    def configure(self, app: AppSettings) -> None:
        """From now on these are the app's settings."""
        self._apps[app.name] = app

    def __call__(self, app: str, colour: Colour, backends: Iterable[Backend]) -> Failed | None:
        """Warm these backends; why one of them is not warm, or None."""
        settings, targets = self._apps[app], list(backends)
        if not settings.flip.warmup_requests or not settings.probe.path or not targets:
            return None
        with ThreadPoolExecutor(min(AT_ONCE, len(targets)), thread_name_prefix="warm") as pool:
            cold = [words for words in pool.map(lambda each: _warm(settings, each), targets) if words]
        return Failed(Because.TARGET_NOT_READY, f"{colour} is not warm: {cold[0]}") if cold else None


def _warm(settings: AppSettings, backend: Backend) -> str:
    """What the last request met; empty when it was answered well."""
    words = ""
    for _ in range(settings.flip.warmup_requests):
        words = _ask(settings, backend)
    return words


def _ask(settings: AppSettings, backend: Backend) -> str:
    probe = settings.probe
    connection = http.client.HTTPConnection(backend.address, probe.port or backend.port, timeout=REQUEST_S)
    try:
        connection.request(
            "GET", probe.path, headers={"Host": probe.host or backend.name, "User-Agent": AGENT}
        )
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException) as error:
        return f"{backend.name}: {error}"
    finally:
        connection.close()
    fine = any(low <= answer.status <= high for low, high in probe.expect)
    return "" if fine else f"{answer.status} from {backend.name}"
