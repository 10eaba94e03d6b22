"""No room on the disk: what cannot be written is refused with the reason, and what serves goes on."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from shutil import rmtree

import pytest

from tests.integration.shop import Shop, in_own_mounts, opened, soak_on_nginx
from tests.integration.waiting import eventually

MOUNT = ["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=100", "tmpfs"]


@contextmanager
def small_disk(shop: Shop, place: Path) -> Iterator[Path]:
    """A disk of one megabyte at this place."""
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run([*MOUNT, str(place)], check=True)
    try:
        yield place
    finally:
        shop.bgd.stop()
        shop.proxy.kill()
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path) -> Path:
    """Leave no room, not even for an empty file."""
    filler = disk / "filler"
    filler.mkdir()
    with (filler / "full").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    with suppress(OSError):
        for number in count():
            (filler / str(number)).touch()
    return filler


def test_the_proxys_folder_is_full(tmp_path: Path, kind: str, request: pytest.FixtureRequest) -> None:
    """A flip is refused with the reason, as a restart would serve; with room again it is made by itself."""
    if not in_own_mounts(request.node.nodeid):
        return
    with opened(tmp_path, start=False, kind=kind) as shop, small_disk(shop, shop.proxy.folder) as disk:
        shop.open()
        with shop.load():
            filler = fill(disk)
            shop.put("green")
            shop.until_because("check-failed")
            assert "No space left" in shop.report()["detail"]
            assert (shop.answer(), shop.proxy.on_disk()["shop"]) == ("blue", "blue")
            rmtree(filler)

            shop.until_serving("green", within_s=40)
            shop.in_step("green")


@soak_on_nginx
def test_the_state_directory_is_full(tmp_path: Path, kind: str, request: pytest.FixtureRequest) -> None:
    """What is served is not held up; it is remembered as soon as there is room, and the loss is logged."""
    if not in_own_mounts(request.node.nodeid):
        return
    with opened(tmp_path, start=False, kind=kind) as shop, small_disk(shop, shop.folder / "state") as disk:
        shop.open()
        with shop.load():
            filler = fill(disk)
            shop.put("green")
            shop.until_serving("green")
            eventually(lambda: shop.bgd.said("state not written"), "it is logged")
            assert shop.answer() == "green"
            rmtree(filler)

            shop.in_step("green")
