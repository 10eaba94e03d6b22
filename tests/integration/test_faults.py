"""What goes wrong around a shop, each on real processes: nothing is lost where the proxy itself lives."""

from pathlib import Path

import pytest

from tests.integration.shop import opened, soak_on_nginx
from tests.integration.waiting import eventually


@soak_on_nginx
def test_consul_killed(tmp_path: Path, kind: str) -> None:
    """Losing Consul changes nothing for traffic."""
    with opened(tmp_path, kind=kind) as shop, shop.load():
        shop.consul.kill()
        shop.until_because("store-lost")

        assert shop.answer() == "blue"


def test_consul_restarted_empty(tmp_path: Path, kind: str) -> None:
    """All keys and services are lost: blue serves on, and the next order counts."""
    with opened(tmp_path, kind=kind) as shop, shop.load():
        shop.consul.restart(empty=True)
        shop.until_because("store-rewound")
        assert shop.answer() == "blue"
        shop.register()
        eventually(lambda: shop.report()["colours"]["green"]["verdict"] == "up", "green is up")
        eventually(lambda: shop.consul.get("bluegreen/alive/lb-1"), "bgd lives in the new store")
        eventually(lambda: shop.consul.get("bluegreen/nodes/shop/lb-1"), "and reports to it")
        shop.bgctl("set-live", "green", check=True)

        shop.until_serving("green")


@soak_on_nginx
def test_live_vanishes_from_the_catalog(tmp_path: Path, kind: str) -> None:
    """All instances of live deregistered: its last known set serves on, and is shown as weak."""
    with opened(tmp_path, kind=kind) as shop, shop.load():
        for address in shop.backends.of("blue"):
            shop.leave(address)
        shop.until_because("live-weak")
        assert shop.answer() == "blue"
        shop.register()

        shop.until_well()


@soak_on_nginx
@pytest.mark.parametrize(("value", "because"), [("purple", "bad-live-value"), ("", "bad-live-value")])
def test_a_key_that_names_no_colour(tmp_path: Path, kind: str, value: str, because: str) -> None:
    """Nonsense or nothing in the key flips nothing and is said."""
    with opened(tmp_path, kind=kind) as shop, shop.load():
        shop.put(value)
        shop.until_because(because)
        assert shop.answer() == "blue"
        shop.put(" Green\n")

        shop.until_serving("green")


@soak_on_nginx
def test_the_key_deleted(tmp_path: Path, kind: str) -> None:
    """No key is no instruction."""
    with opened(tmp_path, kind=kind) as shop, shop.load():
        shop.consul.delete("bluegreen/apps/shop/live")
        shop.until_because("no-live-key")

        assert shop.answer() == "blue"


@soak_on_nginx
def test_a_dead_colour_is_refused(tmp_path: Path, kind: str) -> None:
    """Green is dead: bgctl refuses with the key untouched, a UI edit is held, no request sees green."""
    with opened(tmp_path, kind=kind) as shop, shop.load() as load:
        for address in shop.backends.of("green"):
            shop.backends.order(f"fail {address}")
        eventually(lambda: shop.report()["colours"]["green"]["verdict"] == "down", "green is down")
        refused = shop.bgctl("set-live", "green")
        assert refused.returncode == 4, (refused.stdout, refused.stderr)
        assert "target-not-ready" in refused.stderr
        assert shop.consul.get("bluegreen/apps/shop/live") == "blue"
        shop.put("green")
        shop.until_because("target-not-ready")
    assert not load.last("green")


def test_the_proxy_killed_and_restarted(tmp_path: Path, kind: str) -> None:
    """What its supervisor starts loads what ran before; bgd finds it right and goes on."""
    with opened(tmp_path, kind=kind) as shop:
        shop.bgctl("set-live", "green", check=True)
        shop.proxy.kill()
        shop.until_because("proxy-lost")
        shop.proxy.start()
        assert shop.answer() == "green"

        shop.until_well()


def test_bgd_killed_and_started_again(tmp_path: Path, kind: str) -> None:
    """The proxy goes on serving, and the new bgd touches nothing that is right."""
    with opened(tmp_path, kind=kind) as shop, shop.load():
        shop.bgctl("set-live", "green", check=True)
        generation = shop.proxy.generation()
        shop.bgd.kill()
        assert shop.answer() == "green"
        shop.bgd = shop.daemon()
        shop.bgd.start()
        shop.until_well()

        assert shop.proxy.generation() == generation
        assert shop.bgd.said("flip proved") == []


@soak_on_nginx
def test_a_reboot_without_consul(tmp_path: Path, kind: str) -> None:
    """Proxy and daemon start, Consul does not: it comes up as it went down."""
    with opened(tmp_path, kind=kind) as shop:
        shop.bgctl("set-live", "green", check=True)
        shop.bgd.stop()
        shop.proxy.kill()
        shop.consul.kill()
        shop.proxy.start()
        shop.bgd = shop.daemon()
        shop.bgd.start()
        shop.until_because("store-lost")

        assert shop.answer() == "green"
        assert shop.serving() == "green"


@soak_on_nginx
def test_a_torn_state_file(tmp_path: Path, kind: str) -> None:
    """It costs the generation; what the proxy serves is found and kept."""
    with opened(tmp_path, kind=kind) as shop, shop.load():
        shop.bgd.kill()
        file = shop.folder / "state" / "apps" / "shop.json"
        file.write_bytes(file.read_bytes()[:100])
        shop.bgd = shop.daemon()
        shop.bgd.start()

        shop.until_serving("blue")


def test_the_runtime_socket_gone(tmp_path: Path) -> None:
    """HAProxy serves on; bgd says proxy-lost, and recovers by itself."""
    with opened(tmp_path) as shop, shop.load():
        hidden = shop.proxy.runtime_socket.with_suffix(".hidden")
        shop.proxy.runtime_socket.rename(hidden)
        shop.until_because("proxy-lost")
        hidden.rename(shop.proxy.runtime_socket)

        shop.until_well()


def test_one_apps_bad_lines_leave_the_other_app_alone(tmp_path: Path, kind: str) -> None:
    """The culprit keeps its last good block and says check-failed; its neighbour flips."""
    with opened(tmp_path, kind=kind) as shop:
        other = shop.proxy.port()
        shop.apps = [
            shop.app("shop", shop.port, f'lines = ["{shop.proxy.bad_line}"]'),
            shop.app("other", other),
        ]
        shop.register("other")
        shop.bgctl("init", "other", "--live", "blue", check=True)
        with shop.load():
            shop.hup()
            shop.until_serving("blue", "other")
            shop.until_because("check-failed")
            shop.bgctl("set-live", "green", "--app", "other", check=True)

            assert shop.answer(other) == "green"
            assert shop.answer() == "blue"


def test_a_template_that_renders_nonsense(tmp_path: Path, kind: str) -> None:
    """The last good configuration serves on, and the mistake is shown."""
    with opened(tmp_path, kind=kind) as shop, shop.load():
        folder = shop.proxy.root / "templates"
        folder.mkdir()
        (folder / shop.proxy.template).write_text(shop.proxy.bad_template)
        shop.hup()
        shop.until_because("check-failed")
        shop.put("green")
        shop.until_serving("green")

        assert shop.answer() == "green"


@soak_on_nginx
def test_a_second_daemon_for_one_node(tmp_path: Path, kind: str) -> None:
    """Same state directory, or same node name: the second ends with 75, and the first goes on."""
    with opened(tmp_path, kind=kind) as shop:
        for state in ("state", "other-state"):
            shop.status = shop.proxy.port()
            second = type(shop.bgd)(shop.folder / f"second-{state}", shop.text(state=state), shop.status)
            second.wait_ready = lambda: None  # type: ignore[method-assign]
            second.start()
            assert second.child is not None
            try:
                assert second.child.wait(20) == 75, second.last_words()
            finally:
                second.kill()
        shop.status = shop.bgd.status_port

        assert shop.because() in ("converged", "probation")
