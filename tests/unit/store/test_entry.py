"""What has changed in a tree, told from its text."""

import json
import random
from typing import Any

import pytest

from bgd.store.entry import Tree, grow, parse


def told(key: str, created: int, modified: int, value: str | None = "Ymx1ZQ==") -> dict[str, Any]:
    return {
        "LockIndex": 0,
        "Key": key,
        "Flags": 0,
        "Value": value,
        "CreateIndex": created,
        "ModifyIndex": modified,
    }


def text(entries: list[dict[str, Any]], indent: int | None) -> str:
    return json.dumps(entries, indent=indent, separators=None if indent else (",", ":"))


@pytest.mark.parametrize("indent", [None, 4])
@pytest.mark.parametrize("seed", range(40))
def test_a_grown_tree_is_the_tree(seed: int, indent: int | None) -> None:
    """Whatever is created, changed and deleted, a tree that is followed holds what is there."""
    draw = random.Random(seed)
    store: dict[str, dict[str, Any]] = {}
    known: dict[str, Any] = {}
    tree = Tree(1, (), 0)
    index = 1
    for _ in range(30):
        for _ in range(draw.randint(0, 3)):
            index += 1
            key = draw.choice(['a"ModifyIndex": 9', "b{", '{"LockIndex":1', "c", "d/}", "e"])
            if draw.random() < 0.3:
                store.pop(key, None)
            else:
                created = store[key]["CreateIndex"] if key in store else index
                store[key] = told(key, created, index, draw.choice([None, "Ymx1ZQ==", "e" * 4000]))
        tree = grow(tree, index, text(list(store.values()), indent))
        changed = {entry.key: entry.told for entry in tree.entries}
        known = changed if tree.whole else {**known, **changed}
        assert known == store
        assert tree.count == len(store)


def test_only_the_change_is_parsed() -> None:
    """Of a tree in which one key has changed, one entry is told."""
    many = [told(f"app-{number}/live", number + 2, number + 2) for number in range(100)]
    before = Tree(101, parse(text(many, None)), 100)
    many[50]["ModifyIndex"] = 102
    after = grow(before, 102, text(many, None))
    assert [entry.key for entry in after.entries] == ["app-50/live"]
    assert not after.whole


def test_a_key_without_value_holds_nothing() -> None:
    """A key that the web UI made as a folder has an empty value."""
    (entry,) = parse(text([told("folder/", 1, 1, None)], None))
    assert (entry.value, entry.session) == (b"", "")
