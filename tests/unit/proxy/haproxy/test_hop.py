"""What HAProxy is told of its permission, and until when."""

import time
from pathlib import Path

from bgd.core.model import Colour
from bgd.core.permission import Permission
from bgd.proxy.haproxy import hop, runtime, text

MAY, OVER = Path("/f/permitted.map"), Path("/f/latched.map")


def test_times_are_the_wall_clocks() -> None:
    """A time of bgd's own clock becomes one of the clock that HAProxy asks, never a later one."""
    until = hop.times({"shop": Permission(Colour.GREEN, time.monotonic() + 60)})

    assert list(until) == ["shop_green"]
    assert time.time() + 58 < until["shop_green"] <= time.time() + 60


def test_only_what_is_permitted_stands() -> None:
    """What is not permitted any more goes first, and with it what was found by it."""
    said = hop.steps({"shop_green": 9, "pay_blue": 8}, {"shop_blue": "7", "pay_blue": "7"}, MAY, OVER)

    assert said == [
        f"del map {MAY} shop_blue",
        f"set map {MAY} pay_blue 8",
        f"add map {MAY} shop_green 9",
        f"del map {OVER} shop_blue",
    ]


def test_the_hop_is_no_server_of_the_app() -> None:
    """Neither of the text nor of what runs."""
    written = "backend shop_blue\n    server a:1 10.0.0.1:1 check\n    server bgd_other abns@x backup\n"
    states = "1 shop_blue 1 a:1 10.0.0.1 2 0 100\n1 shop_blue 2 bgd_other - 2 0 1\n"

    assert list(text.read_servers(written)["shop_blue"]) == ["a:1"]
    assert list(runtime.servers(states)["shop_blue"]) == ["a:1"]


def test_two_proxies_on_one_host() -> None:
    """Each has hops of its own, whatever their apps are called, within what the kernel takes for a name."""
    places = {
        hop.place(node, Path(folder), f"{'a' * 40}_green") for node in ("lb-1", "lb-2") for folder in "xy"
    }

    assert len(places) == 4
    assert all(len(place) <= text.SOCKET_PATH_MAX for place in places)
