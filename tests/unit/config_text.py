"""What a text of bgd.toml comes to, or what is wrong with it."""

import pytest

from bgd.config import AppSettings, ConfigProblems, parse


def problems(text: str) -> dict[str, str]:
    """What is wrong with a text: place → what and cure."""
    with pytest.raises(ConfigProblems) as raised:
        parse(text, "bgd.toml")
    return {problem.place: f"{problem.what}; {problem.cure}" for problem in raised.value.problems}


def app(text: str) -> AppSettings:
    """The one app of a text."""
    (found,) = parse(text, "bgd.toml").apps
    return found
