"""Lines of bgd's own log: which of them are news, and whose answers they tell."""

import os
import time
from pathlib import Path

import pytest

from bgd.core.model import Colour
from bgd.proxy.adapter import Answered
from bgd.proxy.nginx import traffic
from bgd.proxy.nginx.traffic import Log, counted

BLUE, GREEN = Colour.BLUE, Colour.GREEN
PLACES = {"shop_blue": {"10.0.0.1:80", "[::1]:80"}, "shop_green": {"10.0.0.2:80"}}


def of(*lines: str) -> dict[Colour, tuple[int, int, float]]:
    """What lines come to: colour → requests, failed, seconds; without those that answered nothing."""
    found = counted(lines, ["shop"], PLACES)
    return {
        colour: (each.requests, each.failed, round(each.seconds, 3))
        for (_, colour), each in found.items()
        if each is not None and each != traffic.NOBODY
    }


def test_answers_of_the_colour_that_was_decided() -> None:
    """Each is one request, failed with a status of 5xx, and takes as long as the head of its answer."""
    assert of(
        "shop_blue|200|10.0.0.1:80|0.010|5.000",
        "shop_blue|404|[::1]:80|0.020|0.020",
        "shop_blue|500|10.0.0.1:80|0.000|9.000",
        "shop_green|200|10.0.0.2:80|0.004|0.004",
    ) == {BLUE: (3, 1, 0.03), GREEN: (1, 0, 0.004)}


def test_a_second_try() -> None:
    """Who was refused and then answered has not failed; both tries took time."""
    assert of("shop_blue|200|10.0.0.1:80, [::1]:80|-, 0.010|0.300, 0.010") == {BLUE: (1, 0, 0.31)}
    assert of("shop_blue|502|10.0.0.1:80, [::1]:80|-, -|0.001, 0.001") == {BLUE: (1, 1, 0.002)}


def test_whoever_answered_is_meant() -> None:
    """In a group with both colours it is told by the server; each colour is charged its own time."""
    group = "shop_blue_or_other"
    assert of(f"{group}|200|10.0.0.1:80|0.010|0.010") == {BLUE: (1, 0, 0.01)}
    assert of(f"{group}|200|10.0.0.1:80, 10.0.0.2:80|-, 0.010|2.000, 0.010") == {GREEN: (1, 0, 0.01)}
    assert of(f"{group}|500|10.0.0.2:80|0.010|0.010") == {GREEN: (1, 1, 0.01)}
    assert of(f"{group}|200|10.0.0.9:80|0.010|0.010") == {}, "it has left meanwhile"


def test_nobody_was_left_to_ask() -> None:
    """It is the decided colour that has failed."""
    assert of("shop_blue_or_other|502|shop_blue_or_other|-|0.000") == {BLUE: (1, 1, 0)}
    assert of("shop_blue_or_other|502|shop_blue_or_other_grpc|-|0.000") == {BLUE: (1, 1, 0)}
    assert of("shop_green|502|shop_green|-|0.000") == {GREEN: (1, 1, 0)}


def test_what_is_no_evidence() -> None:
    """Websockets, other apps, what is no line of bgd's."""
    assert of("shop_blue|101|10.0.0.1:80|0.010|90.000", "pay_blue|500|10.0.0.1:80|0|0", "torn|lin", "") == {}


def test_an_answer_that_never_came() -> None:
    """It took as long as it was waited for."""
    assert of("shop_blue|504|10.0.0.1:80|-|60.000") == {BLUE: (1, 1, 60.0)}


def test_each_line_is_news_once(tmp_path: Path) -> None:
    """What stood before the first reading is not; a line that is not whole yet is when it is."""
    log = Log(tmp_path)
    log.prepare()
    log.path.write_text("old\n")
    assert log.news("life") is None
    with log.path.open("a") as nginx:
        nginx.write("one\ntwo\nth")
        nginx.flush()
        assert log.news("life") == ["one", "two"]
        nginx.write("ree\n")
        nginx.flush()
    assert log.news("life") == ["three"]
    assert log.news("life") == []


def test_it_stays_bgds_own(tmp_path: Path) -> None:
    """Rotated logs are given to the workers' user: bgd's group may write it, whatever the umask."""
    before = os.umask(0o077)
    try:
        Log(tmp_path).prepare()
    finally:
        os.umask(before)

    assert (tmp_path / "traffic").stat().st_mode & 0o777 == 0o664


def test_it_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it has been read and is large it is emptied, and no line is lost."""
    monkeypatch.setattr(traffic, "BYTES_MAX", 30)
    log = Log(tmp_path)
    log.prepare()
    log.news("life")
    seen: list[str] = []
    with log.path.open("a") as nginx:
        for number in range(20):
            nginx.write(f"line {number}\n")
            nginx.flush()
            seen += log.news("life") or []
            assert log.path.stat().st_size <= 40

    assert seen == [f"line {number}" for number in range(20)]


def test_when_lines_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another nginx, a log that is shorter or another one, a reader that was away."""
    log = Log(tmp_path)
    log.prepare()
    log.path.write_text("one\n")
    assert log.news(1) is None
    assert log.news(1) == []
    assert log.news(2) is None
    log.path.write_text("")
    assert log.news(2) is None
    log.path.rename(tmp_path / "away")
    log.prepare()
    assert log.news(2) is None
    assert log.news(2) == []
    monkeypatch.setattr(traffic, "GAP_S", -1.0)
    assert log.news(2) is None


def test_it_is_listened_to_for_a_while(tmp_path: Path) -> None:
    """Each reading makes nginx write on, until the next slot is over at the latest."""
    log = Log(tmp_path)
    log.prepare()
    now_s = int(time.time() // 10)
    log.news("life")

    slots = {int(name) for name in os.listdir(tmp_path / "listening")}
    assert slots in ({now_s, now_s + 1}, {now_s + 1, now_s + 2})


def test_nobody() -> None:
    """An app without a line has answered nothing, which is known."""
    assert counted([], ["shop"], {}) == dict.fromkeys([("shop", BLUE), ("shop", GREEN)], Answered(0, 0, 0.0))
