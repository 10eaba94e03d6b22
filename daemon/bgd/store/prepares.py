"""The first phase of a flip: a preparation, held by a session of whoever asks for it.

Rules that live here: one preparation of an app at a time; its session depends on no check and is renewed
beside all that its asker does; whoever dies leaves nothing behind, for its key goes with the session,
which ends by itself after twice its TTL.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from bgd.core.model import Preparation
from bgd.store import records
from bgd.store.alive import RENEW_S, TTL_S
from bgd.store.client import Client, Entry, Fault, StoreFault
from bgd.store.follow import Backoff
from bgd.store.ops import Lock

T = TypeVar("T")
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Taken:
    """Somebody else holds a preparation of this app; None: it says nothing that we understand."""

    preparation: Preparation | None


class Held:
    """A preparation that stands until it is committed, or `end`. May be asked by one thread only."""

    def __init__(self, client: Client, app: str, session: str, preparation: Preparation) -> None:
        self.session, self.preparation = session, preparation
        self._client, self._key = client, client.keys.prepare(app)
        self._ended = threading.Event()
        self._renewing = threading.Thread(target=self._renew, name="preparation", daemon=True)
        self._renewing.start()

    def taken(self) -> Taken | None:
        """Who holds it now, as is surely so; None: we do. Raises StoreFault."""
        there = self._client.read(self._key, consistent=True)
        return None if _held_by(there, self.session) else _taken(there)

    def end(self) -> bool:
        """Withdraw it; whether that is known to be done. What was not committed never will be after that."""
        self._ended.set()
        try:
            self._client.destroy_session(self.session)
        except StoreFault:
            return False
        return True

    def _renew(self) -> None:
        while not self._ended.wait(RENEW_S):
            with contextlib.suppress(StoreFault):  # it lives for a while without us
                if not self._client.renew_session(self.session):
                    return


def hold(client: Client, app: str, preparation: Preparation, *, within_s: float = 0.0) -> Held | Taken:
    """Have every member asked, unless somebody else is asking.

    A Consul that is lost meanwhile, as between two leaders, is waited for so long. Raises StoreFault, and
    then nothing stands.
    """
    deadline_s = time.monotonic() + within_s
    key = client.keys.prepare(app)
    session = _patiently(lambda: client.create_session(f"bgctl {app}", ttl_s=TTL_S), deadline_s)
    try:
        taken = _patiently(lambda: _lock(client, key, preparation, session), deadline_s)
    except BaseException:
        _forget(client, session)
        raise
    if taken is not None:
        _forget(client, session)
        return taken
    return Held(client, app, session, preparation)


def _patiently(ask: Callable[[], T], deadline_s: float) -> T:
    backoff = Backoff()
    while True:
        try:
            return ask()
        except StoreFault as fault:
            # A session that nobody uses ends by itself, so that nothing unknown is left of either write.
            lost = fault.kind in (Fault.LOST, Fault.UNKNOWN)
            pause_s = backoff.next_s()
            if not lost or time.monotonic() + pause_s > deadline_s:
                raise StoreFault(Fault.LOST if lost else fault.kind, fault.detail) from fault
            time.sleep(pause_s)


def _lock(client: Client, key: str, preparation: Preparation, session: str) -> Taken | None:
    """Take the key; who has it instead. Who has ended before we could look has it no more."""
    for _ in range(_TRIES):
        try:
            client.transact([Lock(key, records.preparation_out(preparation), session)])
        except StoreFault as fault:
            if fault.kind not in (Fault.CONFLICT, Fault.UNKNOWN):
                raise
            there = client.read(key, consistent=True)
            if _held_by(there, session):
                return None
            if fault.kind is Fault.UNKNOWN:
                raise
            if there is not None:
                return _taken(there)
        else:
            return None
    return Taken(None)


def _held_by(there: Entry | None, session: str) -> bool:
    return there is not None and there.session == session


def _taken(there: Entry | None) -> Taken:
    held = there is not None and there.session
    return Taken(records.preparation_in(there.value) if there and held else None)


def _forget(client: Client, session: str) -> None:
    with contextlib.suppress(StoreFault):
        client.destroy_session(session)
