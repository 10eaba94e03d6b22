"""Where Consul is and by what right we ask."""

import ssl
from pathlib import Path

import pytest

from bgd.config import ConsulSettings
from bgd.store.access import Access, access
from bgd.store.faults import BadSetting


def given(environ: dict[str, str] | None = None, **settings: str) -> Access:
    return access(ConsulSettings(**settings), environ or {})


@pytest.mark.parametrize(
    ("address", "environ", "place"),
    [
        ("", {}, "http://127.0.0.1:8500"),
        ("http://consul:8501/", {}, "http://consul:8501"),
        ("https://consul", {}, "https://consul:443"),
        ("[::1]:8500", {}, "http://[::1]:8500"),
        ("unix:///run/consul.sock", {}, "unix:///run/consul.sock"),
        ("", {"CONSUL_HTTP_ADDR": "10.0.0.1:8500"}, "http://10.0.0.1:8500"),
        ("", {"CONSUL_HTTP_ADDR": "unix:///run/consul.sock"}, "unix:///run/consul.sock"),
        ("", {"CONSUL_HTTP_SSL": "true"}, "https://127.0.0.1:8500"),
        ("", {"CONSUL_HTTP_ADDR": "http://a:1", "CONSUL_HTTP_SSL": "1"}, "https://a:1"),
        ("b:2", {"CONSUL_HTTP_ADDR": "http://a:1", "CONSUL_HTTP_SSL": "true"}, "https://b:2"),
        ("http://b:2", {"CONSUL_HTTP_ADDR": "https://a:1", "CONSUL_HTTP_SSL": "true"}, "http://b:2"),
    ],
)
def test_where_consul_is(address: str, environ: dict[str, str], place: str) -> None:
    """The address is found as the consul CLI finds it, and what stands in the settings wins."""
    assert str(given(environ, address=address).place) == place


@pytest.mark.parametrize(
    ("address", "environ", "where"),
    [
        ("", {"CONSUL_HTTP_ADDR": "a:b:c"}, "CONSUL_HTTP_ADDR"),
        ("ftp://a", {}, "consul.address"),
        ("http://a:0", {}, "consul.address"),
        ("http://a:65536", {}, "consul.address"),
        ("http://a/path", {}, "consul.address"),
        ("a\r\nb", {}, "consul.address"),
        ("unix://relative", {}, "consul.address"),
        ("unix:///" + "x" * 200, {}, "consul.address"),
        ("", {"CONSUL_HTTP_SSL": "maybe"}, "CONSUL_HTTP_SSL"),
        ("", {"CONSUL_HTTP_TOKEN": "one two"}, "CONSUL_HTTP_TOKEN"),
        ("", {"CONSUL_HTTP_TOKEN_FILE": "/nowhere/token"}, "CONSUL_HTTP_TOKEN_FILE"),
        ("https://a", {"CONSUL_CACERT": "/nowhere/ca"}, "CONSUL_CACERT"),
        ("https://a", {"CONSUL_HTTP_SSL_VERIFY": "perhaps"}, "CONSUL_HTTP_SSL_VERIFY"),
        ("https://a", {"CONSUL_CLIENT_KEY": "/some/key"}, "CONSUL_CLIENT_CERT"),
        ("https://a", {"CONSUL_CLIENT_CERT": "/nowhere/cert"}, "CONSUL_CLIENT_CERT"),
    ],
)
def test_a_bad_setting_is_named_with_its_cure(address: str, environ: dict[str, str], where: str) -> None:
    """What means nothing is told with the place where it stands and with what to write instead."""
    with pytest.raises(BadSetting) as raised:
        given(environ, address=address).read_token()
    assert raised.value.place == where
    assert raised.value.what
    assert raised.value.cure
    assert str(raised.value).isprintable()


def test_files_that_are_not_what_they_should_be(tmp_path: Path) -> None:
    """A file that holds no certificate is named by the setting that named it."""
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    for name in ("ca_file", "cert_file"):
        with pytest.raises(BadSetting, match=f"consul\\.{name}"):
            given(None, address="https://a", **{name: str(nonsense)})


def test_a_token_file_wins_over_a_token(tmp_path: Path) -> None:
    """The token is the file's, read anew each time; the settings' file wins over the environment's."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("token-one\n")
    two.write_text("token-two\n")
    environ = {"CONSUL_HTTP_TOKEN": "token-zero", "CONSUL_HTTP_TOKEN_FILE": str(one)}
    assert given({"CONSUL_HTTP_TOKEN": "token-zero"}).read_token() == "token-zero"
    assert given(environ).read_token() == "token-one"
    found = given(environ, token_file=str(two))
    assert found.read_token() == "token-two"
    two.write_text("token-three")
    assert found.read_token() == "token-three"


def test_verification_can_be_turned_off() -> None:
    """CONSUL_HTTP_SSL_VERIFY decides whether Consul must show a certificate that we trust."""
    strict, lax = (
        given(address="https://a").tls,
        given({"CONSUL_HTTP_SSL_VERIFY": "0"}, address="https://a").tls,
    )
    assert strict is not None
    assert lax is not None
    assert (strict.verify_mode, lax.verify_mode) == (ssl.CERT_REQUIRED, ssl.CERT_NONE)


def test_a_login_for_a_proxy_in_front() -> None:
    """CONSUL_HTTP_AUTH becomes a basic login."""
    assert given({"CONSUL_HTTP_AUTH": "user:pass"}).login == "Basic dXNlcjpwYXNz"


def test_an_environment_that_is_not_utf_8() -> None:
    """Bytes that are no text are passed on as they are, and are no fault of ours."""
    found = given({"CONSUL_HTTP_ADDR": "unix:///run/\udcff", "CONSUL_HTTP_AUTH": "a:\udcff"})

    assert found.place.socket_path == "/run/\udcff"
    assert found.login == "Basic YTr/"
