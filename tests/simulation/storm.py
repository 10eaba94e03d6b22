"""Seeded storms: steps drawn from a seed, carried out in a world, cut down when an invariant breaks.

A storm is its list of steps and nothing else, so it can be replayed, and shrunk by leaving steps out.
"""

import random
import re
from dataclasses import dataclass, replace

from tests.simulation.node import WATCHES
from tests.simulation.world import BLUE, GREEN, Step, World

COLOURS = (BLUE.value, GREEN.value)
POINTS = ("after the proxy", "torn", "after writing", "after acting")
STEPS = 34

WEIGHTS = {
    "turn": 14, "all": 8, "split": 12, "sleep": 12, "wait": 5, "read": 3, "act": 3,
    "ui": 6, "cli": 8, "bad": 1, "delete": 1, "pause": 2, "resume": 3, "unreject": 1, "forget": 1,
    "redeploy": 4, "mix": 1, "kill": 9, "heal": 7, "slow": 3, "object": 1, "register": 2,
    "blind": 5, "see": 5, "mute": 3, "cut": 4, "deny": 1, "join": 6, "unsure": 2,
    "late": 5, "prompt": 3, "part": 6,
    "crash": 5, "lose": 1, "stop": 1, "start": 7, "fail": 2, "tamper": 1, "save": 2, "restore": 1,
}  # fmt: skip
BLINDNESS = {
    "blind": 24,
    "see": 8,
    "crash": 9,
    "kill": 3,
    "ui": 2,
    "cli": 2,
    "redeploy": 1,
    "mix": 0,
    "lose": 0,
}
REFUSALS = {
    "pause": 7,
    "ui": 14,
    "cli": 4,
    "redeploy": 9,
    "blind": 9,
    "kill": 14,
    "sleep": 18,
    "cut": 8,
    "join": 9,
}
THEMES = (WEIGHTS, WEIGHTS, {**WEIGHTS, **BLINDNESS}, {**WEIGHTS, **REFUSALS})
"""What a storm is about: chance alone seldom does the same kind of thing twice."""
OF_A_COLOUR = ("ui", "redeploy", "mix", "heal", "slow")
OF_A_NODE = (
    "turn",
    "read",
    "act",
    "see",
    "cut",
    "deny",
    "join",
    "prompt",
    "unsure",
    "lose",
    "stop",
    "start",
    "tamper",
    "forget",
)


@dataclass(frozen=True, slots=True)
class Storm:
    """How many nodes, what happens, and what is asked when it is over."""

    seed: int
    nodes: int
    steps: tuple[Step, ...]
    asks: str
    by_ui: bool = False
    by_phases: bool = False
    """Then the colour that was left must be drained in the end, too."""

    def run(self, *, talks: bool = False) -> World:
        """Carry it out; raises AssertionError, most often Broken."""
        world = World(self.nodes)
        world.talks = talks
        for step in self.steps:
            if talks:
                world.said.append(" ".join(map(str, step)))
            world.do(step)
        if talks:
            world.said.append(f"calm; {self.asks} is asked for")
        self.end(world)
        return world

    def end(self, world: World) -> None:
        """Faults stop, and somebody asks."""
        world.calm(BLUE if self.asks == "blue" else GREEN, by_ui=self.by_ui, by_phases=self.by_phases)


def storm(seed: int) -> Storm:
    """The storm of a seed."""
    rng = random.Random(seed)
    nodes = rng.choice((1, 2, 2, 3, 3, 3, 4, 5))
    steps = [*calm_beginning(rng)]
    restored, theme = False, rng.choice(THEMES)
    for _ in range(STEPS):
        step = one_step(rng, nodes, theme)
        if not (restored and step[0] in ("restore", "delete", "bad")):
            steps.append(step)
        restored = restored or step[0] == "restore"
        if rng.random() < 0.05:
            steps += motif(rng, nodes)
        if rng.random() < 0.15:
            steps.append(("all", rng.randrange(1, 1000)))
    return Storm(seed, nodes, tuple(steps), rng.choice(COLOURS), by_ui=rng.random() < 0.5)


def motif(rng: random.Random, nodes: int) -> list[Step]:
    """A few steps that chance would seldom put together."""
    colour, other = rng.sample(COLOURS, 2)
    node, next_node, order = rng.randrange(nodes), rng.randrange(nodes), rng.randrange(1, 1000)
    return rng.choice(
        (
            [("kill", colour, -1), ("split", order, ()), ("split", order + 1, ("pause",))],
            [("kill", colour, -1), ("split", order, ()), ("split", order + 1, ())],
            [
                ("pause",),
                ("kill", colour, -1),
                ("ui", colour),
                ("sleep", 62, 0),
                ("kill", other, -1),
                ("heal", colour),
            ],
            [
                ("blind", node, colour),
                ("turn", node),
                ("crash", node, ""),
                ("sleep", 62, 0),
                ("blind", next_node, colour),
            ],
            [("mute", node, colour), ("crash", node, ""), ("start", node), ("sleep", 5, 0)],
            [("slow", colour), ("split", order, ()), ("blind", node, other), ("cli", other, False)],
            [("crash", node, ""), ("kill", colour, -1), ("wait", 59), ("wait", 2)],
            [("late", node, "catalog"), ("redeploy", other), ("kill", colour, -1), ("all", order)],
            [
                ("cut", node),
                ("turn", node),
                ("ui", other),
                ("redeploy", other),
                ("sleep", 5, order),
                ("join", node),
                ("part", node, "wishes"),
            ],
        )
    )


def calm_beginning(rng: random.Random) -> list[Step]:
    """Most storms begin where there is something to lose: blue is good, perhaps green serves."""
    steps: list[Step] = [("cli", "blue"), ("all",)]
    if rng.random() < 0.9:
        steps.append(("sleep", 31))
    if rng.random() < 0.6:
        steps += [("redeploy", "green", "2.0"), ("cli", "green"), ("all",)]
        if rng.random() < 0.4:
            steps.append(("sleep", 31))
    return steps


def one_step(rng: random.Random, nodes: int, theme: dict[str, int]) -> Step:
    name = rng.choices(list(theme), list(theme.values()))[0]
    colour, node = rng.choice(COLOURS), rng.randrange(nodes)
    if name in OF_A_COLOUR:
        return (name, colour)
    if name in OF_A_NODE:
        return (name, node)
    match name:
        case "all":
            return (name, rng.randrange(1, 1000))
        case "sleep":
            return (name, rng.choice((1, 3, 5, 12, 31, 31, 62, 130)), rng.choice((0, rng.randrange(1, 1000))))
        case "wait":
            return (name, rng.choice((1, 1, 5, 12)))
        case "split":
            between = rng.choice(((), (), ("pause",), ("ui", colour), ("redeploy", colour), ("cut", node)))
            return (name, rng.randrange(1, 1000), between)
        case "fail":
            return (name, node, rng.choice((1, 1, 3, 20)))
        case "cli":
            return (name, colour, rng.random() < 0.2)
        case "kill":
            return (name, colour, rng.choice((-1, -1, 0, 1)))
        case "object":
            return (name, colour, rng.choice(("", "disk")))
        case "register":
            return (name, colour, rng.random() < 0.6)
        case "late" | "part":
            return (name, node, rng.choice(WATCHES))
        case "blind" | "mute":
            return (name, node, colour)
        case "crash":
            return (name, node, rng.choice(("", "", *POINTS)))
    return (name,)


def broken(storm: Storm) -> str:
    """What breaks in it; empty when nothing does."""
    try:
        storm.run()
    except AssertionError as found:  # an invariant, or what the core itself asserts
        return str(found) or "an assertion"
    return ""


def kind(what: str) -> str:
    """Which invariant broke, without the particulars."""
    number, _, told = what.partition("invariant ")[2].partition(":")
    return number + re.sub(r"\d+|lb-|at|s:|blue|green", "", told or what)[:40]


def shrunk(storm: Storm, tries: int = 400) -> Storm:
    """The same failure with as few steps as can be found by leaving out."""
    what = kind(broken(storm))
    size = max(1, len(storm.steps) // 2)
    while size and tries > 0:
        start = 0
        while start < len(storm.steps) and tries > 0:
            tries -= 1
            less = replace(storm, steps=storm.steps[:start] + storm.steps[start + size :])
            if kind(broken(less)) == what:
                storm = less
            else:
                start += size
        size //= 2
    return storm


def trace(storm: Storm) -> str:
    """A failed storm for people: its seed, its steps, and what each node did."""
    small = shrunk(storm)
    world = World(small.nodes)
    lines = [f"seed {storm.seed}, {small.nodes} nodes; python -m tests.simulation {storm.seed} replays it"]
    world.talks = True
    try:
        for step in small.steps:
            lines.append("  " + " ".join(map(str, step)))
            world.said = []
            world.do(step)
            lines += [f"      {said}" for said in world.said]
        lines.append(f"  calm: faults stop, {small.asks} is asked for")
        world.said = []
        small.end(world)
    except AssertionError as found:
        lines += [f"      {said}" for said in world.said] + [f"  BROKEN {found}"]
    return "\n".join(lines)
