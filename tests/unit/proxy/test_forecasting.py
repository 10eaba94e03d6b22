"""How a difference is told."""

import pytest

from bgd.proxy.forecasting import MOST_BYTES, difference

BLOCK = """\
frontend {0}
    mode http
    use_backend {0}_blue

backend {0}_blue
    mode http
    server {0}.1

"""
SHOP, PAY = BLOCK.format("shop"), BLOCK.format("pay")


def test_a_line_with_its_surroundings() -> None:
    """As `diff -u` writes it, three lines around each difference."""
    assert difference({"a": SHOP}, {"a": SHOP.replace("shop.1", "shop.2")}) == (
        "--- a\n+++ a\n@@ -4,5 +4,5 @@\n \n backend shop_blue\n     mode http\n"
        "-    server shop.1\n+    server shop.2\n \n"
    )


def test_a_block_is_shown_as_one_block() -> None:
    """Not as made from its neighbour, with which it has most of its lines in common."""
    for before, after, sign in ((SHOP, PAY + SHOP, "+"), (PAY + SHOP, SHOP, "-")):
        told = difference({"a": before}, {"a": after}).splitlines()[3:]
        changed = [line for line in told if line.startswith(("+", "-"))]

        assert changed == [f"{sign}{line}" for line in PAY.splitlines()]


def test_files_that_come_and_go() -> None:
    """A file that is new is all new; one that goes is all gone; what stays is not named."""
    told = difference({"old": "x\n", "same": "z\n"}, {"same": "z\n", "new": "y\n"})

    assert told == "--- new\n+++ new\n@@ -0,0 +1,1 @@\n+y\n--- old\n+++ old\n@@ -1,1 +0,0 @@\n-x\n"


def test_nothing_is_nothing() -> None:
    """No difference has no words."""
    assert difference({"a": SHOP}, {"a": SHOP}) == difference({}, {}) == ""


@pytest.mark.parametrize("letter", ["x", "ä"])
def test_it_has_an_end(letter: str) -> None:
    """At most 16 KiB as it is sent, in whole lines; the last one says how many are missing."""
    for count in (200, 210, 1000):
        text = "".join(f"{letter * 40}{n:38}\n" for n in range(count))
        told = difference({}, {"a": text})
        lines = told.splitlines()

        assert len(told.encode()) <= MOST_BYTES
        shown = sum(line.startswith("+" + letter) for line in lines)
        assert lines[-1] == f"... cut: {count - shown} more lines" or shown == count


def test_what_just_fits_is_not_cut() -> None:
    """To the byte."""
    head = len("--- a\n+++ a\n@@ -0,0 +1,1 @@\n+\n")
    whole = difference({}, {"a": "x" * (MOST_BYTES - head)})

    assert len(whole) == MOST_BYTES
    assert "... cut: 1 more lines" in difference({}, {"a": "x" * (MOST_BYTES - head + 1)})
