"""Files are replaced, never edited; a temporary name never ends in what the proxy would load."""

import os
from collections.abc import Iterable
from pathlib import Path

from bgd.core.reasons import Because
from bgd.proxy.errors import WorldError


def read(path: Path) -> str | None:
    """What the file holds, or None when it is lost: none that can be read is as good as none."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return None


def standing_texts(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Those of several files that stand. Raises WorldError."""
    found = {name: standing(folder / name) for name in names}
    return {name: text for name, text in found.items() if text is not None}


def standing(path: Path) -> str | None:
    """The same of a file that is to be replaced: what cannot be read could not be put back either.

    Raises WorldError.
    """
    try:
        return path.read_text()
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    except OSError as error:
        raise WorldError(Because.CHECK_FAILED, f"cannot read {path}: {error.strerror}") from error


def replace(path: Path, text: str) -> None:
    """Put a whole new file in place, so that a crash leaves either the old or the new. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    try:
        with temporary.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    settle(path.parent)


def write(path: Path, text: str) -> None:
    """Replace a file that must stand before the next step. Raises WorldError."""
    try:
        replace(path, text)
    except OSError as error:
        raise cannot_write(path, error) from error


def remove(path: Path) -> None:
    """Take a file away that must be gone before the next step. Raises WorldError."""
    try:
        path.unlink(missing_ok=True)
        settle(path.parent)
    except OSError as error:
        raise WorldError(Because.CHECK_FAILED, f"cannot remove {path}: {error.strerror}") from error


def cannot_write(path: Path, error: OSError) -> WorldError:
    return WorldError(Because.CHECK_FAILED, f"cannot write {path}: {error.strerror}")


def keep(path: Path, kept: Path) -> None:
    """Keep what is in place now, byte for byte, under another name. Raises OSError."""
    temporary = kept.with_name(f".{kept.name}.new")
    temporary.unlink(missing_ok=True)
    try:
        os.link(path, temporary)
    except FileNotFoundError:  # the first file of all has no forerunner
        return
    temporary.replace(kept)
    settle(kept.parent)


def settle(folder: Path) -> None:
    """Have what was done in a folder outlive a loss of power. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
