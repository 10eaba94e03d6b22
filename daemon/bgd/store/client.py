"""Calls to Consul, and its answers as values.

Rules that live here: a key is refused which Consul would take for another one; an index is a number.
How failures are told is in `transport`, how to reach Consul in `access`, how to wait for changes in
`follow`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from bgd.config import ConsulSettings
from bgd.store import entry
from bgd.store.access import access
from bgd.store.entry import Entry, Tree
from bgd.store.faults import BadSetting, Fault, StoreFault
from bgd.store.keys import Keys
from bgd.store.library import Http, Library, NotFound
from bgd.store.ops import Op
from bgd.store.transport import Transport

__all__ = ["BadSetting", "Client", "Entry", "Fault", "StoreFault"]


class Client:
    """Calls to one Consul, from any number of threads. All of them raise StoreFault."""

    def __init__(self, settings: ConsulSettings, environ: Mapping[str, str]) -> None:
        self.keys = Keys(settings.prefix)
        self._transport = Transport(access(settings, environ))
        self._http = Http(self._transport, settings.datacenter)
        self._library = Library(self._http)

    # -- keys -----------------------------------------------------------------------------------

    def read(self, key: str, *, consistent: bool = False) -> Entry | None:
        """One key, or None."""
        return self.look(key, consistent=consistent)[1]

    def look(self, key: str, *, consistent: bool = False) -> tuple[int, Entry | None]:
        """One key, and the store's index at that moment: of a key that is missing, that of all keys."""
        index, entries = self._http.get(_entries, f"/v1/kv/{_safe(key)}", _flags(consistent))
        return index, entries[0] if entries else None

    def read_tree(
        self, prefix: str, *, index: int = 0, wait_s: float = 0.0, consistent: bool = False
    ) -> tuple[int, list[Entry]]:
        """All keys below a prefix; with an index, when that has changed or `wait_s` are over."""
        params = [("recurse", "1"), *_waiting(index, wait_s), *_flags(consistent)]
        found: tuple[int, list[Entry]] = self._http.get(_entries, f"/v1/kv/{_safe(prefix)}", params)
        return found

    def watch_tree(self, prefix: str, before: Tree | None, *, wait_s: float) -> Tree:
        """A tree when it has changed since `before`, or `wait_s` are over; only the change is parsed."""
        waiting = _waiting(before.index, wait_s) if before else []

        def told(answer: Any) -> Tree:
            index = _index(answer.headers.get("x-consul-index"))
            if answer.code == 404:
                return Tree(index, (), 0)
            body = answer.body.decode()
            if before is not None and before.index <= index:
                return entry.grow(before, index, body)
            entries = entry.parse(body)
            return Tree(index, entries, len(entries))

        found: Tree = self._http.get(told, f"/v1/kv/{_safe(prefix)}", [("recurse", "1"), *waiting])
        return found

    def names(self, prefix: str) -> list[str]:
        """The names of all keys below a prefix."""
        found: tuple[int, list[str]] = self._http.get(_names, f"/v1/kv/{_safe(prefix)}", [("keys", "1")])
        return found[1]

    def transact(self, ops: Sequence[Op]) -> int:
        """All of the operations or none; the ModifyIndex of what was set, 0 when nothing was."""
        for op in ops:
            _safe(op.key)
        with _understood(Fault.UNKNOWN, "PUT /v1/txn"):
            results = self._library.txn.put([op.told() for op in ops])["Results"] or ()
            return max((int(result["KV"]["ModifyIndex"]) for result in results), default=0)

    # -- services, sessions, the agent ------------------------------------------------------------

    def health(
        self, service: str, *, index: int = 0, wait_s: float = 0.0
    ) -> tuple[int, list[dict[str, Any]]]:
        """Every instance of a service with its checks."""
        wait = {"index": index, "wait": f"{wait_s:g}s"} if index else {}
        with _understood(Fault.LOST, f"GET /v1/health/service/{service}"):
            told, instances = self._library.health.service(service, **wait)
            return int(told), [dict(instance) for instance in instances or ()]

    def service_index(self, service: str) -> int:
        """When `health` of a service last changed, without asking for the answer itself."""
        return self._index_of(f"/v1/health/service/{service}", [("filter", 'Service.ID == ""')])

    def services_index(self, index: int, wait_s: float) -> int:
        """When any service last came or went; with an index, when that has changed or `wait_s` are over."""
        return self._index_of("/v1/catalog/services", _waiting(index, wait_s))

    def checks_index(self, index: int, wait_s: float) -> int:
        """When any check last changed; with an index, when that has changed or `wait_s` are over."""
        return self._index_of("/v1/health/state/any", [("filter", 'CheckID == ""'), *_waiting(index, wait_s)])

    def _index_of(self, path: str, params: Sequence[tuple[str, str]]) -> int:
        found: int = self._http.get(lambda answer: _index(answer.headers.get("x-consul-index")), path, params)
        return found

    def agent(self) -> tuple[str, str]:
        """The agent's node name and version."""
        with _understood(Fault.LOST, "GET /v1/agent/self"):
            told = self._library.agent.self()["Config"]
            return str(told["NodeName"]), str(told["Version"])

    def create_session(self, name: str, *, ttl_s: int) -> str:
        """A session bound to no check, whose keys are deleted with it."""
        settings = {"ttl": ttl_s, "behavior": "delete", "lock_delay": 0, "checks": []}
        with _understood(Fault.UNKNOWN, "PUT /v1/session/create"):
            return str(self._library.session.create(name=name, **settings))

    def renew_session(self, session: str) -> bool:
        """Whether the session still lives, for another while."""
        try:
            self._library.session.renew(session)
        except NotFound:
            return False
        return True

    def destroy_session(self, session: str) -> None:
        """End a session; what it held is gone with it."""
        self._library.session.destroy(session)

    def close(self) -> None:
        """End every call that is under way within milliseconds; further calls fail."""
        self._transport.close()


@contextmanager
def _understood(fault: Fault, asked: str) -> Iterator[None]:
    """What listens at a wrong address may answer anything: the world's fault, and not ours."""
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError, NotFound) as error:
        raise StoreFault(fault, f"{asked}: an answer that is not Consul's; is this its address?") from error


def _entries(answer: Any) -> tuple[int, list[Entry]]:
    entries = [] if answer.code == 404 else entry.parse(answer.body)
    return _index(answer.headers.get("x-consul-index")), entries


def _names(answer: Any) -> tuple[int, list[str]]:
    names = [] if answer.code == 404 else [str(name) for name in json.loads(answer.body)]
    return _index(answer.headers.get("x-consul-index")), names


def _index(text: str | None) -> int:
    """An index as a number: as text, 9 would come after 10. Every answer of Consul's has one."""
    if text is None:
        raise ValueError("no index")
    return int(text)


def _waiting(index: int, wait_s: float) -> list[tuple[str, str]]:
    return [("index", str(index)), ("wait", f"{wait_s:g}s")] if index else []


def _flags(consistent: bool) -> list[tuple[str, str]]:
    return [("consistent", "1")] if consistent else []


def _safe(key: str) -> str:
    """A key that Consul takes as it is written; `//` would lose the value, `..` write another key."""
    words = key.removesuffix("/").split("/")
    if any(word in ("", ".", "..") for word in words) or not key.isprintable():
        raise StoreFault(
            Fault.REFUSED, f"{key!r} is no key: it has an empty word, a dot or a control character"
        )
    return key
