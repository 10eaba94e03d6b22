"""What differs between the proxies in bgd.toml: the defaults, and what binds, lines and paths may be.

HAProxy's own rules are in `binds`, nginx's in `listens`, `server_lines` and `servers`.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import attrs

from bgd.config import values
from bgd.config.binds import Bind, bind, parse_bind
from bgd.config.checks import Placed, check_answers, check_drain, check_main_file
from bgd.config.listens import listen, parse_listen
from bgd.config.server_lines import server_line
from bgd.config.servers import check_proof_port, check_servers
from bgd.config.settings import ProxySettings, Settings
from bgd.config.values import Problem, Reader


@attrs.frozen(kw_only=True)
class Kind:
    """One kind of proxy, as far as the configuration goes."""

    defaults: ProxySettings
    part: Reader
    bind: Reader
    line: Reader
    path: Reader
    parse_bind: Callable[[str], Bind]
    checks: tuple[Callable[[Placed, Settings], Iterator[Problem]], ...]
    """What apps can get wrong together with the host's own files and ports."""


KINDS: Mapping[str, Kind] = {
    "haproxy": Kind(
        defaults=ProxySettings(),
        part=values.part_path(".cfg", "HAProxy"),
        bind=bind,
        line=values.frontend_line,
        path=values.url_path,
        parse_bind=parse_bind,
        checks=(check_main_file,),
    ),
    "nginx": Kind(
        defaults=ProxySettings(
            kind="nginx",
            main_file=Path("/etc/nginx/nginx.conf"),
            file=Path("/var/lib/bgd/nginx/bgd.conf"),
            unit="nginx.service",
        ),
        part=values.part_path(".conf", "nginx"),
        bind=listen,
        line=server_line,
        path=values.plain_path,
        parse_bind=parse_listen,
        checks=(check_servers, check_proof_port, check_answers, check_drain),
    ),
}
