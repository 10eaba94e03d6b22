"""The servers that the host's own nginx files have already, and where an app would come between them.

Rules that live here: servers may share an address by their names, so only two that take the same requests
are a problem, of which nginx would silently leave one out; a TCP app shares with nobody; the proof port is
nobody else's. What nginx itself refuses is left to its own check.
"""

import glob
from collections.abc import Iterator
from pathlib import Path

import attrs

from bgd.config.binds import Bind
from bgd.config.checks import Placed
from bgd.config.directives import Directive, directives
from bgd.config.listens import claimed, parse_listen
from bgd.config.settings import AppSettings, ProxySettings, Settings
from bgd.config.values import Bad, Problem

FILES_AT_MOST = 500
_SERVERS = (("http", "server"), ("stream", "server"))


@attrs.frozen
class Listen:
    """One address of one of the host's own servers."""

    bind: Bind
    tcp: bool
    default: bool
    names: frozenset[str]
    place: str


def check_servers(apps: Placed, settings: Settings) -> Iterator[Problem]:
    """An app and a server of the host's own do not claim the same requests."""
    standing = listens_of(settings.proxy)
    for place, app in apps:
        for index, line in enumerate(app.bind):
            clashes = (_clash(place, index, app, line, listen) for listen in standing)
            yield from [clash for clash in clashes if clash][:1]


def _clash(place: str, index: int, app: AppSettings, line: str, listen: Listen) -> Problem | None:
    shared = min(parse_listen(line).claims & listen.bind.claims, default=None)
    if shared is None:
        return None
    if app.mode == "tcp" or listen.tcp:
        cure = "take it out there, or give the app another address"
        return Problem(f"{place}.bind[{index}]", f"{shared} is listened on by {listen.place}, already", cure)
    if listen.default and not app.hosts:
        cure = "give the app hosts, or take default_server out there"
        return Problem(f"{place}.hosts", f"{shared} has a default_server in {listen.place}, already", cure)
    for host in sorted(listen.names.intersection(app.hosts)):
        cure = "take it out there; nginx would leave one of the two out"
        return Problem(f"{place}.hosts", f"{host} on {shared} is served by {listen.place}, already", cure)
    return None


def check_proof_port(apps: Placed, settings: Settings) -> Iterator[Problem]:
    """The addresses of loopback on which nginx answers bgd are nobody else's."""
    port = settings.proxy.proof_port
    taken = [("status.listen", settings.listen.replace("[::]:", "*:").replace("0.0.0.0:", "*:"))]
    for place, app in apps:
        for index, line in enumerate(app.bind):
            taken += [(f"{place}.bind[{index}]", claim) for claim in parse_listen(line).claims]
    for listen in listens_of(settings.proxy):
        taken += [(listen.place, claim) for claim in listen.bind.claims]
    for owner, address in taken:
        host, _, taken_port = address.rpartition(":")
        if taken_port == str(port) and (host in ("*", "localhost") or host.startswith("127.")):
            yield Problem("proxy.proof_port", f"{address} is taken by {owner}", "use a port of its own")
            return


def listens_of(proxy: ProxySettings) -> list[Listen]:
    """Where the host's own servers listen; one in a container has files that are not this host's."""
    if proxy.container:
        return []
    servers: list[list[tuple[Path, Directive]]] = []
    for file, each in _expanded(proxy):
        if each.opens and (*each.within, each.name) in _SERVERS:
            servers.append([(file, each)])
        elif servers and each.within in _SERVERS:
            servers[-1].append((file, each))
    return [listen for server in servers for listen in _listens(server)]


def _listens(server: list[tuple[Path, Directive]]) -> Iterator[Listen]:
    tcp = server[0][1].within == ("stream",)
    named = [directive.values for _, directive in server if directive.name == "server_name"]
    names = frozenset(name.lower() for values in named for name in values)
    listens = [(file, directive) for file, directive in server if directive.name == "listen"]
    for file, directive in listens or server[:1]:
        options = set(directive.values[1:])
        words = [word for word in directive.values if word not in ("default_server", "default")]
        try:
            bind = claimed(words if listens else ["80"], "")
        except Bad:  # what only nginx understands is left to its own check
            continue
        default = not options.isdisjoint(("default_server", "default"))
        yield Listen(bind, tcp, default, names, f"{file}, line {directive.line}")


def _expanded(proxy: ProxySettings) -> Iterator[tuple[Path, Directive]]:
    """The directives of the host's own files, each include in its place, without bgd's own part.

    A file that cannot be read, or that nginx would refuse, says nothing from there on.
    """
    left = FILES_AT_MOST
    open_ = [_directives(proxy.main_file, ())]
    while open_:
        file, directive = next(open_[-1], (None, None))
        if file is None or directive is None:
            open_.pop()
        elif directive.name == "include" and len(directive.words) == 2:
            included = _included(proxy, directive.values[0])[:left]
            left -= len(included)
            open_ += [_directives(path, directive.within) for path in reversed(included)]
        else:
            yield file, directive


def _directives(file: Path, within: tuple[str, ...]) -> Iterator[tuple[Path, Directive]]:
    try:
        text = file.read_text(errors="replace") if file.is_file() else ""
    except OSError:
        return
    yield from ((file, directive) for directive in directives(text, within))


def _included(proxy: ProxySettings, pattern: str) -> list[Path]:
    found = [Path(name) for name in sorted(glob.glob(str(proxy.main_file.parent / pattern)))]
    return [path for path in found if (path.parent, path.stem) != (proxy.file.parent, proxy.file.stem)]
