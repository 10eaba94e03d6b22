"""A colour that only its customers find bad: its probes are content, and the proxy's own answers tell."""

import json
from pathlib import Path

import pytest

from tests.integration.in_time import anew_when_too_slow, in_time
from tests.integration.load import Load
from tests.integration.revert_world import goes_bad, reverted, seen, shop_of, to_green
from tests.integration.shop import Shop
from tests.integration.waiting import eventually

CONTENT = 'probe = { path = "", interval = "200ms", timeout = "800ms" }'
"""Asks for no more than a connection."""
MOST_S = 5.0


def revert(**judged: object) -> str:
    """An app's settings of what is judged, over a short window."""
    known = {"window": "2s", "min_requests": 50, **judged}
    return f"revert = {{ {', '.join(f'{key} = {json.dumps(value)}' for key, value in known.items())} }}"


def evidence(shop: Shop) -> str:
    """Why green's release was rejected."""
    return str(json.loads(shop.consul.get("bluegreen/apps/shop/rejected/2.5.0"))["detail"])


ERRORS, SLOWNESS = {"error_rate": "5%"}, {"latency": "100ms"}


@anew_when_too_slow
@pytest.mark.parametrize(
    ("kind", "judged", "how", "told"),
    [
        ("haproxy", ERRORS, "fails", "answers failed"),
        ("nginx", SLOWNESS, "slow", "in the mean"),
        pytest.param("haproxy", SLOWNESS, "slow", "in the mean", marks=pytest.mark.soak),
        pytest.param("nginx", ERRORS, "fails", "answers failed", marks=pytest.mark.soak),
    ],
)
def test_traffic_alone_reverts(
    tmp_path: Path, kind: str, judged: dict[str, object], how: str, told: str
) -> None:
    """Back to blue by what customers got alone; and what they got is the reason that stands there."""
    with shop_of(tmp_path, kind, revert(**judged), probe=CONTENT) as shop:
        generation = to_green(shop)
        with Load(shop.port, folder=shop.folder, kept=12, new=12) as load:
            eventually(lambda: load.progress["colour"] == "green", "green answers")
            before = load.progress["requests"]
            eventually(lambda: load.progress["requests"] > before + 500, "green is busy")
            began_ns = goes_bad(shop, how)
            reverted(shop, generation)
            eventually(lambda: load.progress["colour"] == "blue", "blue answers")
        saw = seen(load, began_ns)
        print(f"{kind} {how}: {saw}; {evidence(shop)}")

        assert told in evidence(shop)
        in_time(saw.lasted_s, MOST_S, str(saw))
        shop.until_well()


@pytest.mark.soak
def test_too_few_answers_are_no_verdict(tmp_path: Path) -> None:
    """Fewer answers in the window than are asked for revert nothing, however bad they are."""
    judged = revert(error_rate="5%", min_requests=100_000)
    with shop_of(tmp_path, "haproxy", judged, probe=CONTENT) as shop:
        generation = to_green(shop)
        goes_bad(shop, "fails")
        with Load(shop.port, folder=shop.folder, kept=4, new=4) as load:
            eventually(lambda: load.progress["lost"] > 500, "answers fail")

        assert shop.report()["colours"]["green"]["verdict"] == "up"
        assert shop.report()["serving"]["generation"] == generation
