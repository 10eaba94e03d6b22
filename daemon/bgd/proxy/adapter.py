"""What the proxy room asks of one kind of proxy: everything that differs between them, and nothing else.

Rendering, vetting, swapping files, sharing reloads, proving and restoring are written once, for all. A
further proxy needs a package with such an adapter, and a template. One whose servers can only come and
go with a reload says so by `ServersByReload`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bgd.config import AppSettings
from bgd.core.model import Colour, Server
from bgd.core.permission import Permission
from bgd.ports import Failed
from bgd.proxy.blocks import Block, Blocks
from bgd.proxy.routes import Frontend

Texts = Mapping[str, str]
"""The files of bgd's part: name within its folder → text."""

Written = Mapping[str, Mapping[str, str]]
"""Backend → server → place and options, as they stand in a text."""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server as the worker that answered has it."""

    down: bool
    taken_out: bool
    """In maintenance or draining by command."""
    weight: int


@dataclass(frozen=True, slots=True)
class Running:
    """What the proxy serves with: its structure, what it decides, its servers where it can tell them."""

    structure: str | None
    pid: str
    version: str
    decides: Mapping[str, Colour]
    servers: Mapping[str, Mapping[str, RunningServer]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answered:
    """What a colour has answered for a while, as its clients saw it."""

    requests: int
    failed: int
    """Of these, with a status of 5xx, whoever wrote it."""
    seconds: float
    """All answer times together, each up to the head of the answer."""
    blur_s: float = 0.0
    """By how much a sum of `seconds`, over however many readings, may be too high."""


class Adapter(Protocol):
    """One kind of proxy on this host. What runs is asked with OSError for no answer."""

    title: str
    """The proxy's name in sentences."""
    templates: Mapping[str, str]
    """File of bgd's part → its template, in the order in which they are written: the one that the host
    cannot do without comes last. A file whose text is empty is not written."""
    folder: Path
    """bgd's own folder, which the host's configuration loads."""
    checks_health: bool
    """Whether the proxy itself takes out servers that do not answer; else bgd writes who is down."""
    decides_by: str
    """What a flip at runtime changes, in a word."""
    decides_over_reloads: bool
    """Whether what is decided while a reload is under way holds for the new workers too."""
    reload_deadline_s: float

    # The text

    @property
    def dialect(self) -> str:
        """What of its texts depends on the version that runs: with another one they are rendered anew."""

    def words(self, structure: str, fronts: Sequence[Frontend]) -> Mapping[str, Any]:
        """What its templates are given beside apps and frontends."""

    def places(self, servers: Iterable[Server]) -> Mapping[str, str]:
        """Where servers are that the text must not name by their own names: name → place.

        May take a moment, and may tell something else each time.
        """

    def structural(self, block: Block) -> Block:
        """The block without what can change at runtime."""

    def marker(self, texts: Texts) -> str | None:
        """The marker of the structure of a text."""

    def written(self, texts: Texts) -> Written:
        """The servers of a text."""

    def faults(self, blocks: Blocks) -> dict[str, Failed]:
        """What the proxy would accept but what cannot work with bgd, with the cure."""

    def check(self, texts: Texts) -> str | None:
        """The proxy's own words against these texts beside the host's file; None when it is content.

        Raises WorldError when that cannot be known.
        """

    def notes(self) -> list[str]:
        """What in the host's own configuration is no fault but may surprise, a sentence each."""

    def cannot(self, texts: Texts, standing: Texts) -> str | None:
        """Why a reload into these texts must fail, as far as can be known before; or None."""

    # What is decided

    def kept(self) -> dict[str, Colour]:
        """What a restart of the proxy would decide, by the disk."""

    def keep(self, colours: Mapping[str, Colour]) -> None:
        """Write to disk what a restart is to decide: of these apps, and of no others. Raises WorldError.

        The mapping may change meanwhile: a flip is under way.
        """

    def point(self, app: str, colour: Colour) -> None:
        """Make the serving workers decide for this colour. Raises OSError or WorldError."""

    def unpoint(self, app: str) -> None:
        """Take the app's decision out of the serving workers. Raises OSError or WorldError."""

    def permit(self, permitted: Mapping[str, Permission]) -> None:
        """Let the proxy leave live for the other colour by itself: of these apps, and of no others.

        Raises OSError.
        """

    # What runs

    def running(self, *, servers_too: bool = False) -> Running:
        """Ask the proxy that serves. Raises OSError."""

    def glance(self, app: str, colour: Colour) -> tuple[str | None, Mapping[str, RunningServer]]:
        """The serving structure, and the servers of one colour: the quickest question. Raises OSError."""

    def old_workers(self) -> int | None:
        """How many workers of earlier structures still finish what they have; None when not to be known."""

    def traffic(self, apps: Collection[str]) -> Mapping[tuple[str, Colour], Answered | None]:
        """What each colour of these apps has answered since the call before. Raises OSError.

        None where that cannot be known: the first call, counters that began anew, a reader that was away.
        """

    def sessions(self, apps: Collection[str]) -> Mapping[tuple[str, Colour], int | None]:
        """How many requests, websockets and TCP sessions are open on each colour, in all workers.

        What cannot be known is None, never 0. Raises OSError.
        """

    def cut(self, app: str, colour: Colour) -> int:
        """End what is open on a colour, in all workers; how many were. Raises OSError."""

    def went_over(self) -> bool:
        """Whether a request may have gone to the other colour by permission, since the call before.

        Raises OSError.
        """

    def needs_reload(
        self, wanted: Iterable[Server], running: Mapping[str, RunningServer], healthy: frozenset[str]
    ) -> bool:
        """Whether a flip to a colour with these servers cannot be made at runtime."""

    def reload(self, structure: str, before: Running) -> None:
        """Reload, and wait until this structure serves and no earlier one does. Raises WorldError."""

    # Servers at runtime

    def joins(
        self,
        name: str,
        written: Mapping[str, str],
        wanted: Iterable[Server],
        running: Mapping[str, RunningServer],
        healthy: frozenset[str],
    ) -> list[str]:
        """Steps that bring a running backend's servers to what is wanted; removal is not part of it."""

    def leaves(self, name: str, servers: Iterable[str]) -> list[str]:
        """Steps after which these servers get no new requests."""

    def revivals(self, name: str, running: Mapping[str, RunningServer], healthy: frozenset[str]) -> list[str]:
        """Steps for servers that bgd knows to be healthy, and the proxy not yet."""

    def suppressions(self, name: str, wanted: Iterable[Server], healthy: frozenset[str]) -> list[str]:
        """Steps for servers that bgd knows not to be healthy, and a new worker does not."""

    def carry_out(self, steps: list[str]) -> list[str]:
        """Carry out steps; those that the proxy refused, with its words. Raises OSError."""

    def remove(self, servers: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Delete servers that left; those that still have connections. Raises OSError."""

    # The proof

    def prove(
        self, app: AppSettings, colour: Colour, fronts: Iterable[Frontend], *, node: str, answered: bool
    ) -> None:
        """Show that each front decides for the colour and, if asked, that a server answers.

        Raises WorldError.
        """

    def rehearse(self, app: AppSettings, colour: Colour, fronts: Iterable[Frontend]) -> None:
        """Show, before anything is decided, that a server of the colour answers. Raises WorldError."""


class ServersByReload:
    """The part of an adapter whose servers come and go with a reload only: nothing is done at runtime."""

    def joins(self, *_: Any) -> list[str]:
        return []

    def leaves(self, *_: Any) -> list[str]:
        return []

    def revivals(self, *_: Any) -> list[str]:
        return []

    def suppressions(self, *_: Any) -> list[str]:
        return []

    def carry_out(self, steps: list[str]) -> list[str]:
        assert not steps, "there are no steps to carry out"
        return []

    def remove(self, servers: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        assert not list(servers), "no server can be removed but by a reload"
        return set()
