"""What bgd's own log of nginx tells of each colour: what its clients saw, or nothing at all."""

import shutil
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import attrs
import pytest

from bgctl.demo.parts import Backends
from bgd.config.settings import RevertSettings
from bgd.core.model import Colour
from bgd.ports import Proved
from bgd.proxy.adapter import Answered
from bgd.proxy.nginx import traffic
from tests.integration.load import Load
from tests.integration.nginx import running_nginx
from tests.integration.nginx_text import ask
from tests.integration.test_in_proxy_nginx import Front
from tests.integration.waiting import eventually

BLUE, GREEN = Colour.BLUE, Colour.GREEN


class Counting(Front):
    """A front whose app's traffic is judged, in an nginx that has a log of the host's own."""

    def begin(self) -> None:
        """What was answered until now is asked for no more: there is one worker, which writes in order."""
        self.counted = dict.fromkeys(Colour, traffic.NOBODY)
        self.adapter.traffic(["shop"])
        assert ask(self.port, "/begin")[0] == 200
        self.until(BLUE, 1)
        self.counted = dict.fromkeys(Colour, traffic.NOBODY)

    def count(self) -> dict[Colour, Answered]:
        """All that was answered since the beginning."""
        for (_, colour), found in self.adapter.traffic(["shop"]).items():
            assert found is not None
            before = self.counted[colour]
            self.counted[colour] = Answered(
                before.requests + found.requests,
                before.failed + found.failed,
                before.seconds + found.seconds,
            )
        return self.counted

    def until(self, colour: Colour, requests: int) -> Answered:
        eventually(lambda: self.count()[colour].requests >= requests, f"{requests} of {colour} are counted")
        return self.counted[colour]


@pytest.fixture(scope="module")
def the_front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counting]:
    folder = tmp_path_factory.mktemp("backends")
    with running_nginx(workers=1) as nginx, Backends(folder, ["blue", "blue", "green", "green"]) as backends:
        logs = f"log_format own '$status $request_uri'; access_log {nginx.root}/own.log own;"
        nginx.main_file.write_text(nginx.main_file.read_text().replace("access_log off;", logs))
        nginx.reload_by_hand()
        front = Counting(nginx, backends)
        front.open(attrs.evolve(front.app, revert=RevertSettings(error_rate=0.1)))
        assert isinstance(front.flip(BLUE), Proved)
        yield front


@pytest.fixture
def front(the_front: Counting) -> Counting:
    the_front.heal()
    the_front.begin()
    return the_front


def test_counts_are_what_clients_saw(front: Counting) -> None:
    """Failures and answer times, each to the head of the answer: a long answer makes nobody slow.

    The host's own log has each line once, as without bgd's.
    """
    first, second = front.backends.of("blue")
    log = front.nginx.root / "own.log"
    written = len(log.read_text().splitlines())
    front.backends.order(f"fail {first}")
    front.backends.order(f"slow {second} 100")
    begun_s = time.monotonic()
    statuses = [ask(front.port)[0] for _ in range(20)]
    waited_s = time.monotonic() - begun_s
    front.backends.order(f"heal {first}")
    front.backends.order(f"heal {second}")
    begun_s = time.monotonic()
    assert ask(front.port, "/stream?n=5&ms=200")[0] == 200
    assert time.monotonic() - begun_s > 0.75
    found = front.until(BLUE, 21)

    assert found.requests == 21
    assert found.failed == statuses.count(500) == 10
    assert 1.0 <= found.seconds < waited_s + 0.8 / 2, "clients waited, and half of what the stream took"
    assert len(log.read_text().splitlines()) == written + 21
    assert front.counted[GREEN] == traffic.NOBODY


def test_whoever_answered_is_counted(front: Counting) -> None:
    """Blue refuses and green answers for it: these are green's answers. When green dies too they fail."""
    front.permit(BLUE)
    front.kill(BLUE)
    assert {ask(front.port)[0] for _ in range(10)} == {200}
    assert front.until(GREEN, 10).failed == 0
    assert front.counted[BLUE] == traffic.NOBODY
    front.kill(GREEN)
    assert {ask(front.port)[0] for _ in range(10)} == {502}
    eventually(lambda: sum(each.failed for each in front.count().values()) == 10, "all failures are counted")


@pytest.mark.soak
def test_the_log_is_emptied_and_nothing_is_lost(
    front: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under load it stays small, and every answer is counted once."""
    monkeypatch.setattr(traffic, "BYTES_MAX", 20_000)
    sizes = []
    with Load(front.port, folder=tmp_path) as load:
        until_s = time.monotonic() + 3
        while time.monotonic() < until_s:
            front.count()
            sizes.append((front.nginx.folder / "traffic").stat().st_size)
            time.sleep(0.05)  # as a reader that comes now and again
    made = len(load.records)

    assert front.until(BLUE, made).requests == made
    assert front.counted[BLUE].failed == 0
    assert max(sizes) < 300_000 < 60 * made
    assert any(after < before for before, after in pairwise(sizes))


def test_what_cannot_be_known(front: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    """A first reading, one after a while, a log that others emptied, another nginx: none says anything.

    What is answered while nobody listens is not written at all.
    """
    unknown = {("shop", colour): None for colour in Colour}
    log = front.nginx.folder / "traffic"
    ask(front.port)
    front.until(BLUE, 1)
    with monkeypatch.context() as patched:
        patched.setattr(traffic, "GAP_S", -1)
        assert front.adapter.traffic(["shop"]) == unknown
    front.count()
    log.write_text("")
    assert front.adapter.traffic(["shop"]) == unknown
    shutil.rmtree(front.nginx.folder / "listening")  # as when a bgd that is gone has been for a while
    assert ask(front.port, "/nobody/listens")[0] == 200
    front.count()
    front.nginx.restart()
    assert log.read_text() == ""
    assert front.adapter.traffic(["shop"]) == unknown
    front.count()
    front.open(front.app)
    assert front.adapter.traffic(["shop"]) == unknown
    log.unlink()
    with pytest.raises(FileNotFoundError):
        front.adapter.traffic(["shop"])
