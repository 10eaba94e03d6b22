"""Row 6: a preparation that this node has not answered yet, and the gates that need no hands.

Beside `decide`, because it changes nothing and delays nothing. The gates stand in the order in which they
are cured: who is told of a rejected release need not hear of its probes, unless it is a forecast, which
asks them all. A yes is looked at anew for as long as the preparation stands: a gate that closes takes it
back, and it is a yes again when the gate reopens. A no of the hands (the proxy's check, a warm-up) stays,
and so does that of a gate that was closed when the answer was begun: the next preparation asks again.
"""

from bgd.core.actions import Prepare
from bgd.core.health import ColourView
from bgd.core.knowledge import Link, Sight
from bgd.core.model import Gate, Preparation, Prepared
from bgd.core.reasons import Because
from bgd.core.snapshot import Snapshot


def asked(s: Snapshot) -> Preparation | None:
    """The preparation that stands, as far as this node is told."""
    return s.ledger.preparation if s.ledger and s.link is Link.UP else None


def due(s: Snapshot) -> Prepare | None:
    """The answer to begin with, when one is owed. No verdict is given before the first probes."""
    preparation = asked(s)
    if preparation is None or not s.formed or (s.prepared and s.prepared.id == preparation.id):
        return None
    return Prepare(preparation, gates(s, preparation))


def answer(s: Snapshot) -> Prepared | None:
    """What this node says now: what it has said, unless a gate has closed since."""
    preparation, prepared = asked(s), s.prepared
    if preparation is None or prepared is None or not prepared.ok:
        return prepared
    fresh = gates(s, preparation)
    if all(gate.ok for gate in fresh):
        return prepared
    return Prepared(prepared.id, fresh, prepared.diff)


def gates(s: Snapshot, preparation: Preparation) -> tuple[Gate, ...]:
    """Every gate up to the first that refuses; of a forecast all of them."""
    found: list[Gate] = []
    for gate in (_rejected, _release, _backends, _proxy):
        found.append(gate(s, preparation))
        if not (found[-1].ok or preparation.dry):
            break
    return tuple(found)


def _rejected(s: Snapshot, preparation: Preparation) -> Gate:
    target = s.colours[preparation.colour]
    releases = frozenset((preparation.release,)) if preparation.release else target.releases
    rejected = releases & (s.ledger.rejected if s.ledger else frozenset())
    if releases and releases == rejected:
        return _no("rejected", Because.RELEASE_REJECTED, f"{_listed(rejected)} was reverted")
    return Gate("rejected", True, "no release of it was reverted")


def _release(s: Snapshot, preparation: Preparation) -> Gate:
    target = s.colours[preparation.colour]
    if target.mixed:
        return _no("release", Because.MIXED_RELEASES, f"it runs {_listed(target.releases)}")
    wanted = preparation.release
    if wanted and target.registered and wanted not in target.releases:
        detail = f"asked for is {wanted}, {preparation.colour} runs {_listed(target.releases)}"
        return _no("release", Because.WISH_EXPIRED, detail)
    return Gate("release", True, target.release or "")


def _backends(s: Snapshot, preparation: Preparation) -> Gate:
    """Capacity against what is left: an operator sees that three are to do what ten did."""
    target, left = s.colours[preparation.colour], s.colours[preparation.colour.other]
    refusal = target.gate()
    capacity = f"{_capacity(target)} healthy; {preparation.colour.other} has {_capacity(left)}"
    if refusal is not None:
        because, detail = refusal
        return _no("backends", because, detail)
    return Gate("backends", True, capacity)


def _proxy(s: Snapshot, preparation: Preparation) -> Gate:
    if s.sight is not Sight.SEEN:
        return _no("proxy", Because.PROXY_LOST, s.sight_detail or "it has not answered yet")
    if s.astray:
        trouble = s.repair_trouble
        detail = trouble.detail if trouble else "it does not decide what this node serves"
        return _no("proxy", trouble.because if trouble else Because.PROXY_LOST, detail)
    if s.decided is None and s.old_workers_over is not None:
        detail = f"{s.old_workers_over} old workers still finish their requests"
        return _no("proxy", Because.TOO_MANY_OLD_WORKERS, detail)
    return Gate("proxy", True, f"decides {s.decided}" if s.decided else "does not know the app yet")


def _no(gate: str, because: Because, detail: str) -> Gate:
    return Gate(gate, False, detail, because.value)


def _capacity(view: ColourView) -> str:
    return f"{view.healthy}/{view.registered}"


def _listed(releases: frozenset[str]) -> str:
    return " and ".join(sorted(releases))
