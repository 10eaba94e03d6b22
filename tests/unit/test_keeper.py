"""What of an app is written to disk, and in which order."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bgd.core.knowledge import Knowledge
from bgd.core.model import Serving
from bgd.host.clock import SystemClock
from bgd.host.state import StateDirectory
from bgd.keeper import Keeper
from tests.unit.core.world import BLUE, GREEN, Node, backends


class Counted(StateDirectory):
    """A state directory that counts its writes."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.writes = 0

    def save(self, app: str, remembered: Mapping[str, Any]) -> None:
        self.writes += 1
        super().save(app, remembered)


class World:
    """A keeper whose worker works when it is told to."""

    def __init__(self, folder: Path) -> None:
        self.state = Counted(folder)
        self.jobs: list[Callable[[], None]] = []
        self.keeper = Keeper(self.state, SystemClock(), self.jobs.append)

    def work(self) -> None:
        while self.jobs:
            self.jobs.pop(0)()

    @property
    def on_disk(self) -> Mapping[str, Any]:
        kept = self.state.load("shop")
        assert isinstance(kept, Mapping)
        return kept


def knowledge(release: str = "1.0") -> Knowledge:
    return replace(Node().k, backends={BLUE: backends(BLUE, 2, release), GREEN: ()})


def releases(kept: Mapping[str, Any]) -> set[str]:
    return {each["release"] for each in kept["backends"]["blue"]}


def test_only_the_newest_is_written(tmp_path: Path) -> None:
    """However often an app changes while it waits, it is written once, as it was at last."""
    world = World(tmp_path)
    for release in ("1.0", "1.1", "1.2"):
        world.keeper.remember(knowledge(release))
    assert len(world.jobs) == 1
    world.work()
    assert (world.state.writes, releases(world.on_disk)) == (1, {"1.2"})


def test_what_is_the_same_is_not_written(tmp_path: Path) -> None:
    """Knowledge that differs only in what the disk does not keep is no reason to write."""
    world = World(tmp_path)
    world.keeper.remember(knowledge())
    world.work()
    world.keeper.remember(replace(knowledge(), heard_s=7.0))
    assert not world.jobs


def test_what_was_proved_stands_at_once_and_stays(tmp_path: Path) -> None:
    """A proof is on disk when `prove` returns, and what waited from before never comes over it."""
    world = World(tmp_path)
    world.keeper.remember(knowledge("1.0"))
    world.keeper.prove(knowledge("1.1"), Serving(BLUE, 7, via="runtime"))
    world.work()
    assert (world.state.writes, releases(world.on_disk)) == (1, {"1.1"})
    assert world.on_disk["serving"]["generation"] == 7


def test_an_app_that_is_gone_is_not_written_any_more(tmp_path: Path) -> None:
    """What waits for an app that is forgotten is forgotten with it."""
    world = World(tmp_path)
    world.keeper.remember(knowledge())
    world.keeper.forget("shop")
    world.work()
    assert world.state.load("shop") is None


def test_what_is_proved_of_an_app_that_is_gone_comes_too_late(tmp_path: Path) -> None:
    """A flip may have been under way; what stood on disk goes all the same."""
    world = World(tmp_path)
    world.keeper.remember(knowledge())
    world.work()
    world.keeper.forget("shop")
    world.keeper.prove(knowledge("1.1"), Serving(BLUE, 7, via="runtime"))
    world.work()
    assert world.state.load("shop") is None


def test_an_app_that_comes_again_is_kept(tmp_path: Path) -> None:
    """Also when the worker has not yet come to remove what stood there before."""
    world = World(tmp_path)
    world.keeper.remember(knowledge())
    world.work()
    world.keeper.forget("shop")
    world.keeper.remember(knowledge("1.1"))
    world.work()
    assert releases(world.on_disk) == {"1.1"}
