"""Files are replaced, never edited."""

from pathlib import Path

import pytest

from bgd.proxy import files
from bgd.proxy.errors import WorldError


def test_replaced_whole(tmp_path: Path) -> None:
    """After a replacement the file holds the new text and nothing else is left."""
    path = tmp_path / "bgd.cfg"
    files.replace(path, "old")
    files.replace(path, "new")

    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_open_keeps_the_old(tmp_path: Path) -> None:
    """Whoever reads the file meanwhile reads the whole old one."""
    path = tmp_path / "bgd.cfg"
    files.replace(path, "old")
    with path.open() as reader:
        files.replace(path, "new")

        assert reader.read() == "old"


def test_refused_write_leaves_nothing(tmp_path: Path) -> None:
    """A file that cannot be put in place leaves no temporary one behind."""
    path = tmp_path / "bgd.cfg"
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        files.replace(path, "new")

    assert list(tmp_path.iterdir()) == [path]


def test_kept_byte_for_byte(tmp_path: Path) -> None:
    """What is kept stays as it was when the file is replaced."""
    path, kept = tmp_path / "bgd.cfg", tmp_path / "bgd.good"
    files.keep(path, kept)
    files.replace(path, "first")
    files.keep(path, kept)
    files.replace(path, "second")

    assert kept.read_text() == "first"


def test_no_file_is_no_text(tmp_path: Path) -> None:
    """A file that is not there, or holds no text, has nothing to say."""
    (tmp_path / "torn").write_bytes(b"\xff\xfe\x00")

    assert files.read(tmp_path / "gone") is None
    assert files.read(tmp_path / "torn") is None


def test_a_file_that_cannot_be_read_is_lost(tmp_path: Path) -> None:
    """What is torn or no file at all costs what it held, and never the start."""
    torn = tmp_path / "torn"
    torn.write_bytes(b"\xff")

    assert [files.read(path) for path in (torn, tmp_path, tmp_path / "none")] == [None] * 3


def test_what_could_not_be_put_back_is_not_replaced(tmp_path: Path) -> None:
    """A file that is there but cannot be read stays, and is named."""
    with pytest.raises(WorldError, match=f"cannot read {tmp_path}: Is a directory"):
        files.standing(tmp_path)
    assert files.standing(tmp_path / "none") is None
