"""Further lines for the servers that nginx has for an app, as bgd.toml may say them.

Rules that live here: a line is whole directives or blocks, so that what follows it in bgd's part means what
it would mean without; what bgd says itself, or the host does, is no line.
"""

from bgd.config.directives import TOKEN, directives
from bgd.config.values import bad, shown, text

_CURE = (
    'write whole directives, each with ";" at its end, or whole blocks, such as "client_max_body_size 20m;"'
)
_SAID_ELSEWHERE = {"listen": "write addresses into bind", "server_name": "write host names into hosts"}
_BLOCKS = {"events", "http", "mail", "server", "stream", "upstream"}


def server_line(value: object) -> str:
    """A further line for an app's server."""
    line = text(value)
    found = [*directives(f"{line}\nnext;")]
    if len(found) < 2 or found[-1].words != ("next",) or found[-1].within:
        raise bad(f"{shown(line)} is no whole directive", _CURE)
    if any(token["comment"] for token in TOKEN.finditer(line)):
        raise bad(f"{shown(line)} holds a comment", "put comments into bgd.toml itself, or quote the #")
    for directive in found[:-1]:
        if directive.name in _BLOCKS and directive.opens:
            cure = "put it into the host's own files; lines are for this app's server"
            raise bad(f'{shown(line)} begins "{directive.name}"', cure)
        if directive.name in _SAID_ELSEWHERE:
            raise bad(f'{shown(line)} holds "{directive.name}"', _SAID_ELSEWHERE[directive.name])
    return line
