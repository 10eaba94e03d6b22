"""Certificates that are not for bgd to read, in the copies that are checked."""

from pathlib import Path

import pytest

from bgd.proxy import certificates
from bgd.proxy.certificates import STAND_IN, with_stand_ins


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A certificate that is root's only, whoever runs the test."""
    path = tmp_path / "secret.pem"
    path.write_text("a key")
    real = certificates.readable
    monkeypatch.setattr(certificates, "readable", lambda each: each != path and real(each))
    return path


def test_what_may_not_be_read_is_replaced(secret: Path) -> None:
    """A certificate that bgd may not read has a stand-in."""
    line = f"    bind *:443 ssl crt {secret} alpn h2"

    assert with_stand_ins(line) == f"    bind *:443 ssl crt {STAND_IN} alpn h2"


def test_relative_to_the_base(secret: Path) -> None:
    """A certificate without a folder is looked for in the one that the host's own file names."""
    own = f"global\n    crt-base {secret.parent}\nfrontend f\n    bind *:443 ssl crt secret.pem\n"

    assert str(STAND_IN) in with_stand_ins(own)
    assert (
        with_stand_ins("bind *:443 ssl crt secret.pem", str(secret.parent))
        == f"bind *:443 ssl crt {STAND_IN}"
    )


def test_all_else_is_left_alone(secret: Path) -> None:
    """What may be read stays, and so does what is not there: that is the proxy's to say."""
    other = secret.with_name("other.pem")
    other.write_text("a key")
    text = f"bind *:443 ssl crt {other} crt {secret.with_name('gone.pem')}\n# crt {other}\n"

    assert with_stand_ins(text) == text


def test_the_stand_in_can_be_read() -> None:
    """The stand-in comes with the package."""
    assert certificates.readable(STAND_IN)
    assert "BEGIN CERTIFICATE" in STAND_IN.read_text()
