"""Many apps and other kinds of apps: each flips by itself, none waits for another, none loses anything."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.integration.haproxy import free_port, get
from tests.integration.in_time import anew_when_too_slow, in_time
from tests.integration.load import Load
from tests.integration.shop import Shop, opened, soak_on_nginx
from tests.integration.waiting import eventually

APPS = 10
FEW = {"kept": 4, "new": 4}
AT_ONCE_S = 1.0
"""A reload with its checks takes longer on a busy machine; a flip by map never does."""


def route(number: int) -> tuple[str, str]:
    """An app's host and path: two by two they share a host."""
    return f"h{number // 2}.example", f"/p{number}"


@contextmanager
def ten_apps(folder: Path, kind: str) -> Iterator[Shop]:
    """Ten apps on one bind, all blue."""
    with opened(folder, kind=kind, start=False) as shop:
        names = [f"app-{number}" for number in range(APPS)]
        shop.apps = []
        for number, name in enumerate(names):
            host, path = route(number)
            shop.apps.append(shop.app(name, shop.port, f'hosts = ["{host}"]', f'paths = ["{path}"]'))
            shop.register(name)
        shop.bgd = shop.daemon()
        for name in names:
            shop.bgctl("init", name, "--live", "blue", check=True)
        shop.bgd.start()
        for name in names:
            shop.until_serving("blue", name, within_s=60)
        yield shop


@anew_when_too_slow
@soak_on_nginx
def test_ten_apps_on_one_bind_flip_at_the_same_time(tmp_path: Path, kind: str) -> None:
    """Also while their structure is reloaded: the old colour's last answer comes at once after each key."""
    with ten_apps(tmp_path, kind) as shop, ExitStack() as stack:
        loads = {number: stack.enter_context(load(shop, number)) for number in (0, 3, 7)}
        written: dict[int, list[tuple[int, str]]] = {number: [] for number in range(APPS)}
        for turn, colour in enumerate(("green", "blue", "green", "blue")):
            if turn % 2:
                line = f'lines = ["{shop.proxy.line("x-turn", turn)}"]'
                shop.apps[9] = shop.apps[9].split("lines =")[0] + line + "\n"
                shop.hup()
            flip_all(shop, colour, written)
            for number in range(APPS):
                shop.until_serving(colour, f"app-{number}", within_s=60)
                assert shop.report(f"app-{number}")["serving"]["via"] == "runtime"
                host, path = route(number)
                assert get(shop.port, path, host).strip() == colour
        stack.close()
        for number, each in loads.items():
            assert not each.lost(), each.lost()[:3]
            slowest_s = max(old_answers_s(each, written[number]))
            in_time(slowest_s, AT_ONCE_S, f"the old colour of app-{number} answered")


def old_answers_s(load: Load, written: list[tuple[int, str]]) -> Iterator[float]:
    """For how long, after each key was written, the colour before it still answered."""
    ends = [began_ns for began_ns, _ in written[1:]] + [1 << 63]
    for (began_ns, colour), end_ns in zip(written, ends, strict=True):
        old = "blue" if colour == "green" else "green"
        yield (load.last(old, after_ns=began_ns, before_ns=end_ns) - began_ns) / 1e9


def load(shop: Shop, number: int) -> Load:
    host, path = route(number)
    return Load(shop.port, folder=shop.folder, host=host, path=path, name=f"load-{number}", **FEW)


def flip_all(shop: Shop, colour: str, written: dict[int, list[tuple[int, str]]]) -> None:
    """Every key at the same moment, each by a thread of its own."""
    together = threading.Barrier(APPS)

    def flip(number: int) -> None:
        together.wait(10)
        written[number].append((time.monotonic_ns(), colour))
        shop.put(colour, f"app-{number}")

    threads = [threading.Thread(target=flip, args=(number,)) for number in range(APPS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)


def test_a_tcp_app(tmp_path: Path) -> None:
    """Connections that are open stay where they are over flips; new ones go to the wished colour."""
    with opened(tmp_path, tcp=True, start=False) as shop:
        probe = 'probe = { path = "", interval = "100ms", timeout = "800ms", rise = 2, fall = 3 }'
        shop.apps = [shop.app("shop", shop.port, 'mode = "tcp"', probe=probe)]
        shop.bgd = shop.daemon()
        shop.open()
        lanes = {"kept": 0, "new": 0, "tcp": 8, "tcp_new": 8}
        with shop.load(**lanes) as load:
            for colour in ("green", "blue", "green"):
                shop.put(colour)
                shop.until_serving(colour)
                assert shop.report()["serving"]["via"] == "runtime"
        held = {record.colour for record in load.records if record.lane == "tcp"}
        assert held == {"blue"}
        assert {"blue", "green"} <= {record.colour for record in load.records if record.lane == "tcp-new"}


def test_a_tcp_app_on_nginx(tmp_path: Path) -> None:
    """There each flip is a reload, and says so; open connections stay where they are all the same."""
    with opened(tmp_path, tcp=True, start=False, kind="nginx", main={"stream": True}) as shop:
        probe = 'probe = { path = "", interval = "100ms", timeout = "800ms", rise = 2, fall = 3 }'
        shop.apps = [shop.app("shop", shop.port, 'mode = "tcp"', probe=probe)]
        shop.bgd = shop.daemon()
        shop.open()
        with shop.load(kept=0, new=0, tcp=8, tcp_new=8) as load:
            for colour in ("green", "blue", "green"):
                shop.put(colour)
                shop.until_serving(colour)
                assert shop.report()["serving"]["via"] == "reload"
        assert {record.colour for record in load.records if record.lane == "tcp"} == {"blue"}
        assert {"blue", "green"} <= {record.colour for record in load.records if record.lane == "tcp-new"}
        shop.in_step("green")


def test_an_app_in_the_hosts_own_frontend(tmp_path: Path) -> None:
    """Without a bind the host's frontend asks bgd's map, and its flips lose nothing either."""
    with opened(tmp_path, start=False) as shop:
        shop.apps = [shop.app("shop", 0)]
        shop.bgd = shop.daemon()
        shop.open()
        shop.port = free_port()
        asks = f"use_backend %[str(shop),map({shop.proxy.folder / 'colours.map'})]"
        lines = [f"bind 127.0.0.1:{shop.port}", "option idle-close-on-response", asks]
        shop.proxy.write_main(sections="\n    ".join(["frontend own", *lines, ""]))
        shop.proxy.restart()
        shop.until_well()
        with shop.load():
            for colour in ("green", "blue", "green"):
                shop.put(colour)
                shop.until_serving(colour)

                eventually(lambda colour=colour: shop.answer() == colour, "it answers")


def test_what_bgctl_tells_of_a_flip(tmp_path: Path) -> None:
    """History names who flipped what, from where to where, also after an edit of the key."""
    with opened(tmp_path) as shop:
        shop.bgctl("set-live", "green", "--reason", "ticket 4711", check=True)
        shop.put("blue")
        shop.until_serving("blue")

        def told() -> list[tuple[str, str]]:
            said = json.loads(shop.bgctl("-o", "json", "history", "shop", check=True).stdout)
            events = said["history"] if "history" in said else said["events"]
            return [(event["from"], event["to"]) for event in events]

        eventually(lambda: ("green", "blue") in told() and ("blue", "green") in told(), "both are told")
