"""Storms of two-phase flips: operators who prepare, commit or die, and people who stay on a colour.

All that happens in other storms happens in these, too.
"""

import random

from tests.simulation.storm import COLOURS, WEIGHTS, Storm, calm_beginning, motif, one_step
from tests.simulation.world import Step

OPERATORS = ("alice", "bob")
STEPS = 30
STAYS_S = (1, 20, 200)
FLIPS = {
    "prepare": 14, "look": 12, "commit": 12, "withdraw": 1, "die": 3, "stall": 2,
    "stick": 2, "miscount": 2, "browse": 16,
}  # fmt: skip
THEMES = (
    {**WEIGHTS, **FLIPS},
    {**WEIGHTS, **FLIPS, "redeploy": 9, "mix": 4, "restore": 3, "save": 5, "crash": 8, "start": 10},
    {**WEIGHTS, **FLIPS, "browse": 30, "kill": 14, "heal": 14, "sleep": 20},
)


def flips(seed: int) -> Storm:
    """The storm of flips of a seed."""
    rng = random.Random(f"flips {seed}")
    nodes = rng.choice((1, 2, 2, 3, 3, 3, 4, 5))
    steps = [*calm_beginning(rng)]
    restored, theme = False, rng.choice(THEMES)
    for _ in range(STEPS):
        for step in _steps(rng, nodes, theme):
            if not (restored and step[0] in ("restore", "delete", "bad")):
                steps.append(step)
            restored = restored or step[0] == "restore"
    return Storm(seed, nodes, tuple(steps), rng.choice(COLOURS), by_phases=True)


def _steps(rng: random.Random, nodes: int, theme: dict[str, int]) -> list[Step]:
    drawn = rng.random()
    if drawn < 0.12:
        return _flip(rng, nodes)
    if drawn < 0.15:
        return motif(rng, nodes)
    name = rng.choices(list(theme), list(theme.values()))[0]
    by, node = rng.choice(OPERATORS), rng.randrange(nodes)
    match name:
        case "prepare":
            return [_prepare(rng, by, rng.choice(COLOURS), nodes)]
        case "commit":
            return [("look", by), ("commit", by, rng.choice(("", "", "lost")))]
        case "look" | "withdraw" | "die" | "stall":
            return [(name, by)]
        case "stick" | "miscount":
            return [(name, node)]
        case "browse":
            return [(name, node, rng.choice(STAYS_S))]
    return [one_step(rng, nodes, {name: 1})]


def _prepare(rng: random.Random, by: str, colour: str, nodes: int) -> Step:
    without = (rng.randrange(nodes),) if rng.random() < 0.2 else ()
    return ("prepare", by, colour, rng.random() < 0.1, *without)


def _flip(rng: random.Random, nodes: int) -> list[Step]:
    """A whole flip, with something in between, anywhere."""
    (colour, other), (by, rival) = rng.sample(COLOURS, 2), rng.sample(OPERATORS, 2)
    node, order = rng.randrange(nodes), rng.randrange(1, 1000)
    flip: list[Step] = [
        _prepare(rng, by, colour, nodes), ("all", order), ("look", by), ("commit", by), ("all", order + 1),
    ]  # fmt: skip
    between: list[Step] = rng.choice(
        (
            [],
            [("redeploy", colour)],
            [("redeploy", colour), ("all", order)],
            [("mix", colour)],
            [("kill", other, -1), ("all", order), ("all", order)],
            [("kill", colour, -1)],
            [("blind", node, colour)],
            [("crash", node, ""), ("start", node)],
            [("crash", node, ""), ("wait", 31)],
            [("cut", node), ("turn", node)],
            [("stick", node)],
            [("fail", node, 3)],
            [("restore",)],
            [("ui", other)],
            [("cli", other)],
            [("pause",)],
            [("stall", by), ("wait", 31), ("prepare", rival, colour)],
            [("die", by), ("wait", 31)],
            [("save",), ("die", by), ("sleep", 31, order), ("restore",), ("all", order)],
            [("prepare", rival, other)],
            [("late", node, "catalog"), ("redeploy", colour)],
        )
    )
    place = rng.randrange(1, len(flip) + 1)
    return [("browse", node, 200), *flip[:place], *between, *flip[place:]]
