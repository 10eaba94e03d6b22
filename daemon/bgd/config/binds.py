"""Bind lines as HAProxy takes them: which addresses they claim, and which the host's own file has.

HAProxy accepts one address in two frontends and splits its traffic between them at random, so an
address has one spelling here (`:80` and `0.0.0.0:80` are `*:80`) and can be compared.
"""

import ipaddress
import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

from bgd.config.values import Bad, bad, shown, text

_CURE = (
    'write what HAProxy takes after "bind": address:port and options, such as "*:443 ssl crt /etc/ssl/x.pem"'
)
_UNIX = r"(/|unix@/?|abns@)[A-Za-z0-9._/@+~-]+|fd@[0-9]+"
_FAMILIES = ("ipv4@", "ipv6@", "quic4@", "quic6@")


@attrs.frozen
class Bind:
    """One bind line: its addresses in their one spelling, its options, and all it claims."""

    addresses: tuple[str, ...]
    options: tuple[str, ...]
    claims: frozenset[str]

    def __str__(self) -> str:
        return " ".join((",".join(self.addresses), *self.options))


def bind(value: object) -> str:
    """A bind line in its one spelling, so that apps that share one can be told by comparing text."""
    return str(parse_bind(text(value)))


def parse_bind(line: str) -> Bind:
    """A bind line taken apart; raises `Bad`."""
    if not line.isascii() or re.search(r"""["'\\#]""", line):
        cure = "write addresses and options in plain characters, without quotes"
        raise bad(f"{shown(line)} holds a quote, a backslash, a # or letters beyond ASCII", cure)
    words = line.split()
    if not words:
        raise bad("is empty", _CURE)
    addresses = tuple(_address(address, line) for address in words[0].split(","))
    return Bind(addresses, tuple(words[1:]), claims(addresses, both_families="v4v6" in words))


def _address(address: str, line: str) -> str:
    if re.fullmatch(_UNIX, address):
        return address.removeprefix("unix@") if address.startswith("unix@/") else address
    family = next((word for word in _FAMILIES if address.startswith(word)), "")
    return spelled(address.removeprefix(family), line, _CURE, family)


def spelled(address: str, line: str, cure: str, family: str = "") -> str:
    """An address with its port, or a range of them, in its one spelling; raises `Bad`."""
    host, colon, ports = address.rpartition(":")
    if not colon or not _ports(ports):
        raise bad(f"{shown(line)} names no address with a port", cure)
    found = _host(family, host)
    if not found:
        raise bad(f"{shown(line)} names no address", cure)
    return f"{found}:{ports}"


def _ports(ports: str) -> range:
    found = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", ports, re.ASCII)
    low, high = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    return range(low, high + 1) if 1 <= low <= high <= 65535 else range(0)


def _host(family: str, host: str) -> str:
    """A host in its one spelling; empty when it is none."""
    kept = family if family.startswith("quic") else ""
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if bare in ("", "*"):
        return kept + ("[::]" if family.startswith(("ipv6", "quic6")) else "*")
    try:
        ip = ipaddress.ip_address(bare)
    except ValueError:
        named = re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?", host, re.ASCII)
        return kept + host.lower() if named else ""
    if ip.version == 6:
        return f"{kept}[{ip.compressed}]"
    return kept + ("*" if ip.is_unspecified else str(ip))


def claims(addresses: Iterable[str], *, both_families: bool) -> frozenset[str]:
    """All that addresses claim, each port by itself; with both families `[::]` is `*` too."""
    found = {claim for address in addresses for claim in _claims(address)}
    if both_families:
        found |= {claim.replace("[::]", "*", 1) for claim in found if claim.startswith("[::]:")}
    return frozenset(found)


def _claims(address: str) -> Iterator[str]:
    host, _, ports = address.rpartition(":")
    if not host:
        yield address
    for port in _ports(ports):
        yield f"{host}:{port}"


def binds_of(main_file: Path) -> dict[str, int]:
    """What the host's own file binds: address → line. A file that cannot be read says nothing."""
    try:
        lines = main_file.read_text(errors="replace").splitlines() if main_file.is_file() else []
    except OSError:
        return {}
    found: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        for claim in bound(line):
            found.setdefault(claim, number)
    return found


def bound(line: str) -> frozenset[str]:
    """The addresses that a line of a configuration binds; none when it is no bind line."""
    if "bind" not in line:
        return frozenset()  # most lines, and taking one apart into words is slow
    try:
        words = shlex.split(line, comments=True)
        return parse_bind(" ".join(words[1:])).claims if words[:1] == ["bind"] else frozenset()
    except (Bad, ValueError):  # what only HAProxy understands, such as a variable, is left to its own check
        return frozenset()
