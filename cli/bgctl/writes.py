"""What bgctl writes, each in one transaction over what was read.

Rules that live here: whoever was faster is `superseded`, and nothing is written; a membership ends by a
stone, and only while its daemon does not live; an app's keys go only when no node reports about it.
"""

import contextlib
import os
import socket
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from bgctl import rivals
from bgctl.ending import Ended, Exit, refused
from bgctl.standing import App
from bgd.core.actions import Revert
from bgd.core.model import Colour, Desired

if TYPE_CHECKING:
    from bgctl.call import Call
    from bgd.store.client import Client, Entry
    from bgd.store.keys import Keys
    from bgd.store.ops import Op
    from bgd.store.prepares import Held

STILL_ALIVE = "still-alive"
STILL_REPORTED = "still-reported"
"""Why what is asked for cannot be forgotten."""

_PIECE = 60
"""Operations of one transaction; Consul takes 64."""
_TRIES = 3


# -- wishes ---------------------------------------------------------------------------------------


def live(
    call: "Call",
    app: App,
    colour: Colour,
    *,
    reason: str,
    force: bool,
    flags: int,
    held: "Held | None" = None,
    prepared: Sequence[str] = (),
) -> Desired:
    """Wish a colour over what was seen; its generation. Somebody faster is `superseded`.

    With what is `held`: the second phase of its preparation, which the `prepared` nodes have acknowledged.
    """
    with call.faults():
        from bgd.store import writes

        outcome = writes.set_live(
            call.client,
            app.name,
            colour,
            by=author_here(),
            reason=reason,
            force=force,
            release=held.preparation.release if held else app.release(colour),
            prepared=prepared,
            session=held.session if held else "",
            after=app.highest_generation,
            seen=app.live,
            flags=flags,
        )
    if isinstance(outcome, writes.Done):
        return Desired(colour, outcome.generation)
    if held and not rivals.moved(app.live, outcome.live):
        raise rivals.lost(app.name)
    raise rivals.superseded(app.name, outcome.live)


def own_flags() -> int:
    """What a wish is known by again."""
    from bgd.store import writes

    return writes.own_flags()


def written(call: "Call", name: str, flags: int) -> int | None:
    """The generation of the wish that was written with these flags, if it stands."""
    with call.faults():
        from bgd.store import writes

        return writes.written(call.client, name, flags)


def first(call: "Call", name: str, colour: Colour, *, reason: str) -> tuple[bool, Desired | None]:
    """Write an app's first wish; whether it is new, and what the key says (None: no colour)."""
    with call.faults():
        from bgd.store import writes

        outcome = writes.init(call.client, name, colour, by=author_here(), reason=reason)
    if isinstance(outcome, writes.Done):
        return True, Desired(colour, outcome.generation)
    return False, outcome.live if isinstance(outcome.live, Desired) else None


def revert(call: "Call", app: App, action: Revert) -> Desired:
    """Carry a person's revert out, over a pause too; its generation."""
    with call.faults():
        from bgd.core.advance import Failed, Overtaken
        from bgd.store import acts

        outcome = acts.write(call.client, app.name, action, by=author_here(), over_pause=True)
        if isinstance(outcome, Overtaken):
            there = outcome.seen.keys[app.name]
            raise rivals.superseded(app.name, there)
        if isinstance(outcome, Failed):
            cure = f"bgctl status {app.name} says what stands"
            raise Ended(Exit.STORE, outcome.because, outcome.detail, cure)
        _close(call.client, app.name, action.desired.generation)
    return Desired(action.colour, outcome.generation)


def _close(client: "Client", name: str, generation: int) -> None:
    """Have the history say how the wish ended; a token that may not write there is no reason to fail."""
    from bgd.store import writes
    from bgd.store.faults import StoreFault

    with contextlib.suppress(StoreFault):
        for _ in range(_TRIES):  # the node that proves the revert first closes the same event
            if writes.set_outcome(client, name, generation, "reverted"):
                return


# -- what stands beside the wish --------------------------------------------------------------------


def pause(call: "Call", names: list[str], reason: str) -> None:
    """Pause all that is automatic of these apps."""
    with call.faults():
        from bgd.store.ops import Set

        keys = call.client.keys
        _in_pieces(call.client, [Set(keys.pause(name), reason.encode(errors="replace")) for name in names])


def resume(call: "Call", names: list[str]) -> None:
    """Let it go on."""
    with call.faults():
        from bgd.store.ops import Delete

        _in_pieces(call.client, [Delete(call.client.keys.pause(name)) for name in names])


def unreject(call: "Call", name: str, release: str) -> bool:
    """Lift a rejection; whether there was one."""
    with call.faults():
        from bgd.store.ops import Delete

        key = call.client.keys.rejected(name, release)
        if call.client.read(key, consistent=True) is None:
            return False
        call.client.transact([Delete(key)])
        return True


# -- forgetting -----------------------------------------------------------------------------------


def forget_member(call: "Call", name: str, node: str) -> bool:
    """End the membership of a silent node; whether it was one still."""
    with call.faults():
        from bgd.store import records
        from bgd.store.faults import Fault, StoreFault
        from bgd.store.ops import Cas, CheckMissing

        client, keys = call.client, call.client.keys
        there = client.read(keys.report(name, node), consistent=True)
        if there is None or records.is_gone(records.decode(there.value) or {}):
            return False
        stone = records.encode(records.gone(author_here()))
        try:
            client.transact([CheckMissing(keys.alive(node)), Cas(there.key, stone, there.modify_index)])
        except StoreFault as fault:
            if fault.kind is not Fault.CONFLICT:
                raise
            raise still_alive(node) from None
    return True


def was_member(call: "Call", name: str, node: str) -> bool:
    """Whether a stone, or a report, stands for this node."""
    with call.faults():
        from bgd.store.keys import is_node

        keys = call.client.keys
        return is_node(node) and call.client.read(keys.report(name, node)) is not None


def forget_app(call: "Call", name: str) -> int:
    """Delete all keys of an app about which no node reports; how many there were.

    What is left over when it ends early is no app any more, and this can be asked again.
    """
    with call.faults():
        from bgd.store.faults import Fault, StoreFault
        from bgd.store.ops import CheckIndex, Delete

        client, keys = call.client, call.client.keys
        reports = client.read_tree(keys.members(name), consistent=True)[1]
        if reported := _reported(keys, reports):
            raise still_reported(name, reported)
        wishes = client.read_tree(keys.wishes(name), consistent=True)[1]
        history = client.read_tree(keys.history(name))[1]
        doomed = [*wishes, *reports, *history]
        unchanged = [CheckIndex(entry.key, entry.modify_index) for entry in reports]
        try:
            _in_pieces(client, [*unchanged, *(Delete(entry.key) for entry in doomed)])
        except StoreFault as fault:
            if fault.kind is not Fault.CONFLICT:
                raise
            raise still_reported(name, []) from None
    return len(doomed)


def _reported(keys: "Keys", entries: Iterable["Entry"]) -> list[str]:
    from bgd.store import records

    told = ((keys.member_of(entry.key), records.decode(entry.value) or {}) for entry in entries)
    return [node for node, report in told if node and not records.is_gone(report)]


def still_alive(node: str) -> Ended:
    """A node whose daemon lives cannot be forgotten."""
    return refused(
        STILL_ALIVE,
        f"{node}'s bgd lives: only the membership of a silent node can be ended here",
        f"take the app out of bgd.toml on {node} and reload bgd there, or stop it (systemctl stop bgd)",
    )


def still_reported(name: str, nodes: list[str]) -> Ended:
    """An app that nodes report about cannot be forgotten."""
    who = ", ".join(nodes) or "a node that came meanwhile"
    return refused(
        STILL_REPORTED,
        f"{name} is still reported by {who}; nothing was deleted",
        "take the app out of bgd.toml there and reload bgd; a node that is gone for good: bgctl forget NODE",
    )


def _in_pieces(client: "Client", ops: Sequence["Op"]) -> None:
    for start in range(0, len(ops), _PIECE):
        client.transact(ops[start : start + _PIECE])


def author_here() -> str:
    """Who asks, as it stands in the order: user@host, through sudo too."""
    import getpass

    try:
        user = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
