"""The worlds that tests may ask for by name."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bgd.store import catalog_watch, library, wish_watch
from tests.integration import consul
from tests.integration.consul import ConsulServer
from tests.integration.fleet_world import Fleet, fleet


@pytest.fixture
def consul_server(tmp_path: Path) -> Iterator[ConsulServer]:
    """A Consul of the test's own, to be hurt; a restart loses all it holds."""
    with consul.running(tmp_path / "consul") as server:
        yield server


@pytest.fixture
def lasting_consul(tmp_path: Path) -> Iterator[ConsulServer]:
    """A Consul of the test's own that keeps its data over a restart."""
    with consul.running(tmp_path / "consul", lasting=True) as server:
        yield server


@pytest.fixture(scope="session")
def calm_consul(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsulServer]:
    """A Consul shared by tests that only write, each below a prefix of its own."""
    with consul.running(tmp_path_factory.mktemp("calm-consul")) as server:
        yield server


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet of six nodes, shared by a module's tests: each leaves all of them well."""
    with fleet(tmp_path_factory.mktemp("fleet")) as made:
        yield made


@pytest.fixture(params=["haproxy", "nginx"])
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of proxy in its turn."""
    return str(request.param)


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Questions that come back soon, so that a fault that wakes nobody is met soon."""
    for module in (wish_watch, catalog_watch):
        monkeypatch.setattr(module, "WAIT_S", 0.5)
    monkeypatch.setattr(library, "READ_S", 1.0)
    monkeypatch.setattr(library, "SLACK_S", 0.5)
    monkeypatch.setattr("bgd.store.presence.RENEW_S", 0.2)
