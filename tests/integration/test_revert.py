"""The shop stays open: the colour that went live goes bad, and the one before it reopens by itself."""

import time
from pathlib import Path

import pytest

from tests.integration.in_time import anew_when_too_slow, in_time
from tests.integration.load import Load
from tests.integration.revert_world import PATIENT, QUICK, Seen, goes_bad, reverted, seen, shop_of, to_green
from tests.integration.shop import Shop
from tests.integration.waiting import eventually

MOST_S = 1.5
"""From the first bad answer to the last, with probes each 200 ms, time-outs of 200 ms, and 3 of them."""
MOST_BY_DEFAULT_S = 5.0
AFTER_S = 10.0
"""So long green serves well first, in the soak."""
HELD = ("streams", "websockets")
MOST_UNDER_WAY = 6
HOWS = ("fails", "refuses", "hangs", "slow")
EITHER = pytest.mark.parametrize("kind", ["haproxy", "nginx"])


def customers_of(shop: Shop, how: str, *, well_s: float = 0.0, within_s: float = 30.0) -> Seen:
    """What customers see of a green that serves well for a while, then goes bad, until blue has reopened."""
    generation = to_green(shop)
    with Load(shop.port, folder=shop.folder, slow=2, streams=2, websockets=2) as load:
        eventually(lambda: load.progress["colour"] == "green", "green answers")
        time.sleep(well_s)  # it is to serve for so long: there is nothing to poll for
        if how == "refuses":
            eventually(lambda: shop.proxy.permits("shop_green"), "the proxy may go over by itself")
        began_ns = goes_bad(shop, how)
        reverted(shop, generation, within_s=within_s)
        eventually(lambda: load.progress["colour"] == "blue", "blue answers")
        back_ns = time.monotonic_ns()
    assert not [each for each in load.records if each.start_ns > back_ns and each.error]
    held = () if how == "refuses" else HELD  # a backend that is gone has cut what it had begun
    assert not [each for each in load.records if each.lane in held and each.error]
    return seen(load, began_ns)


@anew_when_too_slow
@pytest.mark.parametrize(
    ("kind", "how"),
    [
        *(("haproxy", how) for how in HOWS),
        ("nginx", "refuses"),
        *(pytest.param("nginx", how, marks=pytest.mark.soak) for how in HOWS if how != "refuses"),
    ],
)
def test_green_goes_bad_and_blue_reopens(tmp_path: Path, kind: str, how: str) -> None:
    """Back within moments, by one revert; green's release is rejected, and no healthy answer is lost."""
    # Nobody who refuses is slow, and a blue that is taken for bad on a busy machine would permit nothing.
    with shop_of(tmp_path, kind, probe=PATIENT if how == "refuses" else QUICK) as shop:
        saw = customers_of(shop, how)
        print(f"{kind}, {how}: {saw}")
        in_time(saw.lasted_s, MOST_S, str(saw))
        if how == "refuses":  # the proxy goes over by itself; what is under way in a backend dies with it
            assert len(saw.failed) <= MOST_UNDER_WAY, str(saw)
        shop.until_well()


@anew_when_too_slow
@pytest.mark.soak
@pytest.mark.parametrize("how", HOWS)
@EITHER
def test_green_goes_bad_later(tmp_path: Path, kind: str, how: str) -> None:
    """The same when green has served well for a while."""
    with shop_of(tmp_path, kind, probation="5s") as shop:
        saw = customers_of(shop, how, well_s=AFTER_S)
        print(f"{kind}, {how} after {AFTER_S:g} s: {saw}")
        in_time(saw.lasted_s, MOST_S, str(saw))


@anew_when_too_slow
@pytest.mark.soak
@pytest.mark.parametrize("how", ["fails", "refuses", "hangs"])
@EITHER
def test_green_goes_bad_with_the_probes_of_the_defaults(tmp_path: Path, kind: str, how: str) -> None:
    """Probes each second, of 800 ms, and 3 of them."""
    with shop_of(tmp_path, kind, probe="") as shop:
        saw = customers_of(shop, how, within_s=40.0)
        print(f"{kind}, {how}, defaults: {saw}")
        in_time(saw.lasted_s, MOST_BY_DEFAULT_S, str(saw))
