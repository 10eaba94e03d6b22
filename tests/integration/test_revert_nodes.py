"""Several nodes see different things: a majority decides for the fleet, and each alone only for itself."""

from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from tests.integration.revert_nodes_world import FAR, Nodes, nodes
from tests.integration.revert_world import (
    PATIENT,
    answers,
    ended,
    flip,
    generation,
    nothing_written,
    order,
    rejected,
    reverted,
    throughout,
    tried_to_write,
    until_ended,
    until_good,
)
from tests.integration.shop import Shop
from tests.integration.test_notified import keeping, told
from tests.integration.waiting import eventually

LIGHT = {"kept": 4, "new": 4}
BEFORE = [("init", "blue", "confirmed"), ("flip", "green", "confirmed")]
AFTER = [("init", "blue", "confirmed"), ("flip", "green", "reverted"), ("revert", "blue", None)]


def undisturbed(shops: list[Shop], *, for_s: float) -> None:
    """For a while they serve green, and see nothing wrong with it."""

    def well() -> bool:
        for report in [shop.report() for shop in shops]:
            told = report["because"], report["serving"]["colour"], report["vote"]
            assert told == ("converged", "green", None), report
        return True

    throughout(well, "nobody is disturbed", for_s=for_s)


def _follows(node: Shop) -> bool:
    """It serves the wish that stands in Consul now."""
    return bool(node.report()["serving"]["generation"] == generation(node))


def all_on_blue(made: Nodes) -> None:
    """All of them have followed one revert, and nothing else was made of it."""
    for node in made.all:
        eventually(partial(_follows, node), f"{node.node} follows", within_s=40)
        node.until_serving("blue")
        answers(node, "blue")
    until_good(made.first, "blue")
    until_ended(made.first, *AFTER)
    written = [node.node for node in made.all for _ in node.bgd.said("revert written")]
    assert len(written) == 1, written


def test_a_majority_reverts_and_each_event_is_told_once(tmp_path: Path) -> None:
    """Two of three see live down: one revert, which the third follows; one command run for each event."""
    file = tmp_path / "told"
    with nodes(tmp_path, 3, far=1, tables=[keeping(file)]) as made:
        before = generation(made.first)
        made.near_green("fail")
        reverted(made.first, before)
        all_on_blue(made)
        eventually(lambda: len(told(file)) == 6, "all is told")

        assert Counter(told(file)) == Counter(
            [
                ("init", "blue", None),
                ("init", "blue", "confirmed"),
                ("flip", "green", None),
                ("flip", "green", "confirmed"),
                ("flip", "green", "reverted"),
                ("revert", "blue", None),
            ]
        )
        made.near_green("heal")
        made.first.put("green")
        eventually(lambda: order(made.first) == "declined", "the edit is declined", within_s=20)
        for node in made.all:
            node.until_serving("blue")
        eventually(lambda: len(told(file)) == 8, "that is told")
        throughout(lambda: len(told(file)) == 8, "nothing is told twice")

        assert Counter(told(file)[6:]) == Counter([("declined", "blue", None), ("flip", "green", "declined")])


@pytest.mark.soak
def test_one_of_three_sees_neither_colour(tmp_path: Path) -> None:
    """It holds and disturbs nobody; the other two can still revert, and it follows."""
    with nodes(tmp_path, 3, far=1) as made:
        (blind,) = made.far
        with nothing_written(*made.all), made.first.load(**LIGHT):
            hanging = PATIENT.replace("{ ", '{ path = "/slow?ms=5000", ')
            _probe(blind, hanging)
            blind.until_because("revert-target-down")
            throughout(lambda: blind.serving() == "green", "it holds", for_s=4)
            undisturbed(made.near, for_s=4)
        before = generation(made.first)
        made.near_green("fail")
        reverted(made.first, before)
        eventually(partial(_follows, blind), "it follows")
        _probe(blind, PATIENT)
        all_on_blue(made)


def _probe(node: Shop, probe: str) -> None:
    """Have one of those that are far probe differently from now on."""
    node.apps = [node.app("shop", node.port, flip(), f'service = "{FAR}"', probe=probe)]
    node.hup()


@pytest.mark.soak
def test_one_of_three_sees_live_alone_down(tmp_path: Path) -> None:
    """It falls back by itself and disturbs nobody; when it sees live again it waits, then it returns."""
    with nodes(tmp_path, 3, far=1) as made, nothing_written(*made.all):
        (lonely,) = made.far
        with made.first.load(**LIGHT), made.near[1].load(**LIGHT):
            made.own_green("fail")
            answers(lonely, "blue", within_s=5)
            lonely.until_because("revert-waiting-quorum")
            throughout(lambda: lonely.answer() == "blue", "it serves blue", for_s=5)
            undisturbed(made.near, for_s=5)
            assert lonely.report()["vote"]["generation"] == generation(made.first)
            made.own_green("heal")
            lonely.until_because("fallback-serving")
            throughout(lambda: lonely.answer() == "blue", "the hold-down", for_s=25)
            lonely.until_serving("green")
            assert lonely.answer() == "green"
            lonely.until_well()
            undisturbed(made.near, for_s=1)
        assert ended(made.first) == BEFORE


@pytest.mark.soak
def test_two_of_five_cut_off_while_live_dies(tmp_path: Path) -> None:
    """Three revert; the two serve blue by themselves and write nothing; back again they follow."""
    with nodes(tmp_path, 5, far=2) as made:
        before = generation(made.first)
        cut_off(made)
        made.near_green("fail")
        made.own_green("fail")
        for node in made.far:
            answers(node, "blue", within_s=5)
        reverted(made.first, before)
        for node in made.near:
            node.until_serving("blue")
        throughout(lambda: all(node.answer() == "blue" for node in made.far), "they serve on", for_s=5)
        assert not tried_to_write(*made.far)
        made.line.mend()
        all_on_blue(made)


@pytest.mark.soak
def test_live_dies_for_two_of_five_that_are_cut_off(tmp_path: Path) -> None:
    """They serve blue by themselves, and neither then nor back again do they turn the others."""
    with nodes(tmp_path, 5, far=2) as made, nothing_written(*made.all):
        with made.first.load(**LIGHT):
            cut_off(made)
            made.own_green("fail")
            for node in made.far:
                answers(node, "blue", within_s=5)
            undisturbed(made.near, for_s=10)
            made.line.mend()
            for node in made.far:
                node.until_because("revert-waiting-quorum", within_s=40)
            undisturbed(made.near, for_s=5)
        assert not rejected(made.first)


def cut_off(made: Nodes) -> None:
    made.line.cut()
    for node in made.far:
        node.until_because("store-lost", within_s=40)
