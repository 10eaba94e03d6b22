"""What is allowed for a while: names in the folders of tens of seconds."""

import os
from pathlib import Path

import pytest

from bgd.proxy.nginx.slots import Slots


def standing(folder: Path) -> dict[str, set[str]]:
    """Slot → names."""
    return {each.name: set(os.listdir(each)) for each in folder.iterdir()} if folder.exists() else {}


def test_what_is_allowed_ends_by_itself(tmp_path: Path) -> None:
    """A name stands for each slot that ends within its time, from the one that is now."""
    Slots(tmp_path).allow({"shop": 1035.0, "pay": 1019.9}, now_s=1004.0)

    assert standing(tmp_path) == {"100": {"shop", "pay"}, "101": {"shop"}, "102": {"shop"}}


def test_never_far_ahead(tmp_path: Path) -> None:
    """Whatever is asked for, a minute is the end."""
    Slots(tmp_path).allow({"shop": 9999.0}, now_s=1000.0)

    assert set(standing(tmp_path)) == {"100", "101", "102", "103", "104", "105"}


def test_what_is_past_goes(tmp_path: Path) -> None:
    """Slots that a bgd before this one left are cleared, wherever the clock was."""
    Slots(tmp_path).allow({"shop": 1040.0}, now_s=1000.0)
    Slots(tmp_path).allow({"shop": 1060.0}, now_s=1025.0)

    assert set(standing(tmp_path)) == {"102", "103", "104", "105"}
    Slots(tmp_path).allow({"shop": 540.0}, now_s=500.0)

    assert set(standing(tmp_path)) == {"50", "51", "52", "53"}


def test_what_is_withdrawn_goes_at_once(tmp_path: Path) -> None:
    """Who is not allowed any more is in no slot; with nobody left there are none."""
    slots = Slots(tmp_path)
    slots.allow({"shop": 1020.0, "pay": 1020.0}, now_s=1000.0)
    slots.allow({"shop": 1020.0}, now_s=1001.0)

    assert standing(tmp_path) == {"100": {"shop"}, "101": {"shop"}}
    slots.allow({}, now_s=1002.0)

    assert standing(tmp_path) == {}


def test_a_permission_that_is_over_allows_nothing(tmp_path: Path) -> None:
    """One whose time has come, or comes within this slot, leaves no folder behind."""
    Slots(tmp_path / "new").allow({"shop": 1004.0, "pay": 1009.0}, now_s=1004.0)

    assert not (tmp_path / "new").exists()


def test_workers_may_look_whatever_the_umask(tmp_path: Path) -> None:
    """nginx's workers run as another user than bgd."""
    before = os.umask(0o077)
    try:
        Slots(tmp_path / "new").allow({"shop": 1020.0}, now_s=1000.0)
    finally:
        os.umask(before)

    assert {oct(each.stat().st_mode & 0o777) for each in (tmp_path / "new", tmp_path / "new" / "100")} == {
        "0o755"
    }


def test_a_folder_that_cannot_be_had(tmp_path: Path) -> None:
    """It is the caller's to tell."""
    (tmp_path / "taken").write_text("a file")

    with pytest.raises(OSError, match="taken"):
        Slots(tmp_path / "taken").allow({"shop": 1020.0}, now_s=1000.0)
