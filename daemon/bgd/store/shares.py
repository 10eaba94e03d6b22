"""Many apps' wishes in a few watches: apps shared out by the beginnings of their names.

Consul answers a watch with all keys below its prefix, and takes its time for them: with two hundred apps
some ten milliseconds more than with one, for a single key that was written. A share's answer is as small as
a few apps are, and a fault of one is no fault of the others.
"""

from collections.abc import Iterable
from os.path import commonprefix

ENOUGH = 12
"""So many apps are read as quickly as one."""
SHARES_AT_MOST = 24
"""Each is a connection, of which Consul grants a host 200 in all, and services take up to 150."""


def shares(
    apps: Iterable[str], *, enough: int = ENOUGH, at_most: int = SHARES_AT_MOST
) -> list[tuple[str, tuple[str, ...]]]:
    """A prefix below the tree of all apps, with the apps that it covers; no app is in two of them.

    Up to twice `enough` apps are one share, whose prefix is empty: the whole tree.
    """
    whole = tuple(apps)
    found = {"": whole}
    if len(whole) <= 2 * enough:
        return list(found.items())
    while True:
        prefix = max(found, key=lambda each: len(found[each]))
        parts = _split(found[prefix])
        if len(found[prefix]) <= enough or len(found) - 1 + len(parts) > at_most:
            return list(found.items())
        del found[prefix]
        found |= parts


def _split(apps: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """By the first character in which they differ; the end of a name is one, too."""
    places = [f"{app}/" for app in apps]
    length = len(commonprefix(places)) + 1  # noqa: RUF071 (characters are meant)
    parts: dict[str, tuple[str, ...]] = {}
    for app, place in zip(apps, places, strict=True):
        parts[place[:length]] = (*parts.get(place[:length], ()), app)
    return parts
