"""One node's core, driven by hand: events go in, the decision comes out. Nothing here is simulated."""

from dataclasses import replace
from typing import Any

from bgd.core import advance as adv
from bgd.core.actions import Action, FallBack, Flip, Hold, Repair, Take
from bgd.core.advance import Failed, Proved, advance
from bgd.core.clocks import keep_time
from bgd.core.decide import decide
from bgd.core.events import (
    CatalogSeen,
    Event,
    LiveSeen,
    MembersSeen,
    Probed,
    ProxyLost,
    ProxySeen,
    StoreDenied,
    StoreHeard,
    StoreLost,
    TrafficSeen,
)
from bgd.core.knowledge import Knowledge
from bgd.core.learn import form, learn
from bgd.core.model import (
    Backend,
    Colour,
    Desired,
    Good,
    KeyBad,
    KeyGone,
    Ledger,
    LiveKey,
    Member,
    Order,
    OrderKind,
    Policy,
    Serving,
)
from bgd.core.reasons import Because
from bgd.core.snapshot import Snapshot, freeze

BLUE, GREEN = Colour.BLUE, Colour.GREEN
AT = "2026-01-31T12:00:00.000Z"


def order(colour: Colour, **fields: Any) -> Order:
    """An order as bgctl would give it."""
    return Order(**{"kind": OrderKind.FLIP, "colour": colour, "by": "alice", **fields})


def backends(colour: Colour, count: int, release: str = "1.0", objection: str = "") -> tuple[Backend, ...]:
    """`count` backends of one colour, each at an address of its own."""
    first = 1 if colour is BLUE else 101
    return tuple(
        Backend(f"10.0.0.{first + i}", 8080, f"{colour}-{i}", release, objection=objection)
        for i in range(count)
    )


class Node:
    """A node with one app, `shop`. Time stands still unless `wait` is called."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.now_s = 1000.0
        self.k = Knowledge(app="shop", node="lb-1", policy=policy or Policy(), started_s=self.now_s)

    def see(self, event: Event) -> "Node":
        self.k = learn(self.k, event, now_s=self.now_s, at=AT)
        return self

    def live(self, key: LiveKey) -> "Node":
        return self.see(LiveSeen({"shop": key}))

    def wish(self, colour: Colour, generation: int, given: Order | None = None) -> "Node":
        return self.live(Desired(colour, generation, given))

    def gone(self, index: int) -> "Node":
        return self.live(KeyGone(index))

    def bad(self, generation: int) -> "Node":
        return self.live(KeyBad("'purple'", generation))

    def ledger(
        self,
        *,
        good: dict[Colour, str] | None = None,
        rejected: tuple[str, ...] = (),
        pause: str | None = None,
    ) -> "Node":
        """What the fleet has written down, read with the live key as it was."""
        confirmed = {colour: Good(release, 1, AT) for colour, release in (good or {}).items()}
        return self.see(LiveSeen({}, {"shop": Ledger(confirmed, frozenset(rejected), pause)}))

    def heard(self) -> "Node":
        """Consul answers both watches: nothing has changed."""
        return self.see(StoreHeard()).see(StoreHeard("shop"))

    def traffic(self, colour: Colour, requests: int | None, **seen: Any) -> "Node":
        return self.see(TrafficSeen("shop", colour, self.now_s, requests, **seen))

    def lost(self) -> "Node":
        return self.see(StoreLost("connection refused"))

    def denied(self) -> "Node":
        return self.see(StoreDenied("403"))

    def catalog(self, blue: tuple[Backend, ...], green: tuple[Backend, ...]) -> "Node":
        return self.see(CatalogSeen("shop", {BLUE: blue, GREEN: green}))

    def probe(self, colour: Colour, ok: bool, only: int | None = None, times: int = 3) -> "Node":
        """All backends of a colour (or the one numbered `only`) answer well or badly, several times."""
        for i, backend in enumerate(self.k.backends[colour]):
            for _ in range(times if only in (None, i) else 0):
                self.see(Probed("shop", colour, backend.name, ok, 0.001, "" if ok else "503"))
        return self

    def proxy(self, decided: Colour | None, old_workers: int = 0) -> "Node":
        return self.see(
            ProxySeen(self.now_s, {} if decided is None else {"shop": decided}, old_workers, "haproxy 2.6")
        )

    def proxy_lost(self) -> "Node":
        return self.see(ProxyLost(self.now_s, "connection refused"))

    def members(self, *members: Member) -> "Node":
        """What is read of the members: these, and this node itself."""
        me = (
            ()
            if any(member.node == self.k.node for member in members)
            else (Member(node=self.k.node, alive=True),)
        )
        return self.see(MembersSeen("shop", (*me, *members)))

    def wait(self, seconds: float) -> "Node":
        self.now_s += seconds
        self.k = keep_time(form(self.k, self.now_s), self.now_s)
        return self

    def ready(self) -> "Node":
        """Both colours registered and healthy, the proxy asked."""
        self.catalog(backends(BLUE, 3), backends(GREEN, 3, "2.0"))
        self.probe(BLUE, True).probe(GREEN, True)
        return self.proxy(self.k.serving.colour if self.k.serving else None)

    def serves(self, colour: Colour, generation: int) -> "Node":
        """As after a flip: the disk and the proxy say `colour`, and so does the key."""
        self.k = replace(self.k, serving=Serving(colour, generation, "1.0"))
        return self.ready().wish(colour, generation).members()

    @property
    def snapshot(self) -> Snapshot:
        return freeze(self.k, self.now_s)

    @property
    def action(self) -> Action:
        return decide(self.snapshot)

    @property
    def because(self) -> Because | None:
        """The reason of a hold; None when something is to be done."""
        action = self.action
        return action.because if isinstance(action, Hold) else None

    def act(self, failed: Because | None = None) -> "Node":
        """Carry the decision out, well or not."""
        action = self.action
        assert isinstance(action, (Flip, Take, Repair, FallBack)), action
        outcome: Serving | Failed
        if failed is not None:
            outcome = Failed(failed, "as told")
        elif isinstance(action, Take):
            outcome = adv.taken(self.k, action.desired)
        elif isinstance(action, Flip):
            outcome = adv.serving(self.k, action.desired, Proved("runtime", 1.0), at=AT)
        elif isinstance(action, FallBack):
            outcome = adv.fallen(self.k, action, Proved("runtime", 1.0), at=AT)
        else:
            outcome = action.serving
        self.k = advance(self.k, action, outcome, now_s=self.now_s)
        return self


def member(
    node: str, colour: Colour, generation: int, *, alive: bool = True, proved: bool = True, **told: Any
) -> Member:
    """Another node that accepted a wish, and serves it."""
    return Member(
        node=node,
        alive=alive,
        desired=Desired(colour, generation),
        serving=Serving(colour, generation),
        proved=proved,
        **told,
    )
