"""No room on the disk: what cannot be written is refused with the reason, and what serves goes on."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.integration.shop import Shop, in_own_mounts, opened
from tests.integration.waiting import eventually

MOUNT = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs"]


@contextmanager
def small_disk(shop: Shop, place: Path) -> Iterator[Path]:
    """A disk of one megabyte at this place."""
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run([*MOUNT, str(place)], check=True)
    try:
        yield place
    finally:
        shop.bgd.stop()
        shop.haproxy.kill()
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path) -> Path:
    """Leave no room."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    return filler


def test_the_proxys_folder_is_full(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A flip is refused with the reason and the map as it was; with room again it is made by itself."""
    if not in_own_mounts(request.node.nodeid):
        return
    with opened(tmp_path, start=False) as shop, small_disk(shop, shop.haproxy.folder) as disk:
        shop.open()
        with shop.load():
            filler = fill(disk)
            shop.put("green")
            shop.until_because("check-failed")
            assert "No space left" in shop.report()["detail"]
            assert shop.answer() == "blue"
            shop.haproxy.folder.joinpath("colours.map").read_text().index("shop_blue")
            filler.unlink()

            shop.until_serving("green", within_s=40)
            shop.in_step("green")


def test_the_state_directory_is_full(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """What is served is not held up; it is remembered as soon as there is room, and the loss is logged."""
    if not in_own_mounts(request.node.nodeid):
        return
    with opened(tmp_path, start=False) as shop, small_disk(shop, shop.folder / "state") as disk:
        shop.open()
        with shop.load():
            filler = fill(disk)
            shop.put("green")
            shop.until_serving("green")
            eventually(lambda: shop.bgd.said("state not written"), "it is logged")
            assert shop.answer() == "green"
            filler.unlink()

            shop.in_step("green")
