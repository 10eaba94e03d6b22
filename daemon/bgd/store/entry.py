"""Keys as Consul tells them, and what has changed in a tree of them.

With a hundred apps a recursive answer holds some two hundred keys of which one or two have changed, and
parsing the others would be most of what we add to the time from a written key to a flip. So the answer is
only searched for the numbers that tell what changed; that nothing was deleted is seen by counting. When
the count does not add up, all of it is parsed.
"""

import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Entry:
    """One key; decoded when asked, since most of a tree has not changed."""

    told: Mapping[str, Any]

    @property
    def key(self) -> str:
        return str(self.told["Key"])

    @property
    def value(self) -> bytes:
        """The bytes of the value; a key without one (the UI makes such) holds none."""
        return binascii.a2b_base64(self.told["Value"] or "")

    @property
    def create_index(self) -> int:
        return int(self.told["CreateIndex"])

    @property
    def modify_index(self) -> int:
        return int(self.told["ModifyIndex"])

    @property
    def flags(self) -> int:
        return int(self.told["Flags"])

    @property
    def session(self) -> str:
        """The session that holds it, or empty."""
        return str(self.told.get("Session", ""))


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree at an index: all of its entries (`whole`), or only those that have changed since before."""

    index: int
    entries: Sequence[Entry]
    count: int
    whole: bool = True


# Nothing inside a JSON string can look like these: a quote there is written with a backslash.
_MODIFIED = re.compile(r'"ModifyIndex":\s*(\d+)')
_BEGIN = '"LockIndex"'
_NEEDED = {"Key", "Value", "CreateIndex", "ModifyIndex", "Flags"}
_decode = json.JSONDecoder().raw_decode


def parse(body: str | bytes) -> list[Entry]:
    """All entries of an answer; raises ValueError when it is none of Consul's."""
    told = json.loads(body)
    if not isinstance(told, list) or not all(
        isinstance(each, dict) and each.keys() >= _NEEDED for each in told
    ):
        raise ValueError("no list of keys")
    return [Entry(each) for each in told]


def grow(before: Tree, index: int, body: str) -> Tree:
    """The tree of an answer, of which only what has changed since `before` is parsed, if that is sure."""
    count, changed = 0, []
    for match in _MODIFIED.finditer(body):
        count += 1
        if int(match[1]) > before.index:
            changed.append(match.start())
    entries = [_around(body, position) for position in changed]
    created = sum(entry.create_index > before.index for entry in entries)
    if count == before.count + created:
        return Tree(index, entries, count, whole=False)
    return Tree(index, parse(body), count)


def _around(body: str, position: int) -> Entry:
    """The entry that a position lies in."""
    start = body.rindex("{", 0, body.rindex(_BEGIN, 0, position))
    return Entry(_decode(body, start)[0])
