"""The newest of everything that the loop tells: reports as they are, and the metrics drawn from them.

What a report says is never counted a second time: those metrics are made from the newest reports when
somebody asks, so that an app that was dropped or a state that was left is gone at once.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client import disable_created_metrics as disable_created
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from bgd.core.model import Colour
from bgd.status import gauges

FLIP_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 600)
PROBE_BUCKETS_S = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5)
LOOP_BUCKETS_S = (0.0001, 0.0005, 0.001, 0.005, 0.025, 0.1, 0.5, 2.5)


class Board(Collector):
    """Is told what happened, from any thread, and holds it for whoever asks."""

    def __init__(self, node: str) -> None:
        disable_created()  # type: ignore[no-untyped-call]  # twice the series, and nobody's question
        self.node = node
        self.registry = CollectorRegistry()
        self._lock = threading.Lock()
        self._reports: dict[str, Mapping[str, Any]] = {}
        self._counts: dict[tuple[str, Colour], Mapping[str, int]] = {}
        self._store_up: bool | None = None
        self._old_workers: int | None = None
        self._flipped: set[tuple[str, str, str]] = set()
        self._flips = self._counter("bgd_flips", "Flips that ended, by result.", "app", "result", "via")
        self._reverted: set[tuple[str, str]] = set()
        self._reverts = self._counter(
            "bgd_reverts", "Reverts that this node wrote, by evidence.", "app", "because"
        )
        self._cuts = self._counter("bgd_sessions_cut", "Sessions cut when their drain was over.", "app")
        self._flip_seconds = self._histogram(
            "bgd_flip_seconds", "From a wish seen to its proof.", FLIP_BUCKETS_S, "app"
        )
        self._probe_seconds = self._histogram(
            "bgd_probe_seconds", "How long probes took.", PROBE_BUCKETS_S, "app", "colour"
        )
        self._probe_timers: dict[tuple[str, Colour], Histogram] = {}
        """Looked up once: there may be hundreds of probes a second."""
        self._loop_seconds = self._histogram(
            "bgd_loop_seconds", "How long the turns of the loop took.", LOOP_BUCKETS_S
        )
        self._reloads = self._counter("bgd_reloads", "Reloads of the proxy, by result.", "result")
        self._store_errors = self._counter("bgd_consul_errors", "Questions that Consul did not answer.")
        self.registry.register(self)

    # -- for whoever asks -----------------------------------------------------------------------

    def reports(self) -> list[Mapping[str, Any]]:
        """The newest report of every app, by name."""
        with self._lock:
            return [report for _, report in sorted(self._reports.items())]

    def collect(self) -> Iterator[Metric]:
        """The metrics that are made from what is known now."""
        with self._lock:
            reports, counts = dict(self._reports), dict(self._counts)
            store_up, old_workers = self._store_up, self._old_workers
        yield from gauges.of_reports(reports)
        yield gauges.of_counts(counts)
        yield gauges.alone("bgd_consul_up", "Whether Consul answers.", store_up)
        yield gauges.alone("bgd_old_workers", "Workers of the proxy that only finish.", old_workers)

    # -- for the loop ---------------------------------------------------------------------------

    def reported(self, app: str, report: Mapping[str, Any]) -> None:
        """This is the app's newest report."""
        with self._lock:
            self._reports[app] = report

    def forgotten(self, app: str) -> None:
        """The app is not in the configuration any more: none of its labels stays."""
        with self._lock:
            self._reports.pop(app, None)
            for colour in Colour:
                self._counts.pop((app, colour), None)
            flips = {labels for labels in self._flipped if labels[0] == app}
            reverts = {labels for labels in self._reverted if labels[0] == app}
            self._flipped -= flips
            self._reverted -= reverts
        for labels in flips:
            _remove(self._flips, *labels)
        for wrote in reverts:
            _remove(self._reverts, *wrote)
        _remove(self._flip_seconds, app)
        _remove(self._cuts, app)
        for colour in Colour:
            self._probe_timers.pop((app, colour), None)
            _remove(self._probe_seconds, app, colour.value)

    def flipped(self, app: str, result: str, via: str, took_s: float) -> None:
        """A flip ended. Only one that was proved has a time worth showing."""
        with self._lock:
            self._flipped.add((app, result, via))
        self._flips.labels(app, result, via).inc()
        if result == "proved":
            self._flip_seconds.labels(app).observe(took_s)

    def reverted(self, app: str, because: str) -> None:
        """This node wrote a revert."""
        with self._lock:
            self._reverted.add((app, because))
        self._reverts.labels(app, because).inc()

    def cut(self, app: str, count: int) -> None:
        """So many sessions on the colour that was left were cut."""
        self._cuts.labels(app).inc(count)

    def probed(self, app: str, colour: Colour, took_s: float) -> None:
        """One probe ended."""
        timed = self._probe_timers.get((app, colour))
        if timed is None:
            timed = self._probe_timers[app, colour] = self._probe_seconds.labels(app, colour.value)
        timed.observe(took_s)

    def counted(self, app: str, colour: Colour, states: Mapping[str, int]) -> None:
        """How many backends of a colour are in which state."""
        with self._lock:
            self._counts[app, colour] = states

    def store_up(self, up: bool) -> None:
        """Consul answers, or does not."""
        self._store_up = up

    def store_failed(self) -> None:
        """Consul did not answer, or with an error."""
        self._store_errors.inc()

    def reloaded(self, result: str) -> None:
        """The proxy was reloaded, or refused to be."""
        self._reloads.labels(result).inc()

    def old_workers(self, count: int | None) -> None:
        """So many workers of the proxy are still finishing what they have; None: nobody knows."""
        self._old_workers = count

    def looped(self, took_s: float) -> None:
        """One turn of the loop took so long."""
        self._loop_seconds.observe(took_s)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets_s: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, text, labels, registry=self.registry, buckets=buckets_s)


def _remove(metric: Counter | Histogram, *labels: str) -> None:
    with suppress(KeyError):  # nothing was ever counted under them
        metric.remove(*labels)
