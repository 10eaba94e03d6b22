"""Runs the bench: for each proxy and number of apps, bgd at rest, then all contenders in turns."""

import argparse
import sys
import time
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any

from bench import fleet, table
from bench.by_hand import Apps
from bench.contenders import Bgd, Follower, backends_of, contenders
from bench.rest import Rest, Watch, probes, raft_index, rss_mib
from bench.turns import Score, turn
from bgctl.demo.parts import Backends, Consul
from bgctl.demo.process import LateError, MissingError, scratch
from bgctl.demo.proxies import KINDS

SETTLE_S = 30.0


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def register(consul: Consul, apps: Apps) -> None:
    for app, colours in apps.items():
        for colour, addresses in colours.items():
            for address in addresses:
                consul.register(app, colour, address, {"blue": "2.4.0", "green": "2.5.0"}[colour])


class QuietConsul(Consul):
    """It writes nothing of its own accord, so that whatever is written is somebody's doing."""

    def settings(self, *ports: int) -> dict[str, Any]:
        return super().settings(*ports) | {"disable_coordinates": True}


def at_rest(bgd: Bgd, again_s: float, interval: str, seconds: float) -> Rest:
    """Measure bgd while nobody asks for anything."""
    bgd.probe_each(interval)
    time.sleep(SETTLE_S)
    watched = [Watch(pid) for pid in (bgd.daemon.pid, bgd.beside.pid, bgd.consul.pid)]
    probed, written = probes(bgd.daemon.status), raft_index(bgd.consul)
    time.sleep(seconds)
    return Rest(
        interval,
        bgd.start_s,
        again_s,
        rss_mib(bgd.daemon.pid),
        *(each.percent() for each in watched),
        (probes(bgd.daemon.status) - probed) / seconds,
        raft_index(bgd.consul) - written,
    )


def with_apps(proxy: str, number: int, given: argparse.Namespace) -> tuple[list[Score], list[Rest]]:
    """One world with so many apps: rest first, then turns."""
    where = f"{proxy}, {number} apps"
    names = ["shop", *(f"app{each}" for each in range(1, number))]
    of_colour = given.backends // 2
    with scratch("bgd-bench-") as made, ExitStack() as stack:
        folder = Path(made)
        colours = ["blue", "green"] * (of_colour * number)
        backends = stack.enter_context(Backends(folder, colours))
        consul = stack.enter_context(QuietConsul(folder))
        apps = backends_of(names, backends, of_colour)
        register(consul, apps)
        taking_part = [kind(folder / kind.key_prefix, consul, apps) for kind in contenders(proxy)]
        for each in taking_part:
            say(f"{where}: {each.name} starts")
            each.begin(stack)
        bgd = next(each for each in taking_part if isinstance(each, Bgd))
        say(f"{where}: bgd starts again")
        again_s = bgd.again()
        say(f"{where}: bgd at rest, {given.rest:.0f} s each")
        rests = [at_rest(bgd, again_s, each, given.rest) for each in reversed(given.probed.split(","))]
        scores = [Score(each.name, proxy, number) for each in taking_part]
        for round_number in range(given.rounds):
            say(f"{where}: round {round_number + 1} of {given.rounds}")
            for each, score in zip(taking_part, scores, strict=True):
                turn(each, score, folder, given.flips)
    return scores, rests


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description="bgd beside the least possible follower.")
    parser.add_argument("--proxy", choices=[*KINDS, "both"], default="both", help="the proxy to measure on")
    parser.add_argument("--apps", default="1,100", help="numbers of apps to measure with")
    parser.add_argument("--backends", type=int, default=4, help="backends of each app, half of each colour")
    parser.add_argument(
        "--probed", default="1s", help="how often each is probed, at rest: 1s,5s; the first counts for flips"
    )
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender")
    parser.add_argument("--flips", type=int, default=10, help="flips in a turn; an even number")
    parser.add_argument("--rest", type=float, default=20.0, help="seconds to watch bgd at rest")
    parser.add_argument("--fleet", action="store_true", help="one order for six nodes, instead of all that")
    given = parser.parse_args()
    scores: list[Score] = []
    rests: dict[tuple[str, int], list[Rest]] = {}
    proxies = list(KINDS) if given.proxy == "both" else [given.proxy]
    try:
        if given.fleet:
            print(fleet.measured(given.rounds, given.flips, say))
            return 0
        for proxy, number in product(proxies, (int(each) for each in given.apps.split(","))):
            found, rests[proxy, number] = with_apps(proxy, number, given)
            scores += found
    except (LateError, MissingError) as error:
        say(f"bench failed: {error}")
        return 1
    print(table.flips(scores, Follower.name), table.rests(rests), sep="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
