"""The servers and locations that nginx needs for one frontend: whose is which request, in nginx's words.

nginx chooses a server by its name first, and within it the longest location. Rules that live here: so the
server of a host holds the routes without a host too, but for those beneath a path that the host has itself;
a path is two locations, itself and all beneath it, before any regular expression; where an app takes the
whole of a host, regular expressions among its lines come before it. What is nobody's gets 503, and a server
of its own where every app has hosts: the first of its address, so the default only where nobody else is.

Each server has its like for the proof, at bgd's own address, without the lines that could answer, refuse or
store: those are for customers. In a host's server a directive of its own apps takes the place of those that
apps without a host bring into it, as nginx itself inherits; what adds up, such as `location`, adds up.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from bgd.config import AppSettings
from bgd.config.directives import Directive, directives, quoted
from bgd.proxy.routes import NOBODY, Frontend, Route

ADD_UP = ("if", "include", "location", "rewrite", "set")
PROTOCOLS = ("http2", "proxy_protocol", "ssl")
"""Options that every server of an address repeats; nginx takes all others once only."""
PROXY_PARAMS = tuple(
    ("proxy_set_header", header) for header in ("Host", "X-Real-IP", "X-Forwarded-For", "X-Forwarded-Proto")
)
"""What Debian's file of that name says, which many include: a header that is set twice is sent twice."""


@dataclass(frozen=True, slots=True)
class Location:
    """One location, and whose it is; of nobody when the app is empty."""

    match: str
    app: str
    closing: bool = False
    """Whether it is where an app's requests go while connections are being closed before a reload."""


@dataclass(frozen=True, slots=True)
class Virtual:
    """One server of a frontend, or with `proof` its like for bgd itself."""

    listens: tuple[str, ...]
    names: tuple[str, ...]
    """Quoted; none: it takes every host."""
    locations: tuple[Location, ...]
    lines: tuple[str, ...]
    http2: bool
    proof: bool = False

    def says(self, *words: str) -> bool:
        """Whether one of its lines begins so."""
        return any(found.words[: len(words)] == words for found in _outer(self.lines))

    def logging(self) -> list[str]:
        """Its lines without one that would keep every log away."""
        return [_logging(line) for line in self.lines]

    def unsaid(self, *said: str) -> list[str]:
        """Of these directives those that its lines leave to the template."""
        lines = {_key(words) for words in _followed(_outer(self.lines))}
        return [each for each in said if _key(each.split()) not in lines]


def virtual(front: Frontend) -> list[Virtual]:
    """Every server of a frontend, of each address the one for all other hosts first."""
    hosts: dict[tuple[Location, ...], list[str]] = {}
    for host in sorted({route.host for route in front.routes if route.host}):
        hosts.setdefault(_locations(front, host), []).append(host)
    servers = [_server(front, names, locations) for locations, names in hosts.items()]
    common = _locations(front, "")
    first = _server(front, [], common) if any(each.app for each in common) else _nobody(front)
    public = [first, *servers] if front.binds else []
    return public + [_for_proof(each) for each in (first, *servers)]


def _server(front: Frontend, hosts: list[str], locations: tuple[Location, ...]) -> Virtual:
    lines = tuple(_lines(front, hosts[0] if hosts else "", {location.app for location in locations}))
    names = tuple(map(quoted, hosts))
    return Virtual(tuple(_listens(front, hosts)), names, locations, lines, _http2(front))


def _listens(front: Frontend, hosts: list[str]) -> Iterable[str]:
    if front.mode == "tcp":
        return front.binds
    return map(_again, front.binds) if hosts else (f"{bind} default_server" for bind in front.binds)


def _nobody(front: Frontend) -> Virtual:
    """Answers other hosts, with the certificate of the first app that names one."""
    lines = next((lines for lines in map(_of_the_address, front.members) if lines), ())
    return Virtual(front.binds, (quoted(NOBODY),), (Location("/", ""),), lines, _http2(front))


def _of_the_address(app: AppSettings) -> tuple[str, ...]:
    names = {line.strip(): _names(line) for line in app.lines}
    if not any("ssl_certificate" in found for found in names.values()):
        return ()
    return tuple(line for line in names if all(name.startswith(("ssl_", "http2")) for name in names[line]))


def _for_proof(server: Virtual) -> Virtual:
    """The same decision; of the lines only those that say how requests are passed on."""
    lines = tuple(line for line in server.lines if all(map(_passes_on, _names(line))))
    locations = tuple(each for each in server.locations if not each.closing)
    return replace(server, listens=(), locations=locations, lines=lines, http2=False, proof=True)


def _passes_on(name: str) -> bool:
    return name.startswith("proxy_") and not name.startswith(("proxy_cache", "proxy_store"))


def _again(bind: str) -> str:
    address, *options = bind.split()
    return " ".join([address, *(option for option in options if option in PROTOCOLS)])


def _http2(front: Frontend) -> bool:
    lines = [line for app in front.members for line in app.lines]
    return any("http2" in bind.split()[1:] for bind in front.binds) or any(
        found.words[:2] == ("http2", "on") for found in _outer(lines)
    )


# Locations


def _locations(front: Frontend, host: str) -> tuple[Location, ...]:
    own = [route for route in front.routes if host and route.host == host]
    common = [route for route in front.routes if not route.host and not _hidden(route, own)]
    taken = {route.path: route for route in (*common, *own)}
    found = [location for path in sorted(taken) for location in _both(taken[path])]
    closing = [Location(f"@bgd_{app}", app, closing=True) for app in sorted({each.app for each in found})]
    rest = () if "" in taken else (Location("/", ""),)
    return (*found, *rest, *closing)


def _hidden(route: Route, own: Iterable[Route]) -> bool:
    return any(each.takes(each.host, route.path) for each in own)


def _both(route: Route) -> tuple[Location, ...]:
    if not route.path:
        return (Location("/", route.app),)
    beneath = Location(f"^~ {quoted(route.path + '/')}", route.app)
    return Location(f"= {quoted(route.path)}", route.app), beneath


# Lines


def _lines(front: Frontend, host: str, apps: set[str]) -> Iterator[str]:
    members = [app for app in front.members if app.name in apps]
    own = [line.strip() for app in members if host in _hosts(app) for line in app.lines]
    common = [line.strip() for app in members if host not in _hosts(app) for line in app.lines]
    replaced = {name for line in own for name in _names(line)} - set(ADD_UP)
    yield from dict.fromkeys([*own, *(line for line in common if replaced.isdisjoint(_names(line)))])


def _hosts(app: AppSettings) -> set[str]:
    return {host.lower() for host in app.hosts} or {""}


def _names(line: str) -> set[str]:
    return {found.name for found in _outer([line])}


def _followed(found: Iterable[Directive]) -> Iterator[tuple[str, ...]]:
    for each in found:
        included = each.name == "include" and each.words[-1].rpartition("/")[2] == "proxy_params"
        yield from PROXY_PARAMS if included else (each.words,)


def _logging(line: str) -> str:
    for each in reversed([*_outer([line])]):
        if each.words[:2] == ("access_log", "off"):
            line = line[: each.spans[0][0]] + line[each.end :]
    return line.strip()


def _key(words: Sequence[str]) -> tuple[str, ...]:
    """What can be said once: most directives by their name, headers one by one."""
    return tuple(word.lower() for word in words[: 2 if words[0].endswith("_set_header") else 1])


def _outer(lines: Iterable[str]) -> Iterator[Directive]:
    """The directives of the server itself, without those within its blocks."""
    return (found for found in directives("\n".join(lines)) if not found.within)
