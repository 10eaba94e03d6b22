"""The tables at the end of a run."""

from collections.abc import Mapping, Sequence

from bench.rest import Rest
from bench.turns import Score

HEAD = ("", "proxy", "apps", "flips", "median ms", "worst ms", "of least", "requests", "lost", "failed")


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
    """Key written → last answer of the old colour, also as multiples of the least follower's median."""
    limit = {(score.proxy, score.apps): score.median_ms for score in scores if score.name == least}
    rows = [HEAD, *(row(score, limit[score.proxy, score.apps]) for score in scores)]
    return "key written → last answer of the old colour\n" + columns(rows)


def row(score: Score, limit_ms: float) -> tuple[str, ...]:
    return (
        score.name,
        score.proxy,
        str(score.apps),
        str(len(score.late_ms)),
        f"{score.median_ms:.2f}",
        f"{score.worst_ms:.2f}",
        f"{score.median_ms / limit_ms:.2f}",
        str(score.requests),
        str(score.lost),
        str(score.failed),
    )


def rests(found: Mapping[tuple[str, int], Rest]) -> str:
    """What bgd costs at rest, by its proxy and the number of its apps."""
    head = ("", "proxy", "apps", "memory MiB", "% of a core")
    rows = [
        ("bgd", proxy, str(apps), f"{rest.rss_mib:.1f}", f"{rest.cpu_percent:.2f}")
        for (proxy, apps), rest in found.items()
    ]
    return "bgd at rest, its probes included\n" + columns([head, *rows])
