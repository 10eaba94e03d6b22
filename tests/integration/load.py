"""Load for tests: the honest client on its way, then what it saw.

    with Load(port, folder=tmp_path, websockets=4) as load:
        ...
    assert not load.lost()

A `with` starts and stops it; `start()` and `stop()` do the same by hand. `progress` says meanwhile
how many requests were made and lost. Afterwards `records` holds one record per request, `lost()` those
without a whole answer, and `last(colour)` when a colour last answered, in `time.monotonic_ns()`; `summary`
counts beside them what is no loss: `idle_closed` connections, and requests `refused` over HTTP/2, which
were repeated.
"""

import shutil
import tempfile
from pathlib import Path

from bgctl.demo import parts
from bgctl.demo.records import Record

__all__ = ["Load", "Record"]


class Load(parts.Load):
    """Lanes of each kind against one loopback port: 24 kept + 24 new make about 2 500 requests/s.

    `steady` lanes speak hardly more than once a second; `h2` lanes share connections over HTTP/2.
    """

    def __init__(
        self,
        port: int,
        *,
        folder: Path | None = None,
        kept: int = 24,
        new: int = 24,
        steady: int = 0,
        h2: int = 0,
        slow: int = 0,
        streams: int = 0,
        websockets: int = 0,
        tcp: int = 0,
        tcp_new: int = 0,
        pause_ms: float = 18.0,
        tls: bool = False,
        path: str = "/",
        host: str = "shop.example",
        name: str = "load",
    ) -> None:
        numbers = {
            "--kept": kept,
            "--new": new,
            "--steady": steady,
            "--slow": slow,
            "--streams": streams,
            "--websockets": websockets,
            "--tcp": tcp,
            "--tcp-new": tcp_new,
            "--pause-ms": pause_ms,
        }
        options = [f"{option}={number}" for option, number in numbers.items()]
        options += ["--tls"] if tls else []
        if h2:
            self.module = "tests.integration.load_h2"
            options.append(f"--h2={h2}")
        where = folder or Path(tempfile.mkdtemp(prefix="load-"))
        self.own_folder = None if folder else where
        super().__init__(where, port, *options, f"--path={path}", f"--host={host}", name=name)

    def stop(self) -> None:
        try:
            super().stop()
        finally:
            if self.own_folder:
                shutil.rmtree(self.own_folder, ignore_errors=True)
