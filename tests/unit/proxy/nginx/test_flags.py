"""A flag per app: there while green is live."""

from pathlib import Path

import pytest

from bgd.core.model import Colour
from bgd.proxy.errors import WorldError
from bgd.proxy.nginx.flags import Flags

BLUE, GREEN = Colour.BLUE, Colour.GREEN


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()} if folder.exists() else set()


def test_a_flag_is_green(tmp_path: Path) -> None:
    """An app's flag is there for green only, and putting it twice changes nothing."""
    flags = Flags(tmp_path / "flags")
    for colour, there in ((GREEN, {"shop.green"}), (GREEN, {"shop.green"}), (BLUE, set()), (BLUE, set())):
        flags.put("shop", colour)

        assert names(tmp_path / "flags") == there
    assert flags.colours(["shop"]) == {"shop": BLUE}


def test_who_has_a_flag_is_known(tmp_path: Path) -> None:
    """An app that nobody asked for but that has a flag is told too."""
    flags = Flags(tmp_path)
    flags.put("other", GREEN)

    assert flags.colours(["shop"]) == {"shop": BLUE, "other": GREEN}


def test_settling(tmp_path: Path) -> None:
    """Exactly what is to be stands afterwards."""
    flags = Flags(tmp_path)
    flags.put("gone", GREEN)
    flags.put("shop", GREEN)
    flags.settle({"shop": BLUE, "new": GREEN})

    assert names(tmp_path) == {"new.green"}


def test_a_flip_beside_settling_stays(tmp_path: Path) -> None:
    """What a flip has noted meanwhile is read at the moment in which its flag is put."""
    flags = Flags(tmp_path)
    colours = {"shop": BLUE, "other": BLUE}

    class Meanwhile(dict[str, Colour]):
        def get(self, app: str, _: object = None) -> Colour:
            colours["other"] = GREEN
            return colours[app]

    flags.settle(Meanwhile(colours))

    assert names(tmp_path) == {"other.green"}


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """What cannot be put on disk is said with the place."""
    (tmp_path / "flags").write_text("no folder")

    with pytest.raises(WorldError, match="flags"):
        Flags(tmp_path / "flags").settle({"shop": GREEN})
