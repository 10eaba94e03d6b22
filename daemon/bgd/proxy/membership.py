"""Which servers come and go, and what of an app can wait while old workers pile up.

Rules that live here: a server that left gets no new request, and is deleted when its last one has ended;
those who are sick join a new worker afterwards; above the budget only what traffic needs is reloaded.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bgd.core.model import Colour
from bgd.proxy.adapter import Adapter, Running
from bgd.proxy.blocks import Block
from bgd.proxy.names import backend, by_name
from bgd.proxy.vet import Vetted

Healthy = Mapping[str, frozenset[str]]
"""App → the names of its servers that are healthy by own probes."""
NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Moves:
    """What brings the servers that run to those of a page: steps, then those to be deleted."""

    steps: list[str]
    leaving: set[tuple[str, str]]


def moves(adapter: Adapter, vetted: Vetted, running: Running, healthy: Healthy) -> Moves:
    """What is to be done at runtime for every app and colour."""
    steps: list[str] = []
    leaving: set[tuple[str, str]] = set()
    for app, block in vetted.blocks.items():
        for colour in Colour:
            name = backend(app, colour)
            now, written = running.servers.get(name, {}), vetted.page.servers.get(name, {})
            steps += adapter.joins(name, written, block.servers[colour], now, healthy.get(app, NOBODY))
            gone = sorted(now.keys() - written.keys())
            steps += adapter.leaves(name, [each for each in gone if not now[each].taken_out])
            leaving |= {(name, each) for each in gone}
    return Moves(steps, leaving)


def suppressions(adapter: Adapter, vetted: Vetted, healthy: Healthy) -> list[str]:
    """What tells a new worker who is not healthy."""
    return [
        step
        for app, block in vetted.blocks.items()
        for colour in Colour
        for step in adapter.suppressions(
            backend(app, colour), block.servers[colour], healthy.get(app, NOBODY)
        )
    ]


def well(block: Block, healthy: frozenset[str]) -> Block:
    """The block without those who are not healthy, where a colour has others: a new worker, which takes
    every server for up, is told of them only when they can be put down."""
    servers = {
        colour: frozenset(each for each in block.servers[colour] if each.name in healthy or by_name(each))
        for colour in Colour
    }
    return replace(block, servers={colour: some or block.servers[colour] for colour, some in servers.items()})


def spared(block: Block, good: Block | None, *, checks_health: bool) -> Block:
    """The block without what can wait: other settings and, where they need a reload, other weights and
    who is down."""
    if good is None:
        return block
    if not checks_health and good.names() == block.names():
        block = replace(block, servers=good.servers, down=good.down)
    return block.with_settings(good.settings)
