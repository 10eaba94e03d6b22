"""An honest load client: it never repeats a request, so it sees each one that was lost.

    python -m bgctl.demo.load 127.0.0.1:8080 --kept 24 --new 24 --pause-ms 18 -o records.csv

24 + 24 lanes with a mean pause of 18 ms make about 2 500 requests a second. Pauses are drawn
exponentially, as independent users make them, but nobody is silent for more than 0.9 s. With `--tls`
all lanes speak TLS, and take any certificate. It runs until its standard input ends, it is terminated,
or `--seconds` are over; then it waits for what is under way, writes the records, and prints a summary
as JSON. With `--progress` it prints a line of JSON each half second before that.
"""

import argparse
import gc
import heapq
import json
import os
import random
import select
import signal
import ssl
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

from bgctl.demo import lanes, records
from bgctl.demo.wire import EVENTS, Wire, unverified

PROGRESS_NS = 500_000_000
GRACE_NS = 10_000_000_000


class Client:
    """The event loop: starts each lane when its pause is over, and hands it what happens to it."""

    now_ns = staticmethod(time.monotonic_ns)

    def __init__(
        self,
        target: tuple[str, int],
        *,
        seed: int = 1,
        host: str = "",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.host, self.tls = host, tls
        self.target, self.draw = target, random.Random(seed)  # noqa: S311 (pauses, not secrets)
        self.poll = select.epoll()
        self.lanes: list[lanes.Lane] = []
        self.wire_of: dict[int, Wire] = {}
        self.queue: list[tuple[int, int, lanes.Lane]] = []
        self.records: list[lanes.Note] = []
        self.order, self.ending = count(), False
        self.idle_closed = self.refused = 0  # neither is a loss
        self.counted = self.lost = 0
        self.stop_fd: int | None = None

    def add(self, maker: lanes.Maker, lanes_wanted: int, request: bytes, pause_s: float) -> None:
        for _ in range(lanes_wanted):
            lane = maker(self, len(self.lanes), request, pause_s)
            self.lanes.append(lane)
            self.later(lane, self.now_ns())

    def later(self, lane: lanes.Lane, now_ns: int) -> None:
        due_ns = now_ns + int(lane.pause(self.draw) * 1e9)
        heapq.heappush(self.queue, (due_ns, next(self.order), lane))

    def watch(self, fd: int, wire: Wire) -> None:
        self.wire_of[fd] = wire
        self.poll.register(fd, EVENTS)

    def forget(self, fd: int) -> None:
        self.wire_of.pop(fd, None)

    def run(self, *, seconds: float, progress: bool) -> None:
        end_ns = self.now_ns() + int(seconds * 1e9)
        next_look_ns = self.now_ns()
        while not self.ending and (now_ns := self.now_ns()) < end_ns:
            if now_ns >= next_look_ns:
                next_look_ns = now_ns + PROGRESS_NS
                self.look(now_ns, progress=progress)
            self.start_due(now_ns)
            self.turn(min(next_look_ns, self.queue[0][0] if self.queue else end_ns, end_ns))
        self.finish()

    def start_due(self, now_ns: int) -> None:
        queue = self.queue
        while queue and queue[0][0] <= now_ns:
            heapq.heappop(queue)[2].start(self.now_ns())

    def turn(self, until_ns: int) -> None:
        """Wait for something to happen, and let the lanes see to it."""
        wait_s = (until_ns - self.now_ns()) / 1e9
        if wait_s > 0:
            # epoll rounds up to whole milliseconds, which would gather the requests in bunches.
            select.select([self.poll], [], [], wait_s)
        for fd, events in self.poll.poll(0):
            if wire := self.wire_of.get(fd):
                wire.on_event(events)
            elif fd == self.stop_fd and not os.read(fd, 4096):
                self.ending = True

    def look(self, now_ns: int, *, progress: bool) -> None:
        for lane in self.lanes:
            if lane.busy and now_ns - lane.started_ns > GRACE_NS:
                lane.fail("timeout")
        if progress:
            self.lost += sum(1 for record in self.records[self.counted :] if record[6])
            self.counted = len(self.records)
            colour = self.records[-1][5] if self.records else ""
            print(json.dumps({"requests": self.counted, "lost": self.lost, "colour": colour}), flush=True)

    def finish(self) -> None:
        """Let what is under way come to its end; what does not is lost."""
        deadline_ns = self.now_ns() + GRACE_NS
        while any(lane.busy for lane in self.lanes) and self.now_ns() < deadline_ns:
            self.turn(min(self.now_ns() + PROGRESS_NS, deadline_ns))
        for lane in self.lanes:
            if lane.busy:
                lane.fail("unfinished")

    def stop_on(self, fd: int) -> None:
        """Stop when nobody holds the other end of `fd` any more."""
        with suppress(PermissionError):  # a file or /dev/null never ends this
            self.poll.register(fd, select.EPOLLIN)
            self.stop_fd = fd


def request(path: str, host: str, *lines: str) -> bytes:
    """A request, ready to be sent."""
    head = [f"GET {path} HTTP/1.1", f"Host: {host}", "User-Agent: bgctl-load", *lines]
    return ("\r\n".join(head) + "\r\n\r\n").encode()


UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: Ymx1ZWdyZWVuIGRlbW8hIQ==",
)


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bgctl.demo.load", description="An honest load client.")
    parser.add_argument("target", help="ADDRESS:PORT")
    parser.add_argument("-o", "--out", type=Path, help="where the records go, as CSV")
    parser.add_argument("--kept", type=int, default=24, help="lanes that keep their connection alive")
    parser.add_argument("--new", type=int, default=24, help="lanes that open a connection per request")
    parser.add_argument("--steady", type=int, default=0, help="kept lanes that ask each 0.5 to 0.9 s")
    parser.add_argument("--slow", type=int, default=0, help="lanes that ask for slow answers")
    parser.add_argument("--streams", type=int, default=0, help="lanes that ask for streams")
    parser.add_argument("--websockets", type=int, default=0, help="websockets held open")
    parser.add_argument("--tcp", type=int, default=0, help="TCP connections held open")
    parser.add_argument("--tcp-new", type=int, default=0, help="lanes of short TCP connections")
    parser.add_argument("--pause-ms", type=float, default=18.0, help="mean pause of a short lane")
    parser.add_argument("--held-pause-ms", type=float, default=200.0, help="mean pause of the other lanes")
    parser.add_argument("--slow-ms", type=int, default=1500)
    parser.add_argument("--stream-ms", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=86400.0)
    parser.add_argument("--path", default="/")
    parser.add_argument("--host", default="shop.example")
    parser.add_argument("--tls", action="store_true", help="all lanes over TLS, with any certificate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--progress", action="store_true")
    return parser


def client(given: argparse.Namespace) -> Client:
    """The client with the lanes that were asked for."""
    address, _, port = given.target.rpartition(":")
    tls = unverified() if given.tls else None
    made = Client((address, int(port)), seed=given.seed, host=given.host, tls=tls)
    short_s, held_s = given.pause_ms / 1000, given.held_pause_ms / 1000
    path, host = given.path.rstrip("/"), given.host
    stream = f"{path}/stream?n=20&ms={given.stream_ms // 20}"
    made.add(lanes.Kept, given.kept, request(given.path, host), short_s)
    made.add(lanes.New, given.new, request(given.path, host, "Connection: close"), short_s)
    made.add(lanes.Steady, given.steady, request(given.path, host), short_s)
    made.add(lanes.Slow, given.slow, request(f"{path}/slow?ms={given.slow_ms}", host), held_s)
    made.add(lanes.Stream, given.streams, request(stream, host), held_s)
    made.add(lanes.Websocket, given.websockets, request(f"{path}/ws", host, *UPGRADE), held_s)
    made.add(lanes.Tcp, given.tcp, b"ping\n", held_s)
    made.add(lanes.TcpNew, given.tcp_new, b"", short_s)
    return made


def main(parser: argparse.ArgumentParser, make: Callable[[argparse.Namespace], Client]) -> int:
    given = parser.parse_args()
    made = make(given)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(made, "ending", True))
    made.stop_on(0)
    gc.disable()  # nothing here is cyclic, and a collection among many records is a pause
    made.run(seconds=given.seconds, progress=given.progress)
    if given.out:
        records.write(given.out, made.records)
    more = {"idle_closed": made.idle_closed, "refused": made.refused, "cpu_s": time.process_time()}
    print(json.dumps(records.summary(made.records) | more))
    return 0


if __name__ == "__main__":
    sys.exit(main(arguments(), client))
