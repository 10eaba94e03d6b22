"""The tables at the end of a run."""

from collections.abc import Mapping, Sequence

from bench.rest import Rest
from bench.turns import Score

HEAD = (
    "",
    "proxy",
    "apps",
    "flips",
    "median ms",
    "worst ms",
    "of least",
    "of fewest",
    "requests",
    "lost",
    "failed",
)


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows as lines, each column as wide as it must be; words left, numbers right."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def flips(scores: Sequence[Score], least: str) -> str:
    """Key written → last answer of the old colour, also as multiples of the least follower's median, and of
    one's own with the fewest apps."""
    fewest = {
        (score.proxy, score.name): score.median_ms for score in sorted(scores, key=lambda each: -each.apps)
    }
    limit = {(score.proxy, score.apps): score.median_ms for score in scores if score.name == least}
    rows = [
        HEAD,
        *(row(score, limit[score.proxy, score.apps], fewest[score.proxy, score.name]) for score in scores),
    ]
    return "key written → last answer of the old colour\n" + columns(rows)


def row(score: Score, limit_ms: float, fewest_ms: float) -> tuple[str, ...]:
    return (
        score.name,
        score.proxy,
        str(score.apps),
        str(len(score.late_ms)),
        f"{score.median_ms:.2f}",
        f"{score.worst_ms:.2f}",
        f"{score.median_ms / limit_ms:.2f}",
        f"{score.median_ms / fewest_ms:.2f}",
        str(score.requests),
        str(score.lost),
        str(score.failed),
    )


def rests(found: Mapping[tuple[str, int], Sequence[Rest]]) -> str:
    """What bgd costs at rest, by its proxy, the number of its apps and how often it probes."""
    head = ("", "proxy", "apps", "start s", "again s", "probed each", "probes/s", "memory MiB", "% of a core")
    beside = ("proxy's %", "Consul's %", "Consul's writes")
    rows = [
        (
            "bgd",
            proxy,
            str(apps),
            f"{rest.start_s:.1f}",
            f"{rest.again_s:.1f}",
            rest.interval,
            f"{rest.probes:.0f}",
            f"{rest.rss_mib:.1f}",
            f"{rest.cpu_percent:.2f}",
            f"{rest.proxy_percent:.2f}",
            f"{rest.consul_percent:.2f}",
            str(rest.writes),
        )
        for (proxy, apps), each in found.items()
        for rest in each
    ]
    return "bgd at rest, its probes included\n" + columns([(*head, *beside), *rows])
