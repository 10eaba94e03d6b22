"""Apps shared out to a few watches by the beginnings of their names."""

import pytest

from bgd.store.shares import SHARES_AT_MOST, shares

MANY = [f"app-{number}" for number in range(200)]


def test_a_few_apps_are_read_together() -> None:
    """One watch over the whole tree."""
    assert shares(["till", "shop"]) == [("", ("till", "shop"))]
    assert len(shares(MANY[:24])) == 1


@pytest.mark.parametrize("apps", [MANY, sorted(MANY), [f"{name}s" for name in MANY], ["a", "ab", "abc"]])
def test_every_app_is_in_one_share_and_below_its_prefix(apps: list[str]) -> None:
    """And no other share's answer has its keys: nothing is read twice."""
    found = shares(apps, enough=1, at_most=200)
    assert sorted(app for _, share in found for app in share) == sorted(apps)
    for prefix, share in found:
        assert {app for app in apps if f"{app}/".startswith(prefix)} == set(share)


def test_two_hundred_are_a_few_shares_of_a_dozen() -> None:
    """Small answers, and few connections."""
    found = shares(MANY)
    assert 1 < len(found) <= SHARES_AT_MOST
    assert max(len(share) for _, share in found) < 20


def test_names_that_cannot_be_told_apart_soon_stay_together() -> None:
    """Rather a large answer than a connection more."""
    found = shares([f"{letter}{number}" for letter in "abcdefghijklmnopqrstuvwxyz" for number in range(9)])
    assert len(found) <= SHARES_AT_MOST
