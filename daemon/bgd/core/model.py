"""The nouns: colours, wishes, backends, servers, and what one decision may see.

Everything here is frozen; a change is a new value. Ages and durations are seconds of a monotonic
clock (`_s`), wall-clock times are for showing only (`_at`, ISO 8601 in UTC).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Colour(StrEnum):
    """One of the two complete deployments."""

    BLUE = "blue"
    GREEN = "green"

    @property
    def other(self) -> "Colour":
        return Colour.GREEN if self is Colour.BLUE else Colour.BLUE


class Verdict(StrEnum):
    """What a colour looks like from this node (protocol: Words)."""

    UP = "up"
    WEAK = "weak"
    DOWN = "down"
    UNKNOWN = "unknown"


class OrderKind(StrEnum):
    """Where a wish came from."""

    FLIP = "flip"
    REVERT = "revert"
    DECLINED = "declined"
    INIT = "init"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Who wants a generation, why and how. Belongs to the `live` of the same ModifyIndex only."""

    kind: OrderKind
    colour: Colour
    release: str | None = None
    by: str
    reason: str = ""
    force: bool = False
    prepared: tuple[str, ...] = ()
    after: int = 0
    at: str = ""


@dataclass(frozen=True, slots=True)
class Desired:
    """A wish: what the live key asks for, stamped with its ModifyIndex."""

    colour: Colour
    generation: int
    order: Order | None = None


@dataclass(frozen=True, slots=True)
class KeyGone:
    """The live key does not exist. `index` is the store's index (X-Consul-Index) at that moment."""

    index: int


@dataclass(frozen=True, slots=True)
class KeyBad:
    """The live key holds something that names no colour. `text` is what it holds, cut and escaped."""

    text: str
    generation: int


LiveKey = Desired | KeyGone | KeyBad
"""What reading `apps/<app>/live` (with its order) can say."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What this node serves for an app, as proved and written to disk."""

    colour: Colour
    generation: int
    release: str | None = None
    since_at: str = ""
    via: str = ""
    took_ms: float | None = None
    fallback: bool = False
    """Served by this node's own choice, instead of the colour that its generation names."""


@dataclass(frozen=True, slots=True)
class Good:
    """A release that served through its probation on a majority of members."""

    release: str
    generation: int
    confirmed_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """The first phase of a flip: every member is asked whether it could take it. Nothing changes by it."""

    id: str
    colour: Colour
    release: str | None = None
    by: str = ""
    at: str = ""
    dry: bool = False
    """Only a forecast is asked for: nothing is warmed up, and nothing follows."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One question of a preparation with this node's answer; `because` is the reason code of a no."""

    gate: str
    ok: bool
    detail: str = ""
    because: str = ""


@dataclass(frozen=True, slots=True)
class Prepared:
    """This node's answer to a preparation: every gate that was asked.

    That is all of them for a forecast, else all up to the first that refuses.
    """

    id: str
    gates: tuple[Gate, ...]
    diff: str = ""
    """What of bgd's part would change, of a forecast only."""

    @property
    def ok(self) -> bool:
        return all(gate.ok for gate in self.gates)


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the fleet has written down about an app, beside its wish."""

    good: Mapping[Colour, Good] = field(default_factory=dict)
    rejected: frozenset[str] = frozenset()
    """Releases that were reverted, and neither forced nor unrejected since."""
    pause: str | None = None
    """Why the operator has paused all that is automatic; None: it is not paused."""
    preparation: Preparation | None = None
    """What members are asked to prepare, while the one who asks holds it."""

    def confirmed(self, colour: Colour, release: str | None) -> bool:
        """Whether this is the release that was confirmed on the colour."""
        good = self.good.get(colour)
        return good is not None and good.release == release

    def failed(self, colour: Colour, runs: frozenset[str]) -> frozenset[str]:
        """Which of the releases that a failed colour runs have failed: of several, all but what was good."""
        good = self.good.get(colour)
        return runs - {good.release} if good is not None and len(runs) > 1 else runs


@dataclass(frozen=True, slots=True, order=True)
class Server:
    """A place that a proxy can send requests to. Two backends at one address are one server.

    `weight` is absolute, 1 to 256, within its colour.
    """

    address: str
    port: int
    weight: int = 100

    @property
    def name(self) -> str:
        """The server's name in the proxy, the same for as long as its address is."""
        return f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Backend:
    """One instance in Consul's catalog, already checked: address and port can be rendered as they are."""

    address: str
    port: int
    id: str
    release: str
    weight: int = 1
    objection: str = ""
    """The Consul check that is critical (maintenance mode is one), or empty."""

    @property
    def name(self) -> str:
        return f"{self.address}:{self.port}"


Backends = Mapping[Colour, tuple[Backend, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the proxy is to hold of an app: each colour's servers; a colour that is missing keeps its own."""

    servers: Mapping[Colour, frozenset[Server]]
    healthy: frozenset[str] = frozenset()
    """Names of servers that are healthy by this node's own probes."""
    sick: frozenset[str] = frozenset()
    """Names of servers that are not; those of neither are not known yet."""


@dataclass(frozen=True, slots=True)
class MinHealthy:
    """`flip.min_healthy`: a number of backends, a share of the colour's own, or a share of live's."""

    amount: int
    unit: str = "percent"  # "percent", "count" or "percent-of-live"

    def needed(self, registered: int, live_registered: int) -> int:
        """How many backends must be ready; never fewer than one."""
        if self.unit == "count":
            return max(1, self.amount)
        whole = live_registered if self.unit == "percent-of-live" else registered
        return max(1, -(-whole * self.amount // 100))


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The settings of one app that decisions depend on."""

    min_healthy: MinHealthy = MinHealthy(100)
    patience_s: float = 600.0
    interval_s: float = 1.0
    timeout_s: float = 0.8
    rise: int = 2
    fall: int = 3
    probe_path: str = "/"
    probation_s: float = 300.0
    drain_s: float = 0.0
    """How long after a flip the rest is cut that is still open on the colour that was left; 0: never."""
    warmup_requests: int = 0
    """To each backend of the target, before a flip that the gates have let through."""
    auto: bool = True
    """Whether revert, fallback and decline may happen by themselves."""
    error_rate: float = 0.0
    """Share of failed answers above which live is down; 0: not judged."""
    latency_s: float = 0.0
    """Mean answer time above which live is down; 0: not judged."""
    window_s: float = 30.0
    min_requests: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Another node's word about one app, as read from Consul."""

    node: str
    alive: bool
    desired: Desired | None = None
    after: int = 0
    """The generation that its wish was given in knowledge of."""
    serving: Serving | None = None
    proved: bool = False
    because: str = ""
    refused: bool = False
    """It has refused its wish, whatever it waits for now: a restart or a lost Consul make no wish younger."""
    vote: int = 0
    """The generation whose live colour it sees down, with the idle one alive; 0: it does not vote."""
    steady: str = ""
    """The release that it has served for a whole probation without a break, or empty."""
    stamp: int = 0
    """Its report's ModifyIndex: while that does not move, its vote grows old."""
