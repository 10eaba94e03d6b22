"""TOML tables → fields, with everything that is wrong on the way.

A table lists the keys it takes. What else stands there is a problem that names the nearest key, or
the table it belongs in.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from bgd.config.values import Bad, Problem, Reader, shown

Table = Mapping[str, tuple[str, Reader]]
"""The keys of one table: each with the field it fills and the reader of its value."""


class Reading:
    """One reading of a file: what was wrong so far."""

    def __init__(self, tables: Mapping[str, Table]) -> None:
        self.problems: list[Problem] = []
        self._tables = tables

    def say(self, place: str, what: str, cure: str) -> None:
        """Note a problem and go on."""
        self.problems.append(Problem(place, what, cure))

    def fields(
        self, given: Mapping[str, Any], name: str, place: str, within: Iterable[str] = ()
    ) -> dict[str, Any]:
        """The fields that one table fills; `within` names the tables that may stand in it."""
        table = self._tables[name]
        self._unknown(given, name, place, {*table, *within})
        found: dict[str, Any] = {}
        for key, (field, reader) in table.items():
            try:
                if key in given:
                    found[field] = reader(given[key])
            except Bad as wrong:
                self.problems += [problem.within(place + key) for problem in wrong.problems]
        return found

    def inner(self, given: Mapping[str, Any], key: str, name: str, place: str) -> dict[str, Any]:
        """The fields of a table within a table; none when it is not there."""
        inner = given.get(key, {})
        if isinstance(inner, dict):
            return self.fields(inner, name, f"{place}{key}.")
        self.say(place + key, f"{shown(inner)} is not a table", f"write it as [{name}] with its keys below")
        return {}

    def _unknown(self, given: Mapping[str, Any], name: str, place: str, known: set[str]) -> None:
        for key in given:
            if key not in known:
                self.say(place + spelled(key), "is not a known key", self._nearest(key, name, known))

    def _nearest(self, key: str, name: str, known: set[str]) -> str:
        close = difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.6)
        if close:
            return f'did you mean "{close[0]}"?'
        homes = [other for other, table in self._tables.items() if key in table and other != name]
        if homes:
            return f"it belongs {f'in [{homes[0]}]' if homes[0] else 'above the first table'}"
        nearest = difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.0)
        return f'take it out; the nearest known key here is "{nearest[0]}"'


def spelled(key: str) -> str:
    """A key as it would be found in the file, on one line."""
    plain = key.replace("-", "").replace("_", "").isalnum() and key.isascii()
    return key[:60] if plain else shown(key)
