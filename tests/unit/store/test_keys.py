"""Paths in the key tree."""

import re

import pytest

from bgd.store.keys import Keys, is_app, is_node, release_in, release_word

KEYS = Keys("bluegreen")


@pytest.mark.parametrize(
    ("release", "word"),
    [
        ("2.5.0", "2.5.0"),
        ("2.5 beta", "2.5=20beta"),
        ("~412", "=7E412"),
        ("a=b", "a=3Db"),
        ("a/../b", "a=2F..=2Fb"),
        (".hidden", "=2Ehidden"),
        ("ü", "=C3=BC"),
        ("x" * 128, "x" * 128),
    ],
)
def test_a_release_is_one_word(release: str, word: str) -> None:
    """Bytes of a release that could trouble are written as =HH, and so is a dot at its beginning."""
    assert release_word(release) == word


def test_a_long_release_is_written_as_its_digest() -> None:
    """What would be longer than 128 bytes is written as a digest, different for every release."""
    words = {release_word(release) for release in ("x" * 129, "x" * 130, "ü" * 40, "~" * 44)}
    assert len(words) == 4
    assert all(re.fullmatch("sha256=[0-9a-f]{64}", word) or len(word) <= 128 for word in words)
    assert release_word("x" * 129).startswith("sha256=")


def test_names_have_a_grammar() -> None:
    """Apps and nodes have plain names; only nodes have dots in them."""
    assert all(map(is_app, ["a", "shop", "shop-2", "x" * 40]))
    assert not any(map(is_app, ["", "-a", "a-", "Shop", "a.b", "a/b", "x" * 41, "shop\n"]))
    assert all(map(is_node, ["lb-1", "lb-1.example.com", "x" * 64]))
    assert not any(map(is_node, ["", ".a", "a.", "x" * 65, "a b"]))


def test_paths_are_parsed_as_they_are_built() -> None:
    """What a path was built from is what it is parsed into."""
    assert KEYS.app_of(KEYS.live("shop")) == "shop"
    assert KEYS.app_of(KEYS.report("shop", "lb-1")) == "shop"
    assert KEYS.member_of(KEYS.report("shop", "lb-1.example.com")) == "lb-1.example.com"
    assert KEYS.living_node(KEYS.alive("lb-1")) == "lb-1"
    assert KEYS.generation_of(KEYS.event("shop", 412)) == 412


@pytest.mark.parametrize(
    "key",
    ["bluegreen/apps/", "bluegreen/apps/Shop/live", "other/apps/shop/live", "bluegreen/nodes/shop/", "x"],
)
def test_what_is_not_ours_is_nobody(key: str) -> None:
    """Keys that others have put into the tree are not taken for apps, nodes or generations."""
    assert KEYS.member_of(key) is None
    assert KEYS.living_node(key) is None
    assert KEYS.generation_of(key) is None
    assert KEYS.app_of(key) in (None, "shop")


def test_a_generation_is_a_plain_number() -> None:
    """Only decimal digits make a generation."""
    assert [
        KEYS.generation_of(f"bluegreen/history/shop/{word}") for word in ("12", "-1", "1e3", "²", "9" * 30)
    ] == [
        12,
        None,
        None,
        None,
        None,
    ]


@pytest.mark.parametrize("release", ["2.5.0", "2.5 beta", "~412", "a=b", "a/../b", ".hidden", "ü"])
def test_a_release_is_read_back_from_its_word(release: str) -> None:
    """A rejection that somebody set by hand counts, too."""
    assert release_in(release_word(release)) == release


def test_a_digest_tells_no_release() -> None:
    """Its record does."""
    assert release_in(release_word("x" * 200)) is None
