"""Times as people write and read them: durations like bgd.toml's, and how long ago something was."""

import re
from datetime import UTC, datetime

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_STEPS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def seconds(text: str) -> float:
    """`500ms`, `60s`, `5m` in seconds; ValueError when it is none."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    return float(match[1]) * _SECONDS[match[2]]


def moment(text: object) -> datetime | None:
    """A time in ISO 8601, or None when it cannot be read."""
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def clock(text: object, now: datetime | None = None) -> str:
    """A moment by the clock of whoever reads it: `12:05`, with its date unless that is today."""
    at = moment(text)
    if at is None:
        return ""
    here = at.astimezone()
    today = (now or datetime.now(UTC)).astimezone().date()
    return here.strftime("%H:%M" if here.date() == today else "%Y-%m-%d %H:%M")


def ago(text: object, now: datetime | None = None) -> str:
    """How long it is since then, in its two largest units: `3h12m`. Empty when unknown."""
    at = moment(text)
    if at is None:
        return ""
    return lasting(((now or datetime.now(UTC)) - at).total_seconds())


def lasting(duration_s: float) -> str:
    """A duration in its two largest units."""
    left = max(0, int(duration_s))
    parts: list[str] = []
    for unit, size in _STEPS:
        amount, left = divmod(left, size)
        if amount or (unit == "s" and not parts):
            padded = parts and unit in ("m", "s")
            parts.append(f"{amount:02}{unit}" if padded else f"{amount}{unit}")
        elif parts:
            break
    return "".join(parts[:2])
