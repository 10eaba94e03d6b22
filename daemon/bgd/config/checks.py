"""What settings that are right one by one can get wrong together.

Rules: names are unique; one address has one set of options, one mode, and per host and path one app;
the host's own HAProxy file keeps its addresses to itself; bgd's part stands in a folder of its own.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, product

from bgd.config.binds import Bind, binds_of, parse_bind
from bgd.config.settings import AppSettings, ProxySettings, Settings
from bgd.config.values import Problem

Placed = Sequence[tuple[str, AppSettings]]
"""Apps with their places in the file."""

Parse = Callable[[str], Bind]
"""Takes a bind of the chosen proxy apart."""


def check_names(apps: Placed) -> Iterator[Problem]:
    """No two apps have one name."""
    first: dict[str, int] = {}
    for number, (_, app) in enumerate(apps, start=1):
        if app.name and first.setdefault(app.name, number) != number:
            what = f'"{app.name}" is the name of app[#{first[app.name]}] too'
            yield Problem(f"app[#{number}].name", what, "give every app a name of its own")


def check_tcp(apps: Placed) -> Iterator[Problem]:
    """A TCP connection names no host and no path, and it has no answers that could be judged."""
    for place, app in apps:
        told = {
            "hosts": bool(app.hosts),
            "paths": bool(app.paths),
            "revert.error_rate": app.revert.error_rate > 0,
            "revert.latency": app.revert.latency_s > 0,
        }
        for key, said in told.items():
            if app.mode == "tcp" and said:
                yield Problem(f"{place}.{key}", 'is for mode = "http" only', "take it out")


def check_binds(apps: Placed, parse: Parse) -> Iterator[Problem]:
    """One address has one set of options and one mode."""
    binds = [
        (f"{place}.bind[{index}]", app, parse(line))
        for place, app in apps
        for index, line in enumerate(app.bind)
    ]
    for (first_place, first, first_bind), (place, app, bind) in combinations(binds, 2):
        shared = min(first_bind.claims & bind.claims, default=None)
        if shared is not None:
            difference = _difference(first, first_bind, app, bind)
            if difference:
                cure = "write both the same, or give one of them another address"
                yield Problem(place, f"{shared} is also bound by {first_place}, {difference}", cure)


def _difference(first: AppSettings, first_bind: Bind, app: AppSettings, bind: Bind) -> str:
    if first_bind.options != bind.options:
        return "with other options"
    if first_bind.addresses != bind.addresses:
        return "together with other addresses"
    return f'with mode = "{first.mode}"' if first.mode != app.mode else ""


def check_claims(apps: Placed, parse: Parse) -> Iterator[Problem]:
    """One address, host and path belongs to one app."""
    owners: dict[tuple[str, str, str], str] = {}
    for place, app in apps:
        taken = [(owners.get(claim), claim) for claim in _claimed(app, parse)]
        owners |= {claim: place for owner, claim in taken if owner is None}
        for owner, (address, host, path) in taken:
            if owner not in (None, place):
                yield _taken(app, place, owner or "", f"{address}, {host or 'any host'}, {path}")
                break


def _claimed(app: AppSettings, parse: Parse) -> list[tuple[str, str, str]]:
    addresses = sorted({address for line in app.bind for address in parse(line).addresses})
    return list(product(addresses, app.hosts or ("",), app.paths or ("/",)))


def _taken(app: AppSettings, place: str, owner: str, claim: str) -> Problem:
    if app.mode == "tcp":
        return Problem(
            f"{place}.bind", f"{claim.split(',')[0]} is {owner}'s", "give it an address of its own"
        )
    cure = "tell them apart by hosts or paths, or give one of them another bind"
    return Problem(place, f"claims what {owner} claims: {claim}", cure)


def check_main_file(apps: Placed, settings: Settings) -> Iterator[Problem]:
    """What the host's own HAProxy file binds is not bound again; one in a container is not this host's."""
    proxy = settings.proxy
    taken = {} if proxy.container else binds_of(proxy.main_file)
    for place, app in apps:
        for index, line in enumerate(app.bind):
            for claim in sorted(parse_bind(line).claims & taken.keys())[:1]:
                what = f"{claim} is bound by {proxy.main_file}, line {taken[claim]}, already"
                cure = "take it out there, or set bind = [] and route in that frontend"
                yield Problem(f"{place}.bind[{index}]", what, cure)


def check_answers(apps: Placed, _settings: Settings) -> Iterator[Problem]:
    """What nginx answers is told to bgd by the servers that bgd writes, and by no others."""
    for place, app in apps:
        if not app.bind and app.mode == "http" and app.revert.judges_traffic:
            what = "with bind = [] bgd does not hear what nginx answers"
            yield Problem(f"{place}.revert", what, "take error_rate and latency out, or give the app a bind")


def check_drain(apps: Placed, _settings: Settings) -> Iterator[Problem]:
    """nginx ends no connection on command, and the kernel ends those of others for root only."""
    for place, app in apps:
        if app.drain_s > 0:
            what = "nginx cannot cut what is open on one colour only"
            cure = 'take it out, and let bgctl wait --drained tell when nothing is open; or kind = "haproxy"'
            yield Problem(f"{place}.drain", what, cure)


def check_folder(proxy: ProxySettings) -> Iterator[Problem]:
    """bgd's part stands in a folder of its own, which the proxy loads as a whole."""
    if proxy.file.parent == proxy.main_file.parent:
        what = f"{proxy.file.parent} is the folder of proxy.main_file"
        cure = f"give bgd a folder of its own, such as /var/lib/bgd/{proxy.kind}"
        yield Problem("proxy.file", what, cure)
