"""Which answers of a blocking query are told, and what is asked next."""

import threading
from collections.abc import Iterable
from typing import Any

import pytest

from bgd.store import follow as module
from bgd.store.faults import Fault, StoreFault
from bgd.store.follow import LONGEST_S, Backoff, follow

LOST = StoreFault(Fault.LOST, "gone")


def told(answers: Iterable[Any]) -> tuple[list[int], list[Any]]:
    """The indexes that were asked with, and what was told, for a row of answers."""
    asked: list[int] = []
    stop, left = threading.Event(), iter(answers)

    def ask(index: int) -> tuple[int, Any]:
        answer = next(left, None)
        if answer is None:
            stop.set()
            raise LOST
        asked.append(index)
        if isinstance(answer, StoreFault):
            raise answer
        return answer  # type: ignore[no-any-return]

    return asked, list(follow(ask, stop))


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_S", 0.001)


def test_each_question_waits_for_the_answer_before() -> None:
    """The first question waits for nothing, each further one for the index before."""
    assert told([(5, "a"), (9, "b")]) == ([0, 5], ["a", "b"])


def test_a_step_backwards_is_read_again_and_not_told() -> None:
    """An answer whose index went backwards is not told; the one that is then read from the start is."""
    assert told([(9, "a"), (5, "old"), (6, "b"), (7, "c")]) == ([0, 9, 0, 6], ["a", "b", "c"])


def test_after_a_fault_nothing_is_waited_for() -> None:
    """After any fault the next question is asked from the start, and the fault is told."""
    assert told([(9, "a"), LOST, (9, "a"), (10, "b")]) == ([0, 9, 0, 9], ["a", LOST, "a", "b"])


def test_an_index_below_one_is_one() -> None:
    """A question with index 0 would not wait, so what is below 1 is taken as 1."""
    assert told([(0, "a"), (0, "b")])[0] == [0, 1]


def test_nothing_is_told_after_the_stop() -> None:
    """An answer that arrives after the stop is not told."""
    stop = threading.Event()

    def ask(_: int) -> tuple[int, str]:
        stop.set()
        return 1, "late"

    assert list(follow(ask, stop)) == []


def test_an_answer_that_was_read_late_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was frozen reads what was true long ago: it is a fault, and the question is put anew."""
    monkeypatch.setattr(module, "LATE_S", -1.0)
    asked, seen = told([(9, "a"), (10, "b")])

    assert asked == [0, 0]
    assert [fault.kind for fault in seen] == [Fault.LOST, Fault.LOST]


def test_retries_slow_down_and_never_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first retry comes quickly, later ones within a limit, each after a random while."""
    monkeypatch.setattr(module, "LONGEST_S", LONGEST_S)
    backoff = Backoff()
    waits_s = [backoff.next_s() for _ in range(500)]
    assert waits_s[0] <= 0.1
    assert LONGEST_S / 2 < max(waits_s) <= LONGEST_S
    assert min(waits_s[20:]) < LONGEST_S / 10
