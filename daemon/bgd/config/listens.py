"""Binds as nginx takes them after `listen`, and which addresses they claim.

Options have one spelling too: in the order of the alphabet. What would work in nginx but not with bgd is
refused here: a socket that a killed nginx leaves behind, a second word on who is the default, QUIC and UDP.
"""

import re

from bgd.config.binds import Bind, claims, spelled
from bgd.config.values import bad, shown, text

_CURE = 'write what nginx takes after "listen": address:port and options, such as "*:443 ssl http2"'
_OPTION = r"[a-z][a-z0-9_-]*(=[A-Za-z0-9:._-]+)?"
_REFUSED = {
    "default_server": "take it out: the app without hosts is the default of its address",
    "default": "take it out: the app without hosts is the default of its address",
    "quic": 'take it out: bgd cannot prove what QUIC serves; "ssl http2" is served',
    "udp": "take it out: bgd switches TCP and HTTP only",
    "crt": 'write "ssl_certificate FILE;" and "ssl_certificate_key FILE;" into lines',
    "alpn": 'write "http2" for HTTP/2',
    "accept-proxy": 'write "proxy_protocol"',
    "v4v6": 'write "ipv6only=off"',
    "v6only": "take it out: so it is by default",
}


def listen(value: object) -> str:
    """A bind in its one spelling, so that apps that share one can be told by comparing text."""
    return str(parse_listen(text(value)))


def parse_listen(line: str) -> Bind:
    """A bind for nginx taken apart; raises `Bad`."""
    words = line.split()
    for option in words[1:]:
        if option in _REFUSED:
            raise bad(f'{shown(line)} holds "{option}"', _REFUSED[option])
        if not re.fullmatch(_OPTION, option, re.ASCII):
            raise bad(f"{shown(line)} holds an option that nginx does not take", _CURE)
    return claimed(words, line)


def claimed(words: list[str], line: str) -> Bind:
    """An address and options, whatever they are; raises `Bad` when it is no address."""
    if not words:
        raise bad("is empty", _CURE)
    if words[0].startswith(("unix:", "/")):
        cure = "use a port of 127.0.0.1: a killed nginx leaves its socket behind and does not start again"
        raise bad(f"{shown(line)} is a unix socket", cure)
    address = spelled(_with_port(words[0]), line, _CURE)
    options = tuple(sorted(set(words[1:])))
    return Bind((address,), options, claims([address], both_families="ipv6only=off" in options))


def _with_port(address: str) -> str:
    """nginx takes a port alone, and an address alone for its port 80."""
    if re.fullmatch(r"[0-9]+(-[0-9]+)?", address, re.ASCII):
        return f"*:{address}"
    return f"{address}:80" if address.endswith("]") or ":" not in address else address
