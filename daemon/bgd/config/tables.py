"""Every key of bgd.toml: the field it fills, and how its value is read.

The file knows exactly what works: a key that is not listed here is a problem, never a silent promise.
"""

from collections.abc import Mapping

from bgd.config import values as value
from bgd.config.kinds import KINDS, Kind
from bgd.config.reading import Table

_TOP: Table = {"node": ("node", value.optional(value.node_name))}
_CONSUL: Table = {
    "address": ("address", value.optional(value.consul_address)),
    "token_file": ("token_file", value.optional(value.path_text)),
    "ca_file": ("ca_file", value.optional(value.path_text)),
    "cert_file": ("cert_file", value.optional(value.path_text)),
    "key_file": ("key_file", value.optional(value.path_text)),
    "prefix": ("prefix", value.prefix),
    "datacenter": ("datacenter", value.optional(value.datacenter)),
}
_STATUS: Table = {"listen": ("listen", value.optional(value.listen))}
_STATE: Table = {"directory": ("state_directory", value.path)}
_NOTIFY: Table = {"command": ("notify", value.words)}
_PROBE: Table = {
    "path": ("path", value.optional(value.probe_path)),
    "host": ("host", value.optional(value.probe_host)),
    "port": ("port", value.number(0, 65535)),
    "interval": ("interval_s", value.duration("50ms", "1h")),
    "timeout": ("timeout_s", value.duration("1ms", "1h")),
    "rise": ("rise", value.number(1, 1000)),
    "fall": ("fall", value.number(1, 1000)),
    "expect": ("expect", value.expect),
    "max_latency": ("max_latency_s", value.duration("0s", "1h")),
}
_FLIP: Table = {
    "min_healthy": ("min_healthy", value.min_healthy),
    "patience": ("patience_s", value.duration("1s", "168h")),
    "warmup_requests": ("warmup_requests", value.number(0, 10_000)),
    "probation": ("probation_s", value.duration("0s", "168h")),
}
_REVERT: Table = {
    "auto": ("auto", value.yes_or_no),
    "error_rate": ("error_rate", value.share),
    "latency": ("latency_s", value.duration("0s", "1h")),
    "window": ("window_s", value.duration("1s", "10m")),
    "min_requests": ("min_requests", value.number(1, 1_000_000)),
}


def _proxy(kind: Kind) -> Table:
    return {
        "kind": ("kind", value.one_of(*KINDS)),
        "main_file": ("main_file", value.path),
        "file": ("file", kind.part),
        "templates": ("templates", value.path),
        "check": ("check", value.optional(value.command)),
        "reload": ("reload", value.command),
        "runtime_socket": ("runtime_socket", value.socket_path),
        "master_socket": ("master_socket", value.socket_path),
        "pid_file": ("pid_file", value.path),
        "proof_port": ("proof_port", value.number(1, 65535)),
        "unit": ("unit", value.optional(value.unit, kind.defaults.unit)),
        "container": ("container", value.optional(value.container)),
        "max_old_workers": ("max_old_workers", value.number(1, 1000)),
    }


def _app(kind: Kind) -> Table:
    return {
        "name": ("name", value.app_name),
        "service": ("service", value.service_name),
        "colour_by": ("colour_by", value.one_of("tag", "service", "meta")),
        "release_meta": ("release_meta", value.meta_key),
        "mode": ("mode", value.one_of("http", "tcp")),
        "bind": ("bind", value.each(kind.bind)),
        "hosts": ("hosts", value.each(value.host)),
        "paths": ("paths", value.each(kind.path)),
        "lines": ("lines", value.each(kind.line, repeatable=True)),
        "drain": ("drain_s", value.duration("0s", "168h")),
    }


def tables(kind: Kind) -> Mapping[str, Table]:
    """Every table with the keys that it takes."""
    return {
        "": _TOP,
        "consul": _CONSUL,
        "proxy": _proxy(kind),
        "status": _STATUS,
        "state": _STATE,
        "notify": _NOTIFY,
        "app": _app(kind),
        "app.probe": _PROBE,
        "app.flip": _FLIP,
        "app.revert": _REVERT,
    }


TABLES: Mapping[str, Table] = tables(KINDS["haproxy"])
"""The keys are the same for every proxy."""
