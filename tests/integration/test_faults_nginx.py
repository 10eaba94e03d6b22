"""What can go wrong with nginx alone: its workers, signals and files, and the host's own file around it."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from shutil import rmtree

import pytest

from tests.integration.parts import nginx, nginx_environment
from tests.integration.shop import Shop, opened
from tests.integration.waiting import eventually

NEW_ONLY = {"kept": 0, "new": 12}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop on nginx whose blue serves."""
    with opened(tmp_path, kind="nginx") as shop:
        yield shop


def reloads(shop: Shop) -> int:
    return len(shop.bgd.said("reloaded"))


def turn(shop: Shop, number: int, *, within_s: float = 30.0) -> None:
    """Have the app's lines changed, by a reload that is done."""
    before = reloads(shop)
    shop.turned(number)
    eventually(lambda: reloads(shop) > before, "it is reloaded", within_s=within_s)


def flip(shop: Shop, *colours: str) -> None:
    """Flips by flag."""
    for colour in colours:
        shop.put(colour)
        shop.until_serving(colour)
        assert shop.report()["serving"]["via"] == "runtime"
        assert shop.answer() == colour


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """A worker that hangs."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def test_the_master_alone_killed(shop: Shop) -> None:
    """Its workers serve on and flip; a change is refused with the reason; no other starts beside them."""
    proxy, workers = shop.proxy, shop.proxy.workers()
    with ExitStack() as stack, shop.load():
        for pid in workers:
            stack.callback(end, pid)
        os.kill(proxy.process_id, signal.SIGKILL)
        flip(shop, "green", "blue")
        shop.turned(1)
        shop.until_because("proxy-lost")
        assert "nginx.pid" in shop.report()["detail"]
        flip(shop, "green")
        places = ["-p", str(proxy.root), "-e", "stderr", "-c", str(proxy.main_file)]
        beside = subprocess.run(
            [nginx(), *places, "-g", "daemon off;"],
            capture_output=True,
            text=True,
            env=nginx_environment(),
            timeout=20,
            check=False,
        )
        assert beside.returncode != 0
        assert "Address already in use" in beside.stderr
        assert shop.answer() == "green"
    proxy.restart()
    shop.until_well()

    flip(shop, "blue")
    assert "x-turn 1" in proxy.part.read_text()


def end(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.soak
def test_a_worker_that_hangs_before_a_reload(shop: Shop) -> None:
    """It takes no new connection, so the reload is done without it, and flips go on."""
    worker = min(shop.proxy.workers())
    with frozen(worker), shop.load(**NEW_ONLY):
        flip(shop, "green")
        turn(shop, 1)
        flip(shop, "blue")
    eventually(lambda: worker not in shop.proxy.workers(), "it goes when it wakes")
    assert {shop.answer() for _ in range(20)} == {"blue"}


def test_a_worker_that_hangs_in_shutting_down(shop: Shop) -> None:
    """What it holds it holds; reloads and flips go on beside it, and it is counted."""
    with shop.load(**NEW_ONLY), shop.load(kept=0, new=0, slow=0, websockets=2, name="held"):
        turn(shop, 1)
        worker = min(shop.proxy.workers(finishing=True))
        with frozen(worker):
            turn(shop, 2)
            flip(shop, "green", "blue")
            assert worker in shop.proxy.workers(finishing=True)


def test_bgd_killed_while_clients_are_led_off(shop: Shop) -> None:
    """The next one takes the flag away and makes the change."""
    closing = shop.proxy.folder / "closing"
    with shop.load(websockets=1):
        shop.turned(1)
        eventually(closing.exists, "clients are led off")
        shop.bgd.kill()
        assert closing.exists()
        shop.bgd = shop.daemon()
        shop.bgd.start()
        eventually(lambda: reloads(shop), "the change is made")
        shop.until_well()

        assert not closing.exists()
        flip(shop, "green")


def test_the_flags_deleted(shop: Shop) -> None:
    """Their colour is decided anew within a moment, as the key names it."""
    flip(shop, "green")
    with shop.load():
        rmtree(shop.proxy.folder / "flags")

        shop.in_step("green")
        shop.until_well()


def test_bgds_part_deleted(shop: Shop) -> None:
    """nginx serves on by what it has read; the next flip writes the file anew, and no request is lost."""
    flip(shop, "green")
    with shop.load():
        shop.proxy.part.unlink()
        shop.put("blue")
        shop.until_serving("blue")
        assert shop.proxy.part.exists()
        flip(shop, "green")
        turn(shop, 1)
    shop.in_step("green")


@pytest.mark.soak
def test_a_pid_file_that_names_somebody_else(shop: Shop) -> None:
    """Nobody but nginx is signalled; flips go on, and the change is made when the file is right."""
    pid_file = shop.proxy.pid_file
    right = pid_file.read_text()
    with subprocess.Popen(["sleep", "60"]) as other, shop.load():
        try:
            pid_file.write_text(f"{other.pid}\n")
            shop.turned(1)
            shop.until_because("proxy-lost")
            assert "no nginx" in shop.report()["detail"]
            flip(shop, "green")
            assert other.poll() is None
        finally:
            other.kill()
        pid_file.write_text(right)

        shop.until_well(within_s=40)
    assert "x-turn 1" in shop.proxy.part.read_text()


def test_the_hosts_own_file_broken(shop: Shop) -> None:
    """No app is to blame: the line is shown, flips go on, and all heals with it."""
    right = shop.proxy.main_file.read_text()
    with shop.load():
        shop.proxy.main_file.write_text(right + "nonsense;\n")
        shop.turned(1)
        shop.until_because("check-failed")
        assert 'unknown directive "nonsense"' in shop.report()["detail"]
        assert str(shop.proxy.main_file) in shop.report()["detail"]
        flip(shop, "green", "blue")
        shop.proxy.main_file.write_text(right)

        shop.until_well(within_s=40)
    assert "x-turn 1" in shop.proxy.part.read_text()


def test_the_include_taken_out(shop: Shop) -> None:
    """bgd's part is no longer loaded: that and the missing line are said; it heals with the line."""
    right = shop.proxy.main_file.read_text()
    line = f"include {shop.proxy.folder}/*.conf;"
    shop.proxy.main_file.write_text(right.replace(line, ""))
    shop.proxy.signal(signal.SIGHUP)
    eventually(lambda: not listens(shop.port), "nobody serves the shop")
    eventually(lambda: line in str(shop.report().get("detail")), "the line is named")
    assert shop.because() in ("proxy-lost", "check-failed", "reload-failed")
    shop.proxy.main_file.write_text(right)
    shop.proxy.signal(signal.SIGHUP)

    shop.until_well(within_s=40)
    assert shop.answer() == "blue"


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.soak
def test_more_old_workers_than_may_be(tmp_path: Path) -> None:
    """Websockets keep them: new lines wait and it is said, a new server comes in all the same."""
    with opened(tmp_path, kind="nginx", start=False) as shop, ExitStack() as held:
        shop.head_of_proxy = "max_old_workers = 1\n"
        shop.bgd = shop.daemon()
        shop.open()
        held.enter_context(shop.load(kept=0, new=0, websockets=8))
        turn(shop, 1)
        eventually(lambda: len(shop.proxy.workers(finishing=True)) == 2, "both old workers finish")
        shop.turned(2)
        shop.until_because("too-many-old-workers")
        flip(shop, "green", "blue")
        port = shop.proxy.port()
        shop.backends.order(f"open blue=127.0.0.1:{port}")
        shop.join("blue", f"127.0.0.1:{port}")
        eventually(lambda: (f"127.0.0.1:{port}", 100) in shop.proxy.servers()["shop_blue"], "it is in")
        held.close()

        shop.until_well(within_s=40)
        assert "x-turn 2" in shop.proxy.part.read_text()
