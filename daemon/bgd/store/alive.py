"""The key that says that this node's daemon lives, and the session that holds it.

Rules that live here: one daemon per node; a daemon that finds its own key takes it over, one that finds
the living key of another gives way. The session depends on no check, so that a short trouble of the
network does not end it; the key goes with the session. What is to be written together with the sign is so
in its transaction: nobody finds this life's sign beside an earlier life's words.
"""

from collections.abc import Callable, Sequence

from bgd.store import records
from bgd.store.client import Client, Entry
from bgd.store.ops import Lock, Op

TTL_S = 10
RENEW_S = 3.0


class SecondDaemon(Exception):
    """Another daemon lives under this node's name, or with this daemon's state."""

    def __init__(self, node: str, what: str) -> None:
        super().__init__(f"{what}; one daemon per node: stop the other, or set node (now {node!r}) apart")


class Alive:
    """This daemon's sign of life. `keep` is to be called every `RENEW_S`, by one thread."""

    def __init__(self, client: Client, node: str, instance: str) -> None:
        self._client, self._node, self._instance = client, node, instance
        self._key = client.keys.alive(node)
        self._since = records.now_at()
        self._session = ""
        self._lived = False

    def keep(self, beside: Callable[[], Sequence[Op]] = tuple) -> int:
        """Renew the sign, or set it anew with what is to stand `beside` it: then their index, else 0."""
        living = bool(self._session) and self._client.renew_session(self._session)
        if not living:
            self._session = ""
        there = self._client.read(self._key, consistent=not living)
        if living and there is not None and there.session == self._session:
            return 0
        return self._set(there, beside)

    def end(self) -> None:
        """Take the sign away at once."""
        if self._session:
            self._client.destroy_session(self._session)

    def _set(self, there: Entry | None, beside: Callable[[], Sequence[Op]]) -> int:
        if there is not None and there.session and there.session != self._session:
            self._take_over(there)
        if not self._session:
            self._session = self._client.create_session(f"bgd {self._node}", ttl_s=TTL_S)
        value = records.encode({"instance": self._instance, "since": self._since})
        index = self._client.transact([Lock(self._key, value, self._session), *beside()])
        self._lived = True
        return index

    def _take_over(self, there: Entry) -> None:
        """End our own earlier session; it may be one that a restored store has brought back."""
        told = records.decode(there.value) or {}
        if told.get("instance") != self._instance:
            raise SecondDaemon(
                self._node, f"another daemon (instance {str(told.get('instance'))[:64]!r}) lives"
            )
        if self._lived and str(told.get("since", "")) > self._since:
            raise SecondDaemon(self._node, "a copy of this daemon's state directory has taken its place")
        self._client.destroy_session(there.session)
