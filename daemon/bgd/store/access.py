"""Where Consul is and by what right we ask: the settings, over the environment as the consul CLI reads it.

Rules that live here: what stands in the settings wins over the environment; a token file wins over a
token; a malformed value is named with its place and its cure before anything is asked.
"""

import base64
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bgd.config import ConsulSettings
from bgd.store.faults import BadSetting

DEFAULT_ADDRESS = "http://127.0.0.1:8500"
_ADDRESS = re.compile(
    r"(?:(?P<scheme>https?)://)?(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::(?P<port>[0-9]{1,5}))?/?",
    re.ASCII,
)
_ADDRESS_CURE = 'write "http://host:port", "https://host:port" or "unix:///path"'
_YES, _NO = ("1", "t", "T", "true", "TRUE", "True"), ("0", "f", "F", "false", "FALSE", "False")


@dataclass(frozen=True, slots=True)
class Place:
    """Where Consul listens: a host and a port, or the path of a unix socket."""

    host: str = ""
    port: int = 0
    tls: bool = False
    socket_path: str = ""

    def __str__(self) -> str:
        if self.socket_path:
            return f"unix://{self.socket_path}"
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Access:
    """All that a connection to Consul needs."""

    place: Place
    tls: ssl.SSLContext | None = None
    tls_name: str = ""
    token: str = ""
    token_file: Path | None = None
    token_file_named_in: str = ""
    datacenter: str = ""
    login: str = ""
    """The Authorization header for a proxy in front of Consul, or empty."""

    def read_token(self) -> str:
        """The token as it is now; a file's may have been replaced."""
        if self.token_file is None:
            return self.token
        try:
            token = self.token_file.read_text().strip() or self.token
        except (OSError, UnicodeDecodeError) as error:
            what = f"{str(self.token_file)!r} cannot be read: {_cause(error)}"
            raise BadSetting(self.token_file_named_in, what, "name a readable file") from error
        return _one_token(token, self.token_file_named_in)


def access(settings: ConsulSettings, environ: Mapping[str, str]) -> Access:
    """How to reach Consul; raises BadSetting."""
    place = _place(settings, environ)
    token_place, token_file = _either("token_file", settings.token_file, "CONSUL_HTTP_TOKEN_FILE", environ)
    return Access(
        place=place,
        tls=_tls(settings, environ) if place.tls else None,
        tls_name=environ.get("CONSUL_TLS_SERVER_NAME", ""),
        token=_one_token(environ.get("CONSUL_HTTP_TOKEN", ""), "CONSUL_HTTP_TOKEN"),
        token_file=Path(token_file) if token_file else None,
        token_file_named_in=token_place,
        datacenter=settings.datacenter,
        login=_login(environ.get("CONSUL_HTTP_AUTH", "")),
    )


def _either(field: str, setting: str, variable: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """A value and the place where it stands."""
    return (f"consul.{field}", setting) if setting else (variable, environ.get(variable, ""))


def _place(settings: ConsulSettings, environ: Mapping[str, str]) -> Place:
    where, text = _either("address", settings.address, "CONSUL_HTTP_ADDR", environ)
    text = text or DEFAULT_ADDRESS
    if text.startswith("unix://"):
        return Place(socket_path=_socket_path(where, text))
    found = _ADDRESS.fullmatch(text)
    if found is None or not 0 < int(found["port"] or 1) < 65536:
        raise BadSetting(where, f"{text[:100]!r} is not an address of Consul", _ADDRESS_CURE)
    # A scheme that stands in the settings wins; in the environment TLS, once asked for, is never undone.
    asked = _truth("CONSUL_HTTP_SSL", environ, default=False)
    tls = found["scheme"] == "https" or (asked and not (settings.address and found["scheme"]))
    return Place(host=found["host"], port=int(found["port"] or (443 if tls else 80)), tls=tls)


def _socket_path(where: str, text: str) -> str:
    path = text.removeprefix("unix://")
    if not path.startswith("/") or "\0" in path or len(os.fsencode(path)) > 107:
        what = f"{text[:120]!r} is not the absolute path of a socket, of at most 107 bytes"
        raise BadSetting(where, what, 'write "unix:///path"')
    return path


def _truth(variable: str, environ: Mapping[str, str], *, default: bool) -> bool:
    text = environ.get(variable, "")
    if text and text not in _YES + _NO:
        raise BadSetting(variable, f"{text[:40]!r} is neither true nor false", "write true or false")
    return text in _YES if text else default


def _tls(settings: ConsulSettings, environ: Mapping[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context()
    ca_place, ca_file = _either("ca_file", settings.ca_file, "CONSUL_CACERT", environ)
    if ca_file:
        context = _trusting(ca_place, cafile=ca_file)
    elif folder := environ.get("CONSUL_CAPATH", ""):
        context = _trusting("CONSUL_CAPATH", capath=folder)
    if not _truth("CONSUL_HTTP_SSL_VERIFY", environ, default=True):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    _show_certificate(context, settings, environ)
    return context


def _trusting(place: str, *, cafile: str | None = None, capath: str | None = None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=cafile, capath=capath)
    except (OSError, ValueError) as error:
        what = f"{cafile or capath!r} holds no certificate authority: {_cause(error)}"
        raise BadSetting(place, what, "name a readable PEM file") from error


def _show_certificate(context: ssl.SSLContext, settings: ConsulSettings, environ: Mapping[str, str]) -> None:
    cert_place, cert = _either("cert_file", settings.cert_file, "CONSUL_CLIENT_CERT", environ)
    key_place, key = _either("key_file", settings.key_file, "CONSUL_CLIENT_KEY", environ)
    if not cert and not key:
        return
    if not cert:
        raise BadSetting(cert_place, f"is missing beside {key_place}", "name the certificate's PEM file")
    try:
        context.load_cert_chain(cert, key or None, password=_no_password)
    except (OSError, ValueError) as error:
        what = f"{cert!r} with the key {key or cert!r} ({key_place}) cannot be used: {_cause(error)}"
        raise BadSetting(cert_place, what, "name readable PEM files that belong together") from error


def _no_password() -> str:
    raise ValueError("the key is encrypted")


def _login(pair: str) -> str:
    return "Basic " + base64.b64encode(os.fsencode(pair)).decode() if pair else ""


def _one_token(token: str, place: str) -> str:
    """A token that can stand in a header."""
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise BadSetting(place, "holds more than one token", "put the token alone in it, on one line")
    return token


def _cause(error: Exception) -> str:
    strerror = error.strerror if isinstance(error, OSError) else None
    return strerror or str(error)
