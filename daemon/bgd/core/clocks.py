"""What only this node's own clock can say: how long a release has been steady, how long live is up again.

Rules that live here: another release starts the clock anew, however it came; weak does not break it while
half of the backends are healthy; a restart does, since nothing of this is kept on disk; a node in fallback
is steady with nothing.
"""

from dataclasses import replace

from bgd.core.knowledge import Falls, Knowledge, Sight, Steady
from bgd.core.model import Colour, Verdict
from bgd.core.snapshot import judge


def keep_time(k: Knowledge, now_s: float) -> Knowledge:
    """Knowledge with its clocks begun, stopped or left running. The same object when nothing changed."""
    k = _keep_steady(k, now_s)
    return _keep_hold_down(k, now_s) if k.serving is not None and k.serving.fallback else k


def _keep_steady(k: Knowledge, now_s: float) -> Knowledge:
    found = _served_without_a_break(k, now_s)
    if found is None:
        return k if k.steady is None else replace(k, steady=None)
    if k.steady is not None and (k.steady.colour, k.steady.release) == found:
        return k
    return replace(k, steady=Steady(*found, now_s))


def _served_without_a_break(k: Knowledge, now_s: float) -> tuple[Colour, str] | None:
    """Colour and release that are served now, if they are so well enough."""
    if k.serving is None or k.serving.fallback or k.sight is not Sight.SEEN:
        return None
    colour = k.serving.colour
    backends, healths, traffic = k.backends[colour], k.healths[colour], k.traffic.get(colour)
    if k.decided is not colour or not backends or (traffic and traffic.fault(k.policy, now_s)):
        return None
    release = backends[0].release
    if any(backend.release != release for backend in backends):
        return None
    healthy = sum(healths[backend.name].healthy is True for backend in backends)
    return (colour, release) if 2 * healthy >= len(backends) else None


def _keep_hold_down(k: Knowledge, now_s: float) -> Knowledge:
    assert k.serving is not None, "asked in fallback only"
    up = judge(k, k.serving.colour.other, now_s).verdict is Verdict.UP
    if up is (k.falls.up_since_s is not None):
        return k
    return replace(k, falls=replace(k.falls, up_since_s=now_s if up else None))


def fallen(k: Knowledge, generation: int, now_s: float) -> Falls:
    """The hold-down after one more fallback: doubled, unless live has served a probation since the last."""
    falls = k.falls
    if falls.generation != generation or now_s - falls.returned_s >= k.policy.probation_s:
        falls = Falls(generation=generation, early_s=falls.early_s)
    return replace(falls, count=falls.count + 1, up_since_s=None)


def returned(k: Knowledge, now_s: float) -> Falls:
    """The hold-down after a way back to live, early or not."""
    falls = k.falls
    early = falls.up_since_s is None or now_s - falls.up_since_s < falls.hold_down_s
    return replace(falls, up_since_s=None, returned_s=now_s, early_s=now_s if early else falls.early_s)
