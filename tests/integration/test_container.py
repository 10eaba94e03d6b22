"""Proxies in Docker containers, bgd on the host: what runs, what is seen of them, and what is refused."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from bgctl.demo.parts import Backends
from bgd.core.events import ProxyLost, ProxySeen
from bgd.core.model import Colour
from bgd.ports import Failed, Proved
from bgd.proxy import container
from bgd.proxy.container import Container
from bgd.proxy.out_of_reach import OutOfReach
from tests.integration import consul as consul_world
from tests.integration.docker import Engine, running_engine
from tests.integration.haproxy import HaproxyServer, Stage
from tests.integration.nginx import NginxServer
from tests.integration.shop import Shop
from tests.integration.waiting import eventually

BLUE, GREEN = Colour
KINDS = ("haproxy", "nginx")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """One engine for all tests here, found by DOCKER_HOST as bgd finds it."""
    with running_engine() as engine, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", engine.url)
        yield engine


class InContainer:
    """What is different when one of the tests' proxies runs in a container, with its folder where it is."""

    root: Path
    answers: Callable[[], bool]
    command: Callable[[], list[str]]

    def __init__(self, engine: Engine) -> None:
        super().__init__(Path(tempfile.mkdtemp(prefix="lb-", dir=engine.folder)))  # type: ignore[call-arg]
        self.engine, self.name = engine, self.root.name
        self.folders: list[str] = [f"{self.root}:{self.root}"]
        self.options: dict[str, Any] = {}

    def settings(self, **changes: Any) -> Any:
        inside = {"check": "", "container": self.name}
        return super().settings(**{**inside, **changes})  # type: ignore[misc]

    @property
    def container(self) -> Any:
        """The container as it is now, or None."""
        found = self.engine.client.containers.list(all=True, filters={"name": f"^/{self.name}$"})
        return found[0] if found else None

    @property
    def process_id(self) -> int:
        return int(self.container.attrs["State"]["Pid"])

    def start(self) -> None:
        """Start the container that there is, or run one; return when the proxy answers."""
        if self.container:
            self.container.start()
        else:
            self.engine.run(self.name, self.command(), self.folders, **self.options)
        eventually(self._runs, "the proxy answers")

    def kill(self) -> None:
        if self.container and self.container.status == "running":
            self.container.kill()

    def remove(self) -> None:
        if self.container:
            self.container.remove(force=True)

    def _runs(self) -> bool:
        assert self.container.status == "running", self.container.logs().decode()[-2000:]
        return self.answers()


class ContainedHaproxy(InContainer, HaproxyServer):
    """HAProxy in a container."""

    def command(self) -> list[str]:
        return ["haproxy", *super().command()[1:]]


class ContainedNginx(InContainer, NginxServer):
    """nginx in a container, which may only read bgd's folder."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.folders.append(f"{self.folder}:{self.folder}:ro")

    def command(self) -> list[str]:
        return ["nginx", *super().command()[1:]]


PROXIES = {"haproxy": ContainedHaproxy, "nginx": ContainedNginx}


@contextmanager
def contained(engine: Engine, kind: str, *, start: bool = True) -> Iterator[Any]:
    """A proxy in a container, which goes with the test."""
    proxy = PROXIES[kind](engine)
    try:
        if start:
            proxy.start()
        yield proxy
    finally:
        proxy.remove()


@contextmanager
def opened(folder: Path, engine: Engine, kind: str) -> Iterator[Shop]:
    """A shop whose proxy is in a container, and whose blue serves."""
    with ExitStack() as stack:
        proxy = stack.enter_context(contained(engine, kind))
        backends = stack.enter_context(Backends(proxy.root, ("blue", "blue", "green", "green")))
        server = stack.enter_context(consul_world.running(folder / "consul"))
        shop = Shop(proxy.root, server, proxy, backends)
        stack.callback(lambda: shop.bgd.stop())
        shop.open()
        yield shop


@pytest.mark.parametrize("kind", KINDS)
def test_flips_members_and_reloads(tmp_path: Path, engine: Engine, kind: str) -> None:
    """Flips without a reload, a server that goes, lines by a reload: in a container too nothing is lost."""
    lines = {"haproxy": "http-response set-header x-new 1", "nginx": "add_header x-new 1;"}
    with opened(tmp_path, engine, kind) as shop, shop.load():
        for colour in ("green", "blue", "green"):
            shop.put(colour)
            shop.until_serving(colour)

            assert shop.report()["serving"]["via"] == "runtime"
        left = shop.backends.of("green")[0]
        shop.leave(left)
        eventually(lambda: left not in part(shop), "it is out of the file")
        shop.apps = [shop.app("shop", shop.port, f'lines = ["{lines[kind]}"]')]
        shop.hup()
        eventually(lambda: "x-new" in part(shop), "the lines are in the file")

        shop.until_well()
        shop.in_step("green")


@pytest.mark.parametrize("kind", KINDS)
def test_what_would_be_refused_is_known_before(tmp_path: Path, engine: Engine, kind: str) -> None:
    """The container's own proxy is asked, as before a flip; customers notice nothing."""
    ask = ("set-live", "green", "--app", "shop", "--dry-run")
    with opened(tmp_path, engine, kind) as shop, shop.load():
        shop.bgctl(*ask, check=True)
        shop.apps = [shop.app("shop", shop.port, f'lines = ["{shop.proxy.bad_line}"]')]
        shop.hup()
        shop.until_because("check-failed")
        refused = shop.bgctl(*ask)

        assert (refused.returncode, "nonsense" in refused.stdout + refused.stderr) == (4, True), refused
        assert shop.answer() == "blue"


def part(shop: Shop) -> str:
    """bgd's part, as a restart of the proxy would load it."""
    return str(shop.proxy.settings().file.read_text())


@pytest.mark.parametrize("kind", KINDS)
def test_a_container_that_ends_and_comes_back(tmp_path: Path, engine: Engine, kind: str) -> None:
    """Restarted, killed, removed: each is seen, named with its cure, and answered with the last wish."""
    with opened(tmp_path, engine, kind) as shop:
        shop.put("green")
        shop.until_serving("green")
        shop.proxy.container.restart(timeout=1)
        eventually(lambda: shop.answer() == "green", "green serves after the restart")
        shop.until_well()
        shop.in_step("green")

        shop.proxy.kill()
        shop.until_because("proxy-lost")
        shop.put("blue")
        eventually(lambda: f"docker start {shop.proxy.name}" in detail(shop), "the cure is told")
        shop.proxy.start()
        shop.until_serving("blue")
        shop.in_step("blue")

        shop.proxy.remove()
        eventually(lambda: f"no container {shop.proxy.name}" in detail(shop), "it is missed by its name")
        assert shop.because() == "proxy-lost"
        shop.proxy.start()
        shop.until_well()
        assert shop.answer() == "blue"


def detail(shop: Shop) -> str:
    return str(shop.report()["detail"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_mounted_by_itself_is_refused(engine: Engine, kind: str) -> None:
    """A single file would stay the old one: it is refused with the reason, and nothing is written."""
    with contained(engine, kind, start=False) as proxy, staged(proxy) as stage:
        file = proxy.settings().file
        file.touch()
        proxy.folders.append(f"{file}:/etc/{kind}/{file.name}")
        proxy.start()

        seen, outcome = stage.look(), stage.flip(GREEN)

        assert isinstance(seen, ProxyLost)
        assert "by itself" in seen.detail
        assert isinstance(outcome, Failed)
        assert "by itself" in outcome.detail
        assert not file.read_text()


@contextmanager
def staged(proxy: Any) -> Iterator[Stage]:
    """bgd's proxy room before this proxy, with one app."""
    stage = Stage(proxy)
    try:
        stage.open(stage.app())
        yield stage
    finally:
        stage.close()


def test_a_reload_without_a_master_socket(engine: Engine) -> None:
    """Where bgd cannot reach HAProxy's master socket, Docker brings the signal."""
    with contained(engine, "haproxy", start=False) as proxy, staged(proxy) as stage:
        proxy.words = lambda: ["haproxy", "-W", "-db", "-f", str(proxy.main_file), "-f", str(proxy.folder)]
        proxy.start()

        outcome = stage.flip(GREEN)

        assert isinstance(outcome, Proved), outcome
        assert outcome.via == "reload"


@pytest.mark.parametrize("kind", KINDS)
def test_a_frozen_docker_stops_no_flip(engine: Engine, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker is needed for checks and reloads: while it is silent, the proxy is still seen and flipped."""
    monkeypatch.setattr(container, "ANSWER_S", 0.3)
    with contained(engine, kind) as proxy, staged(proxy) as stage:
        assert isinstance(stage.flip(GREEN), Proved)
        with engine.frozen():
            flipped = stage.flip(BLUE)
            eventually(lambda: isinstance(stage.look(), ProxySeen), "it is seen")
        assert isinstance(flipped, Proved)
        assert flipped.via == "runtime"


def test_what_docker_refuses_is_said_with_the_cure(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program or a file that is not in it, no right to ask, a container or a Docker that is not there."""
    with contained(engine, "haproxy") as proxy:
        inside = Container(proxy.name)

        assert inside.run(["haproxy", "-v"], 5.0) == ""
        assert f"container {proxy.name}: executable file not found" in inside.run(["nope"], 5.0)
        assert "did not end within 0.3 s" in inside.run(proxy.command(), 0.3)
        with pytest.raises(OutOfReach, match=f"/nope is not in container {proxy.name}"):
            inside.read(Path("/nope"))
        with pytest.raises(OutOfReach, match="there is no container nope: start it, or correct"):
            Container("nope").reach(proxy.folder)
        with nobody(), pytest.raises(OutOfReach, match="into the group docker, which makes it root"):
            Container(proxy.name).reach(proxy.folder)
        monkeypatch.setenv("DOCKER_HOST", f"unix://{proxy.root}/nope")
        with pytest.raises(OutOfReach, match="Docker is not there"):
            Container(proxy.name).reach(proxy.folder)


@contextmanager
def nobody() -> Iterator[None]:
    """This process without any right, for a moment."""
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_files_as_the_container_has_them(engine: Engine) -> None:
    """What is read and found is the container's own, behind links too, and not this host's."""
    with contained(engine, "haproxy") as proxy:
        inside = Container(proxy.name)
        sites = proxy.root / "sites"
        sites.mkdir()
        (sites / "b.conf").write_text("b")
        (sites / ".hidden.conf").write_text("hidden")
        (sites / "a.conf").symlink_to("b.conf")
        (proxy.root / "enabled").symlink_to(sites)

        assert inside.read(Path("/etc/passwd")).startswith("root:x:0:0::/:/x")
        assert inside.read(proxy.root / "enabled" / "a.conf") == "b"
        for folder in ("sites", "enabled"):
            found = [proxy.root / folder / name for name in ("a.conf", "b.conf")]
            assert inside.find(f"{proxy.root}/{folder}/*.conf") == found
        assert inside.find(f"{sites}/b.conf") == [sites / "b.conf"]
        assert inside.find("/nowhere/*") == []
