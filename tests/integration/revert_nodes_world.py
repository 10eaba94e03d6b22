"""Several load balancers before one shop, some of which see or reach less than the others.

Those that are *far* reach Consul by a line that can be cut, and know another green than the rest: the same
release on backends of its own, which may die for them alone.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bgctl.demo.process import free_ports
from tests.integration.consul import ConsulServer
from tests.integration.relay import Relay
from tests.integration.revert_world import PATIENT, flip, shop_of, until_good, way_back
from tests.integration.shop import Shop, second_node
from tests.integration.waiting import eventually

FAR = "shop-far"


class Line(Relay):
    """A way to Consul that can be cut, and mended."""

    def __init__(self, server: ConsulServer) -> None:
        self._whole = True
        self._ends: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(server)

    def cut(self) -> None:
        """End what is open, and let nothing through from now on."""
        with self._lock:
            self._whole = False
            for end in self._ends:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        with self._lock:
            self._whole = True

    def close(self) -> None:
        self.cut()
        super().close()

    def passes(self, near: socket.socket, far: socket.socket) -> None:
        with self._lock:
            if not self._whole:
                return
            self._ends |= {near, far}
        back = threading.Thread(target=_carry, args=(far, near), daemon=True)
        back.start()
        _carry(near, far)
        back.join()
        with self._lock:
            self._ends -= {near, far}


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(1 << 16):
            target.sendall(piece)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True)
class Nodes:
    """All of them on a green that is good, with a way back."""

    near: list[Shop]
    far: list[Shop]
    far_green: Sequence[str]
    line: Line

    @property
    def all(self) -> list[Shop]:
        return self.near + self.far

    @property
    def first(self) -> Shop:
        return self.near[0]

    def near_green(self, order: str) -> None:
        """Tell the green that most nodes know what to do: `fail`, `heal`."""
        self._tell(order, self.first.backends.of("green"))

    def own_green(self, order: str) -> None:
        """Tell the green that only those far away know what to do."""
        self._tell(order, self.far_green)

    def _tell(self, order: str, addresses: Sequence[str]) -> None:
        for address in addresses:
            self.first.backends.order(f"{order} {address}")


@contextmanager
def nodes(folder: Path, number: int, *, far: int, tables: Sequence[str] = ()) -> Iterator[Nodes]:
    """So many load balancers, the last of which are far; each with these further tables."""
    with ExitStack() as stack:
        first = stack.enter_context(shop_of(folder, "haproxy", *tables, probe=PATIENT))
        line = Line(first.consul)
        stack.callback(line.close)
        far_green = _green_of_their_own(first)
        others = [stack.enter_context(second_node(first, f"lb-{each}")) for each in range(2, number + 1)]
        near, distant = others[: number - 1 - far], others[number - 1 - far :]
        for node in near:
            _start(node, first.consul.address, *tables)
        for node in distant:
            _start(node, line.address, f'service = "{FAR}"', *tables)
        made = Nodes([first, *near], distant, far_green, line)
        _all_to_green(made)
        yield made


def _green_of_their_own(shop: Shop) -> list[str]:
    """Register a service with the shop's blue and another green of the same release."""
    green = [f"127.0.0.1:{port}" for port in free_ports(2)]
    for address in green:
        shop.backends.order(f"open green={address}")
        shop.join("green", address, FAR)
    for address in shop.backends.of("blue"):
        shop.join("blue", address, FAR)
    return green


def _start(node: Shop, reach: str, *lines: str) -> None:
    node.reach = reach
    node.apps = [node.app("shop", node.port, flip(), *lines, probe=PATIENT)]
    node.bgd = node.daemon()
    node.bgd.start()


def _all_to_green(made: Nodes) -> None:
    for node in made.all:
        node.until_serving("blue")
    until_good(made.first, "blue")
    made.first.bgctl("set-live", "green", "--app", "shop", check=True)
    until_good(made.first, "green")
    for node in made.all:
        node.until_serving("green")
        node.until_because("converged")
        eventually(partial(way_back, node), f"{node.node} has a way back")
