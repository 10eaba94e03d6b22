"""What an operator without bgd writes into the proxy's own file: apps, routes and backends.

Each proxy has its own words for it, and its own place that says which colour is live: a map in HAProxy,
a flag file (there: green) for nginx. Each app has its name as path.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

Apps = Mapping[str, Mapping[str, Sequence[str]]]
"""App → colour → addresses."""

HAPROXY_FRONTEND = """\
frontend apps
    bind 127.0.0.1:{port}
    option idle-close-on-response
"""
NGINX_LOCATION = """\
        location {path} {{
            set $to {app}_blue;
            if (-e {flag}) {{ set $to {app}_green; }}
            proxy_pass http://$to;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
"""


def haproxy(apps: Apps, port: int, decision: str) -> str:
    """Sections of HAProxy's file; `decision` names the backend of an app by its name, as {app}."""
    lines = [HAPROXY_FRONTEND.format(port=port)]
    for app in reversed(list(apps)):  # the first match counts: app10 before app1
        lines.append(f"    use_backend {decision.replace('{app}', app)} if {{ path_beg {path(app)} }}\n")
    for name, addresses in groups(apps):
        lines.append(f"backend {name}\n")
        lines += [f"    server s{number} {address}\n" for number, address in enumerate(addresses)]
    return "".join(lines)


def nginx(apps: Apps, port: int, flags: Path) -> str:
    """Lines of nginx's `http`; an app is green while its flag is there."""
    lines = []
    for name, addresses in groups(apps):
        servers = "".join(f" server {address};" for address in addresses)
        lines.append(f"    upstream {name} {{{servers} keepalive 32; }}\n")
    lines.append(f"    server {{\n        listen 127.0.0.1:{port};\n")
    lines += [NGINX_LOCATION.format(path=path(app), app=app, flag=flag(flags, app)) for app in apps]
    return "".join([*lines, "    }\n"])


def path(app: str) -> str:
    return f"/{app}"


def flag(flags: Path, app: str) -> Path:
    return flags / f"{app}.green"


def groups(apps: Apps) -> Iterator[tuple[str, Sequence[str]]]:
    """Each colour of each app, by the name of its backends."""
    for app, colours in apps.items():
        for colour, addresses in colours.items():
            yield f"{app}_{colour}", addresses
