"""The only importer of python-consul2: its calls, over our own transport.

Rules that live here: how long each call may take; the library reads no environment, opens no connection
and warns nobody. Its callbacks see only answers that are in order, and what is not found.
"""

import importlib
import os
import sys
import threading
import urllib.parse
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from bgd.store.faults import Fault, StoreFault
from bgd.store.transport import READ_S, Transport

SLACK_S = 5.0
"""How much longer than its wait a blocking query may take, on top of a sixteenth of it."""


def _import_base() -> Any:
    """The library without its stock client, whose import alone costs 60 ms and 10 MiB."""
    stock = ModuleType("consul.std")
    stock.__dict__["Consul"] = None
    if sys.modules.setdefault(stock.__name__, stock) is not stock:
        return importlib.import_module("consul.base")
    try:
        return importlib.import_module("consul.base")
    finally:
        del sys.modules[stock.__name__]


if TYPE_CHECKING:
    import consul.base as base
else:
    base = _import_base()

NotFound: type[Exception] = base.NotFound


class Http(base.HTTPClient):  # type: ignore[misc]  # the library ships no types
    """The library's calls, over our own transport."""

    def __init__(self, transport: Transport, datacenter: str) -> None:
        self._transport = transport
        self._always = [("dc", datacenter)] if datacenter else []

    def get(self, callback: Callable[[Any], Any], path: str, params: Any = None, **_: Any) -> Any:
        return self._call("GET", callback, path, params)

    def put(
        self, callback: Callable[[Any], Any], path: str, params: Any = None, data: Any = "", **_: Any
    ) -> Any:
        return self._call("PUT", callback, path, params, data)

    def post(
        self, callback: Callable[[Any], Any], path: str, params: Any = None, data: Any = "", **_: Any
    ) -> Any:
        return self._call("POST", callback, path, params, data)

    def delete(
        self, callback: Callable[[Any], Any], path: str, params: Any = None, data: Any = "", **_: Any
    ) -> Any:
        return self._call("DELETE", callback, path, params, data)

    def _call(
        self, method: str, callback: Callable[[Any], Any], path: str, params: Any, data: str | None = None
    ) -> Any:
        pairs = [*(params or ()), *self._always]
        query = "?" + urllib.parse.urlencode(pairs) if pairs else ""
        body = data.encode() if data is not None else None
        url = urllib.parse.quote(path, safe="/:") + query
        answer = self._transport.call(method, url, body, read_s=_read_s(pairs))
        told = base.Response(answer.status, answer.headers, answer.body, answer.body)
        try:
            return callback(told)
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            detail = f"{method} {path}: an answer that is not Consul's: {answer.body[:80]!r}"
            raise StoreFault(Fault.LOST if method == "GET" else Fault.UNKNOWN, detail) from error


class Library(base.Consul):  # type: ignore[misc]  # the library ships no types
    """python-consul2 without its own reading of the environment, which would win over ours."""

    def __init__(self, http: Http) -> None:
        self._given = http
        with _quiet_construction():
            super().__init__()
        self.token = self.dc = None  # both are the transport's business

    def http_connect(self, *_: Any, **__: Any) -> Http:
        return self._given


_constructing = threading.Lock()


@contextmanager
def _quiet_construction() -> Iterator[None]:
    """The library warns about itself, and fails on a variable that it cannot read."""
    names = [name for name in os.environ if name.startswith("CONSUL_")]
    with _constructing, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        hidden = {name: os.environ.pop(name) for name in names}
        try:
            yield
        finally:
            os.environ.update(hidden)


def _read_s(pairs: Sequence[tuple[str, Any]]) -> float:
    """How long an answer may take: a server adds up to a sixteenth to the wait that is asked for."""
    wait = dict(pairs).get("wait")
    return float(wait.removesuffix("s")) * 17 / 16 + SLACK_S if wait else READ_S
