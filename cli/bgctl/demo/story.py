"""The story that `bgctl demo` tells: a shop's checkouts move from blue to green and back, under load; then
green turns slow, and the shop stays open.

Everything in it is real and runs on loopback only: Consul, HAProxy or nginx, the backends, bgd, and a load
client that never repeats a request. Nothing of it is left when the story ends, however it ends.
"""

import json
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from types import FrameType

import attrs
import click

from bgctl.demo.parts import Backends, Consul, Daemon, Load, fetch
from bgctl.demo.process import LateError, MissingError, environment, scratch
from bgctl.demo.proxies import KINDS, Proxy
from bgctl.demo.records import SHORT

LIVE_KEY = "bluegreen/apps/shop/live"
ORDER_KEY = "bluegreen/apps/shop/order"
RELEASES = {"blue": "2.4.0", "green": "2.5.0"}
SETTINGS = """\
probe = { interval = "200ms", timeout = "800ms", max_latency = "250ms" }
flip = { probation = "2s" }
"""
TOO_LONG_MS, SLOW_MS = 250, 400
SETTLE_S = 3.0  # of load before and after each flip
BGCTL_S = 60.0


@attrs.frozen
class Flip:
    """One flip of the story: who ordered it, and when the key was written."""

    before: str
    after: str
    way: str
    written_ns: int


class Teller:
    """Tells what happens, line by line, each with the time since the beginning."""

    def __init__(self) -> None:
        self.began_s = time.monotonic()

    def tell(self, line: str) -> None:
        click.echo(f"{time.monotonic() - self.began_s:6.1f} s  {line}")


def order_written_ns(consul: Consul) -> int:
    """When bgctl began to write its order, by its own date, on the clock of the load."""
    order = json.loads(consul.get(f"/v1/kv/{ORDER_KEY}?raw") or "{}")
    at_s = datetime.fromisoformat(order["at"]).timestamp()
    return int(at_s * 1e9) - time.time_ns() + time.monotonic_ns()


@attrs.frozen
class Stage:
    """The parts on the stage, and what the story does with them."""

    teller: Teller
    consul: Consul
    backends: Backends
    daemon: Daemon

    def bgctl(self, *arguments: str) -> None:
        """Call bgctl as an operator would, and show the call."""
        self.teller.tell(f"$ bgctl {shlex.join(arguments)}")
        command = [sys.executable, "-m", "bgctl", "--consul-addr", self.consul.url, *arguments]
        ended = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=environment(),
            timeout=BGCTL_S,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            check=False,
        )
        if ended.returncode != 0:
            raise LateError(f"bgctl ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}")
        for line in ended.stdout.splitlines():
            self.teller.tell(f"  {line}")

    def answers(self, colour: str) -> bool:
        """Whether the shop's front door is answered by that colour."""
        said = fetch(self.daemon.port, "GET", "/")
        return isinstance(said, str) and said.strip() == colour

    def until_answered(self, colour: str) -> None:
        self.daemon.until_ready(f"the shop is answered by {colour}", lambda: self.answers(colour))

    def until_good(self, colour: str) -> None:
        """Wait until the colour's release has served its probation."""
        key = f"/v1/kv/bluegreen/apps/shop/good/{colour}"
        self.consul.until_ready(f"{colour} is known good", lambda: bool(self.consul.get(key)))

    def until_way_back(self) -> str:
        """Wait until bgd could go back by itself, and return where to."""
        self.daemon.until_ready("there is a way back", lambda: bool(self.way_back().get("open")))
        return str(self.way_back()["detail"])

    def way_back(self) -> dict[str, object]:
        told = fetch(self.daemon.status, "GET", "/status")
        return (told["apps"][0]["way_back"] or {}) if told and told["apps"] else {}

    def settle(self, load: Load) -> None:
        """Let the load go on for a while, and say how it goes."""
        end_s = time.monotonic() + SETTLE_S
        while (left_s := end_s - time.monotonic()) > 0:
            time.sleep(min(1.0, left_s))
            said = load.progress
            self.teller.tell(
                f"    {said['requests']:6d} requests, {said['lost']} lost, {said['colour']} answers"
            )


def by_bgctl(stage: Stage) -> int:
    """Order green as an operator does, and return when the key was written."""
    stage.bgctl("set-live", "green", "--reason", "release 2.5.0")
    return order_written_ns(stage.consul)


def once_more(stage: Stage) -> int:
    """Order green again, when blue has served long enough to be a way back."""
    stage.until_good("blue")
    stage.bgctl("set-live", "green", "--reason", "once more")
    return order_written_ns(stage.consul)


def by_hand(stage: Stage) -> int:
    """Write the key as somebody in Consul's web UI does, and return when that was sent."""
    stage.teller.tell(f"and back: PUT {LIVE_KEY} = blue, as Consul's web UI does it")
    sent_ns = time.monotonic_ns()
    stage.consul.put_key(LIVE_KEY, "blue")
    return sent_ns


def flip(stage: Stage, load: Load, before: str, after: str, order: Callable[[Stage], int]) -> Flip:
    """Order one flip under load, and wait until the other colour answers."""
    written_ns = order(stage)
    stage.until_answered(after)
    stage.teller.tell(f"{after} {RELEASES[after]} is live")
    stage.settle(load)
    way = "plain PUT of the key" if order is by_hand else "bgctl set-live"
    return Flip(before, after, way, written_ns)


def turn_slow(stage: Stage, load: Load) -> int:
    """Green is live and turns slow; nobody does anything, and blue reopens. When it turned slow."""
    way_back = stage.until_way_back()
    stage.teller.tell(f"the way back is open: {way_back}")
    stage.teller.tell(f"green turns slow: each answer takes {SLOW_MS} ms, where {TOO_LONG_MS} ms are borne")
    began_ns = time.monotonic_ns()
    for address in stage.backends.of("green"):
        stage.backends.order(f"slow {address} {SLOW_MS}")
    stage.until_answered("blue")
    stage.teller.tell("blue has reopened, and nobody did anything; green finishes what it has begun")
    stage.settle(load)
    stage.bgctl("history", "shop", "-n", "4")
    return began_ns


def open_stage(teller: Teller, kind: type[Proxy], folder: Path, stack: ExitStack) -> Stage:
    """Start everything but the load, and make blue live."""
    teller.tell("a shop in two colours, blue (release 2.4.0) and green (2.5.0), with three backends each")
    backends = stack.enter_context(Backends(folder, ["blue"] * 3 + ["green"] * 3))
    consul = stack.enter_context(Consul(folder))
    teller.tell(f"Consul is up at {consul.url}; all six backends are registered there")
    for colour, address in backends.addresses:
        consul.register("shop", colour, address, RELEASES[colour])
    proxy = stack.enter_context(kind(folder))
    teller.tell(f"{proxy.title} is up, with a file of its own that bgd never touches")
    daemon = stack.enter_context(Daemon(folder, consul, proxy, settings=SETTINGS))
    teller.tell(f"bgd, the daemon, is up beside it; it will open the shop at http://127.0.0.1:{daemon.port}")
    stage = Stage(teller, consul, backends, daemon)
    stage.bgctl("init", "shop", "--live", "blue")
    stage.until_answered("blue")
    teller.tell("the shop is open, blue answers")
    return stage


def play(teller: Teller, kind: type[Proxy], folder: Path, stack: ExitStack) -> tuple[Load, list[Flip], int]:
    """The whole story; the load has ended when it returns. At last when green turned slow."""
    stage = open_stage(teller, kind, folder, stack)
    teller.tell("load comes up: kept-alive and new connections, websockets, streams, slow answers")
    held = ("--websockets", "8", "--streams", "4", "--slow", "4")
    load = stack.enter_context(Load(folder, stage.daemon.port, "--kept", "20", "--new", "20", *held))
    stage.settle(load)
    flips = [
        flip(stage, load, "blue", "green", by_bgctl),
        flip(stage, load, "green", "blue", by_hand),
        flip(stage, load, "blue", "green", once_more),
    ]
    slow_ns = turn_slow(stage, load)
    teller.tell("load goes down; what is under way comes to its end")
    load.stop()
    return load, flips, slow_ns


def last_old_ms(load: Load, flips: Sequence[Flip], number: int, end_ns: int) -> float | None:
    """How long after its key was written the old colour last answered; None when the flip is not seen.

    What came from `end_ns` on was no flip that anybody ordered.
    """
    this = flips[number]
    end_ns = flips[number + 1].written_ns if number + 1 < len(flips) else end_ns
    if not load.last(this.after, after_ns=this.written_ns, before_ns=end_ns):
        return None
    last_ns = load.last(this.before, before_ns=end_ns)
    return (last_ns - this.written_ns) / 1e6 if last_ns else None


def ended(each: Flip, late_ms: float | None) -> str:
    if late_ms is None:
        return f"{each.after} never answered"
    return f"last {each.before} answer {max(late_ms, 0.0):.1f} ms after the key was written"


def slow_answers(load: Load, slow_ns: int) -> tuple[int, float]:
    """How many customers green kept waiting, and for how long after it turned slow that went on, in s."""
    met = [
        record.start_ns
        for record in load.records
        if record.lane in SHORT
        and record.colour == "green"
        and (record.end_ns - record.start_ns) / 1e6 > TOO_LONG_MS
        and record.start_ns > slow_ns - SLOW_MS * 1_000_000
    ]
    return len(met), (max(met) - slow_ns) / 1e9 if met else 0.0


def conclude(load: Load, flips: Sequence[Flip], slow_ns: int) -> bool:
    """Say what came of it; true when nothing was lost, all flips happened, and the shop stayed open."""
    lost = load.lost()
    click.echo(f"\nrequests sent  {len(load.records)}\nrequests lost  {len(lost)}")
    good = bool(load.records) and not lost
    for number, each in enumerate(flips):
        late_ms = last_old_ms(load, flips, number, slow_ns)
        good = good and late_ms is not None
        click.echo(f"{each.before} → {each.after}  by {each.way}: {ended(each, late_ms)}")
    met, lasted_s = slow_answers(load, slow_ns)
    reopened = bool(load.last("blue", after_ns=slow_ns))
    what = f"blue reopened by itself after {lasted_s:.2f} s; {met} requests met a slow answer"
    click.echo(f"green turned slow: {what if reopened else 'blue never reopened'}")
    good = good and reopened
    for record in lost[:5]:
        click.echo(f"lost: {record.lane} request of {record.start_ns} ns: {record.error} {record.server}")
    return good


@contextmanager
def ends_on_signals() -> Iterator[None]:
    """Let a polite end from outside tidy up, as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, interrupt) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Tidying up is not to be cut short by an impatient second Ctrl-C."""
    before = [signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])


@click.command("demo")
@click.option(
    "--proxy",
    type=click.Choice(list(KINDS)),
    default="haproxy",
    show_default=True,
    help="The proxy to tell it on.",
)
def demo(proxy: str) -> None:
    """Flip a real shop under load, there and back, and let a colour go bad, on this machine."""
    with ends_on_signals(), scratch("bgd-demo-") as folder:
        stack = ExitStack()
        try:
            load, flips, slow_ns = play(Teller(), KINDS[proxy], Path(folder), stack)
        except (LateError, MissingError, subprocess.TimeoutExpired) as error:
            click.echo(f"the demo failed: {error}", err=True)
            sys.exit(1)
        except KeyboardInterrupt:
            click.echo(
                "interrupted; the demo's processes are being ended, nothing else was touched", err=True
            )
            sys.exit(130)
        finally:
            with undisturbed():
                stack.close()
        sys.exit(0 if conclude(load, flips, slow_ns) else 1)
