"""Consul's word on a service's instances → backends per colour, each fit to be rendered as it stands.

Rules that live here: how instances are told apart by colour; what a backend's release, weight and
objection are; that nothing gets in whose address or port could be anything else in a proxy's
configuration. What is left out is told, a sentence each, quoted so that it can do no harm in a log.
"""

import ipaddress
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from bgd.config import AppSettings
from bgd.core.events import CatalogSeen
from bgd.core.model import Backend, Colour

Instance = Mapping[str, Any]
"""One element of what `/v1/health/service/NAME` answers."""

_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}$)({_LABEL}\.)*{_LABEL}", re.ASCII)
_LONGEST_RELEASE = 512
_SHOWN = 80


class LeftOut(Exception):
    """An instance that is not fit to be a backend, and why."""


def services(app: AppSettings) -> tuple[str, ...]:
    """The services that an app's backends are registered under."""
    if app.colour_by == "service":
        return tuple(f"{app.service}-{colour}" for colour in Colour)
    return (app.service,)


def read(app: AppSettings, service: str, instances: Iterable[Instance]) -> CatalogSeen:
    """What the catalog says of an app under one of its services."""
    backends: dict[Colour, list[tuple[Backend, int]]] = {colour: [] for colour in Colour}
    left_out = []
    for instance in instances:
        try:
            colour = _colour(app, service, instance)
            if colour is not None:
                backends[colour].append(_backend(app, instance))
        except LeftOut as why:
            left_out.append(f"{_named(service, instance)} is left out: {why}")
    return CatalogSeen(
        app.name, {colour: _released(backends[colour]) for colour in Colour}, tuple(sorted(left_out))
    )


def merge(app: AppSettings, parts: Iterable[CatalogSeen]) -> CatalogSeen:
    """What all of an app's services say together; with more than one, each is of one colour."""
    parts = tuple(parts)
    return CatalogSeen(
        app.name,
        {colour: tuple(each for part in parts for each in part.backends[colour]) for colour in Colour},
        tuple(sentence for part in parts for sentence in part.left_out),
    )


def _released(found: list[tuple[Backend, int]]) -> tuple[Backend, ...]:
    """Backends in a fixed order; those without a release get one from when they were first created."""
    oldest = min((index for backend, index in found if not backend.release), default=0)
    named = [each if each.release else replace(each, release=f"~{oldest}") for each, _ in found]
    return tuple(sorted(named, key=lambda each: (each.address, each.port, each.id)))


def _colour(app: AppSettings, service: str, instance: Instance) -> Colour | None:
    """The colour of an instance; None when it has none, as a canary of somebody else's."""
    if app.colour_by == "service":
        return Colour(service.removeprefix(f"{app.service}-"))
    if app.colour_by == "meta":
        return _meta_colour(instance)
    tags = _service(instance).get("Tags") or ()
    colours = [colour for colour in Colour if colour.value in tags]
    if len(colours) > 1:
        raise LeftOut("it has the tags of both colours")
    return colours[0] if colours else None


def _meta_colour(instance: Instance) -> Colour | None:
    word = _meta(instance).get("colour", "")
    if not word:
        return None
    try:
        return Colour(word)
    except ValueError:
        raise LeftOut(f"its meta colour is {_quoted(word)}, neither blue nor green") from None


def _backend(app: AppSettings, instance: Instance) -> tuple[Backend, int]:
    """A backend, its release empty when it has none, and when it was created."""
    service = _service(instance)
    release = str(_meta(instance).get(app.release_meta, "")).strip()
    checks = [check for check in instance.get("Checks") or () if isinstance(check, Mapping)]
    backend = Backend(
        address=_address(service.get("Address") or (instance.get("Node") or {}).get("Address")),
        port=_port(service.get("Port")),
        id=_plain(str(service.get("ID", ""))),
        release=_plain(release)[:_LONGEST_RELEASE],
        weight=_weight(service.get("Weights") or {}, checks),
        objection=_objection(checks),
    )
    return backend, int(service.get("CreateIndex", 0))


def _address(address: object) -> str:
    """An IP address in its one spelling, or a host name."""
    if not isinstance(address, str) or not address:
        raise LeftOut("it has no address")
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return _host(address)
    if found.is_unspecified or found.is_multicast or "%" in address:
        raise LeftOut(f"its address {_quoted(address)} is nobody's own")
    return str(found)


def _host(address: str) -> str:
    """A host name; one that ends in a number would be read as an address by some."""
    if not _HOST.fullmatch(address) or address.rpartition(".")[2].isdigit():
        raise LeftOut(f"its address {_quoted(address)} is neither an IP address nor a host name")
    return address.lower()


def _port(port: object) -> int:
    if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65535:
        raise LeftOut(f"its port {_quoted(port)} is not from 1 to 65535")
    return port


def _weight(weights: Mapping[str, Any], checks: list[Mapping[str, Any]]) -> int:
    """The weight that Consul itself would give it in an answer; a critical one keeps that of passing."""
    statuses = {check.get("Status") for check in checks}
    warned = "warning" in statuses and "critical" not in statuses
    weight = weights.get("Warning" if warned else "Passing", 1)
    return weight if isinstance(weight, int) and 0 <= weight <= 65535 else 1


def _objection(checks: list[Mapping[str, Any]]) -> str:
    """The first check that is critical. Not its output, which changes all the time."""
    critical = sorted(
        str(check.get("Name") or check.get("CheckID"))
        for check in checks
        if check.get("Status") == "critical"
    )
    return f"{_quoted(critical[0])} is critical" if critical else ""


def _service(instance: Instance) -> Mapping[str, Any]:
    found = instance.get("Service")
    return found if isinstance(found, Mapping) else {}


def _meta(instance: Instance) -> Mapping[str, Any]:
    found = _service(instance).get("Meta")
    return found if isinstance(found, Mapping) else {}


def _named(service: str, instance: Instance) -> str:
    node = (instance.get("Node") or {}).get("Node", "")
    return f"instance {_quoted(_service(instance).get('ID', ''))} of {service} on {_quoted(node)}"


def _plain(text: str) -> str:
    """Text on one line."""
    return text if text.isprintable() else json.dumps(text)[1:-1]


def _quoted(value: object) -> str:
    """A value as it can stand in a log: in quotes, on one line, cut."""
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 2] + '…"'
