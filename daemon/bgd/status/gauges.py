"""Reports and counts → metrics. A state is a label with the value 1; what is not so has no label.

The two colours are the exception: they never change, so that each is shown as 1 or 0.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from bgd.core.model import Colour


def of_reports(reports: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    """What every app wishes, serves, sees and waits for."""
    yield _colours("bgd_live", "The colour that the live key names.", reports, "desired")
    yield _colours("bgd_serving", "The colour that this node serves.", reports, "serving")
    generation = GaugeMetricFamily("bgd_generation", "The generation that this node serves.", labels=["app"])
    because = GaugeMetricFamily("bgd_because", "Why the node does what it does.", labels=["app", "because"])
    verdict = GaugeMetricFamily(
        "bgd_verdict", "What a colour looks like from here.", labels=["app", "colour", "verdict"]
    )
    way_back = GaugeMetricFamily("bgd_way_back", "Whether a revert would have a target now.", labels=["app"])
    for app, report in sorted(reports.items()):
        if report["serving"]:
            generation.add_metric([app], report["serving"]["generation"])
        because.add_metric([app, report["because"]], 1)
        if report["way_back"]:
            way_back.add_metric([app], report["way_back"]["open"])
        for colour, view in report["colours"].items():
            verdict.add_metric([app, colour, view["verdict"]], 1)
    yield from (generation, because, verdict, way_back)


def of_counts(counts: Mapping[tuple[str, Colour], Mapping[str, int]]) -> Metric:
    """How many backends are in which state."""
    family = GaugeMetricFamily(
        "bgd_backends", "Backends of a colour, by state.", labels=["app", "colour", "state"]
    )
    for (app, colour), states in sorted(counts.items()):
        for state, number in states.items():
            family.add_metric([app, colour.value, state], number)
    return family


def alone(name: str, text: str, value: float | None) -> Metric:
    """A metric without labels; there is no sample of what nobody knows."""
    return GaugeMetricFamily(name, text, value)


def _colours(name: str, text: str, reports: Mapping[str, Mapping[str, Any]], part: str) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["app", "colour"])
    for app, report in sorted(reports.items()):
        if report[part]:
            for colour in Colour:
                family.add_metric([app, colour.value], report[part]["colour"] == colour)
    return family
