"""The workers: what takes time is done here, and its outcome goes back into the mailbox.

Per app at most one action of the table at a time, and one sync for the whole proxy beside them. A
worker never decides: it carries out, writes to disk what was proved, and posts what came of it.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import structlog

from bgd.core import advance
from bgd.core.actions import FallBack, Flip, Prepare, Repair, Take, Touch, Warm, Write
from bgd.core.advance import Failed, Overtaken, Written
from bgd.core.knowledge import Knowledge
from bgd.core.model import Colour, Gate, Prepared, Serving, Wanted
from bgd.core.permission import Permission
from bgd.keeper import Keeper
from bgd.ports import Clock, Forecast, Proxy, State, Still, Store, Warmup

WORKERS = 256
"""So many apps at once may wait for the reload that brings them in: they share it."""
YIELD_S = 0.0002

AllWanted = Mapping[str, Wanted | None]


@dataclass(frozen=True, slots=True)
class Finished:
    """An action has ended."""

    app: str
    action: Touch
    outcome: Serving | Failed


@dataclass(frozen=True, slots=True)
class Wrote:
    """A write for the fleet has ended."""

    app: str
    action: Write
    outcome: Written | Overtaken | Failed


@dataclass(frozen=True, slots=True)
class Answered:
    """A preparation has its answer."""

    app: str
    action: Prepare
    prepared: Prepared


@dataclass(frozen=True, slots=True)
class Warmed:
    """A warm-up has ended, well if nothing failed."""

    app: str
    action: Warm
    failed: Failed | None


@dataclass(frozen=True, slots=True)
class Permitted:
    """The proxy has been told what it may do by itself."""


@dataclass(frozen=True, slots=True)
class Synced:
    """A sync has ended; `failed` are the apps that could not be brought in step."""

    failed: Mapping[str, Failed]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of our own, met by a worker: the loop ends with it."""

    error: BaseException


Letter = Finished | Wrote | Answered | Warmed | Permitted | Synced | Fault
"""What a worker posts."""


class Hands:
    """A fixed number of workers over one proxy, one state directory and Consul."""

    def __init__(
        self,
        *,
        proxy: Proxy,
        store: Store,
        state: State,
        warmup: Warmup,
        clock: Clock,
        post: Callable[[Letter], None],
    ) -> None:
        self._proxy, self._store, self._state = proxy, store, state
        self._warmup = warmup
        self._clock, self._post = clock, post
        self._log = structlog.get_logger("hands")
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="hand")
        self._beside = ThreadPoolExecutor(WORKERS, thread_name_prefix="beside")
        """What takes its time and changes nothing: no flip waits for a worker behind it."""
        self._closing = False
        self._keeper = Keeper(state, clock, self._start)

    @property
    def unsaved(self) -> set[str]:
        """Apps whose last write to disk failed; it is tried again with each tick."""
        return self._keeper.unsaved

    def close(self) -> None:
        """Let what is under way end; start nothing more."""
        self._closing = True
        for workers in (self._beside, self._workers):
            workers.shutdown(wait=True, cancel_futures=True)

    def carry_out(self, app: str, touch: Touch, knowledge: Knowledge) -> None:
        """Start an action on this node; `Finished` follows."""

        def work() -> None:
            outcome = self._outcome(app, touch, knowledge)
            if isinstance(outcome, Serving):
                self._keeper.prove(knowledge, outcome)
            self._post(Finished(app, touch, outcome))

        self._start(work)

    def write(self, app: str, action: Write) -> None:
        """Start a write for the fleet; `Wrote` follows."""
        self._start(lambda: self._post(Wrote(app, action, self._store.write(app, action))))

    def prepare(self, app: str, action: Prepare, knowledge: Knowledge, still: Still) -> None:
        """Start answering a preparation; `Answered` follows."""

        def work() -> None:
            self._post(Answered(app, action, self._prepared(app, action, knowledge, still)))

        self._start(work, self._beside)

    def warm(self, app: str, action: Warm, knowledge: Knowledge, still: Still) -> None:
        """Start warming up a wish's backends; `Warmed` follows."""

        def work() -> None:
            warm = self._warm(app, action.desired.colour, knowledge, still)
            self._post(Warmed(app, action, warm if isinstance(warm, Failed) else None))

        self._start(work, self._beside)

    def permit(self, permitted: Mapping[str, Permission]) -> None:
        """Start telling the proxy what it may do by itself; `Permitted` follows."""

        def work() -> None:
            self._proxy.permit(permitted)
            self._post(Permitted())

        self._start(work)

    def go_first(self) -> None:
        """Leave the interpreter to the workers for a moment: else they wait until the caller does."""
        time.sleep(YIELD_S)

    def sync(self, wanted: AllWanted) -> None:
        """Start bringing servers and structure in step; `Synced` follows."""
        self._start(lambda: self._post(Synced(self._proxy.sync(wanted))))

    def remember(self, knowledge: Knowledge) -> None:
        """Start writing to disk what changed, if anything has."""
        self._keeper.remember(knowledge)

    def forget(self, app: str) -> None:
        """The app is gone: so is what was said of it."""
        self._keeper.forget(app)

    def _start(self, work: Callable[[], None], workers: ThreadPoolExecutor | None = None) -> None:
        def guarded() -> None:
            try:
                work()
            except BaseException as error:
                self._post(Fault(error))
                raise

        (workers or self._workers).submit(guarded)

    def _prepared(self, app: str, action: Prepare, knowledge: Knowledge, still: Still) -> Prepared:
        """Ask the gates that need hands: the proxy's own check, and the warm-up unless it is a forecast."""
        asked, gates, diff = action.preparation, list(action.gates), ""
        if asked.dry or all(gate.ok for gate in gates):
            found = self._proxy.forecast(app, asked.colour, knowledge.wanted(), diff=asked.dry)
            if isinstance(found, Failed):
                gates.append(_closed("config", found))
            else:
                diff = found.diff
                gates += [Gate("config", True, f"flips {found.by}"), _left(asked.colour.other, found)]
        wanted = knowledge.policy.warmup_requests
        if wanted and not asked.dry and all(gate.ok for gate in gates):
            warm = self._warm(app, asked.colour, knowledge, still)
            gates.append(_closed("warm-up", warm) if isinstance(warm, Failed) else _warm(warm, wanted))
        return Prepared(asked.id, tuple(gates), diff)

    def _warm(self, app: str, colour: Colour, knowledge: Knowledge, still: Still) -> int | Failed:
        healths = knowledge.healths[colour]
        healthy = [each for each in knowledge.backends[colour] if healths[each.name].healthy]
        return self._warmup(app, colour, healthy, lambda: not self._closing and still())

    def _outcome(self, app: str, touch: Touch, knowledge: Knowledge) -> Serving | Failed:
        if isinstance(touch, Take):
            return advance.taken(knowledge, touch.desired)
        result = self._proxy.flip(app, _colour(touch), knowledge.wanted())
        if isinstance(result, Failed):
            return result
        match touch:
            case Repair(serving):
                return serving
            case FallBack():
                return advance.fallen(knowledge, touch, result, at=self._clock.at())
            case Flip(desired):
                return advance.serving(knowledge, desired, result, at=self._clock.at())


def _colour(touch: Flip | Repair | FallBack) -> Colour:
    match touch:
        case Flip(desired):
            return desired.colour
        case Repair(serving):
            return serving.colour
        case FallBack():
            return touch.colour


def _closed(gate: str, failed: Failed) -> Gate:
    return Gate(gate, False, failed.detail, failed.because.value)


def _warm(requests: int, wanted: int) -> Gate:
    of = "" if requests >= wanted else f" of {wanted}"
    return Gate("warm-up", True, f"{requests}{of} requests to each backend")


def _left(colour: Colour, forecast: Forecast) -> Gate:
    """No gate that closes: what an operator wants to know before."""
    count = "an unknown number" if forecast.sessions is None else str(forecast.sessions)
    return Gate("sessions", True, f"{count} on {colour} may finish there")
