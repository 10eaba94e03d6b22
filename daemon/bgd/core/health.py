"""Probe results → health of a backend → verdict on a colour → which backends take traffic.

Traffic that the proxy itself sees can only make a colour down, never well; without enough of it, or when
it has not been heard of for a while, it says nothing.

Instrument failure is *unknown*, never *bad*: a backend without `rise` or `fall` results in a row has
no health yet, and a colour is down only when every one of its backends is known to be unhealthy.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bgd.core.model import Backend, Policy, Server, Verdict
from bgd.core.reasons import Because


@dataclass(frozen=True, slots=True)
class Health:
    """What the probes of one backend amount to. `healthy` is None until it is known."""

    healthy: bool | None = None
    last_ok: bool | None = None
    streak: int = 0
    vetted: bool = False
    """It was healthy once since it came: only then may it be in the proxy."""
    detail: str = ""


NO_RESULTS = Health()
TRAFFIC_STALE_S = 10.0
"""A reader of traffic that has not been heard of for so long knows nothing any more."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the proxy saw of its answers over a window, and when that was heard of."""

    requests: int
    errors: int
    mean_s: float
    seen_s: float

    def fault(self, policy: Policy, now_s: float) -> str:
        """Why this is a verdict against its colour; empty when it is none."""
        if now_s - self.seen_s > TRAFFIC_STALE_S or self.requests < max(1, policy.min_requests):
            return ""
        if 0 < policy.error_rate < self.errors / self.requests:
            return f"{self.errors} of {self.requests} answers failed"
        if 0 < policy.latency_s < self.mean_s:
            return f"answers take {self.mean_s:.3g} s in the mean"
        return ""


def probed(health: Health, ok: bool, detail: str, policy: Policy) -> Health:
    """Fold one probe in. Returns the same object when nothing that matters has changed."""
    enough = policy.rise if ok else policy.fall
    if health.last_ok is ok and health.streak >= enough and health.detail == detail:
        return health
    streak = min(health.streak + 1, enough) if health.last_ok is ok else 1
    judged = replace(health, last_ok=ok, streak=streak, detail=detail)
    if streak < enough:
        return judged
    return replace(judged, healthy=ok, vetted=judged.vetted or ok)


@dataclass(frozen=True, slots=True, kw_only=True)
class ColourView:
    """One colour as this node sees it. `ready` backends are healthy and no Consul check objects."""

    verdict: Verdict
    registered: int
    healthy: int
    ready: int
    needed: int
    releases: frozenset[str]
    kept_since_at: str | None = None
    detail: str = ""
    by_traffic: bool = False
    """Down by what the proxy saw of its answers, whatever the probes say."""
    dead: bool = False
    """Known by own probes to have no healthy backend."""
    passing: bool = False
    """A healthy backend has passed its last probe too: what has just killed live has not met it."""
    stirring: bool = False
    """A backend has passed its last probe, healthy or not yet."""

    @property
    def alive(self) -> bool:
        return self.healthy > 0

    @property
    def down(self) -> bool:
        return self.verdict is Verdict.DOWN

    @property
    def mixed(self) -> bool:
        return len(self.releases) > 1

    @property
    def release(self) -> str | None:
        """The one release that all its backends run, if it is one."""
        return next(iter(self.releases)) if len(self.releases) == 1 else None

    def gate(self) -> tuple[Because, str] | None:
        """Why this colour is no flip's target now, or None when it is one."""
        if self.mixed:
            return Because.MIXED_RELEASES, "it runs " + " and ".join(sorted(self.releases))
        if self.registered < self.needed or not self.registered:
            return Because.TOO_FEW_BACKENDS, f"{self.registered} registered, {self.needed} needed"
        if self.verdict is not Verdict.UP:
            known = self.detail or "its probes have no result yet"
            return (
                Because.TARGET_NOT_READY,
                f"{self.ready}/{self.registered} ready, {self.needed} needed: {known}",
            )
        return None


def view(
    backends: tuple[Backend, ...],
    healths: Mapping[str, Health],
    *,
    needed: int,
    formed: bool,
    kept_since_at: str | None,
    fault: str = "",
) -> ColourView:
    """Judge one colour. `formed`: its backends have had the time to show themselves; `fault`: traffic's."""
    known = [healths.get(backend.name, NO_RESULTS) for backend in backends]
    healthy = sum(health.healthy is True for health in known)
    ready = sum(
        health.healthy is True and not backend.objection
        for backend, health in zip(backends, known, strict=True)
    )
    by_probes = _verdict(known, ready=ready, needed=needed, formed=formed, kept=kept_since_at is not None)
    return ColourView(
        verdict=Verdict.DOWN if fault else by_probes,
        registered=0 if kept_since_at else len(backends),
        healthy=healthy,
        ready=ready,
        needed=needed,
        releases=frozenset(backend.release for backend in backends),
        kept_since_at=kept_since_at,
        detail=fault or _detail(backends, known, kept_since_at),
        by_traffic=bool(fault),
        dead=by_probes is Verdict.DOWN,
        passing=any(health.healthy is True and health.last_ok is True for health in known),
        stirring=any(health.last_ok is True for health in known),
    )


def _verdict(known: list[Health], *, ready: int, needed: int, formed: bool, kept: bool) -> Verdict:
    if not known:
        return Verdict.DOWN
    if not formed:
        return Verdict.UNKNOWN
    if not any(health.healthy for health in known):
        return Verdict.DOWN if all(health.healthy is False for health in known) else Verdict.UNKNOWN
    return Verdict.UP if ready >= needed and not kept else Verdict.WEAK


def _detail(backends: tuple[Backend, ...], known: list[Health], kept_since_at: str | None) -> str:
    """The first thing that is wrong, in words; empty when nothing is."""
    if kept_since_at:
        return f"gone from Consul's catalog since {kept_since_at}, kept while its probes pass"
    for backend, health in zip(backends, known, strict=True):
        if health.healthy is False:
            return health.detail or f"{backend.name} fails its probes"
        if backend.objection:
            return f"{backend.name}: Consul check {backend.objection}"
    return ""


def formed(backends: tuple[Backend, ...], healths: Mapping[str, Health]) -> bool:
    """Whether every backend has had `rise` or `fall` results in a row."""
    return all(healths.get(backend.name, NO_RESULTS).healthy is not None for backend in backends)


def rotation(backends: tuple[Backend, ...], healths: Mapping[str, Health]) -> frozenset[Server]:
    """The backends that take traffic when their colour is live.

    A new backend waits for its first good verdict. Consul's checks take backends out, unless fewer
    than half of the healthy ones would be left: then the checks, not the backends, are in doubt.
    """
    vetted = [backend for backend in backends if healths.get(backend.name, NO_RESULTS).vetted]
    healthy = [backend for backend in vetted if healths[backend.name].healthy is not False]
    unopposed = [backend for backend in healthy if not backend.objection]
    if 2 * len(unopposed) >= len(healthy):
        vetted = [backend for backend in vetted if not backend.objection] or vetted
    return _servers(vetted)


def _servers(backends: list[Backend]) -> frozenset[Server]:
    """Weights as absolute numbers up to 100 for the heaviest; backends at one address become one server."""
    heaviest = max((backend.weight for backend in backends), default=1) or 1
    weights: dict[tuple[str, int], int] = {}
    for backend in backends:
        place = (backend.address, backend.port)
        weights[place] = max(weights.get(place, 1), round(backend.weight * 100 / heaviest))
    return frozenset(Server(address, port, weight) for (address, port), weight in weights.items())
