"""Keys as they are typed, and what is asked at the bottom of the live screen."""

from functools import reduce

from bgctl.dialogue import REASON, GoBack, Pause, SureToGoBack, WhyPause
from bgctl.terminal import BACKSPACE, DOWN, ENTER, ESCAPE, UP, keys_in
from tests.unit.bgctl.fleet import app


def test_keys_are_told_apart():
    """Arrows are one key in both dialects, Escape alone is one, and sequences without a meaning are none."""
    assert keys_in("\x1b[A\x1bOBq") == [UP, DOWN, "q"]
    assert keys_in("\x1b") == [ESCAPE]
    assert keys_in("\x1b[1;5Cx\x1b[3~y") == ["x", "y"]
    assert keys_in("ü\x7f\r\x01") == ["ü", BACKSPACE, ENTER]


def test_a_reason_is_typed():
    """The reason of a pause is what was typed, corrected, and without space around it."""
    asked = reduce(
        lambda question, key: question.press(key)[0], [*" frost", BACKSPACE, UP, *"t "], WhyPause("shop")
    )

    assert asked.press(ENTER) == (None, Pause("shop", "frost"))


def test_a_reason_stands_ready():
    """Enter alone takes the reason that stands ready; Escape pauses nothing."""
    assert WhyPause("shop").press(ENTER) == (None, Pause("shop", REASON))
    assert WhyPause("shop", "x").press(ESCAPE) == (None, None)


def test_only_yes_is_yes():
    """A revert is ordered by y; by every other key it is not."""
    shop = app()
    asked = SureToGoBack(shop, "blue 2.4.0")

    assert asked.prompt == "revert shop to blue 2.4.0? y/N"
    assert asked.press("y") == (None, GoBack(shop))
    assert {asked.press(key) for key in ("n", ENTER, ESCAPE, "q", " ")} == {(None, None)}
