"""The live screen of `bgctl watch`, as something that rich draws at any size. Pure: a scene in, lines out.

Rules that live here: the worst comes first, and where not all fit, what is well is left out and counted; a
long reason is broken where there is room for it, else cut; that Consul is lost stands above all else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from bgctl import cells, grid, history, output, standing, times
from bgctl.grid import Line
from bgctl.standing import App
from bgctl.told import Member
from bgd.core.model import Colour
from bgd.core.reasons import Because

_WIDE, _WIDEST = 110, 150
"""From so many columns on, members are shown with more of what they tell."""
_LEAST_EVENTS = 3
_LEAST_MEMBERS = 3
_CALM = (Because.CONVERGED, Because.PROBATION)


@dataclass(frozen=True, slots=True)
class Lost:
    """Consul does not answer."""

    lasting_s: float
    known_at: datetime
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """All that is shown at one moment."""

    apps: Sequence[App]
    """The worst first."""
    now: datetime
    chosen: str | None = None
    events: Sequence[Mapping[str, Any]] = ()
    """Of the chosen app, newest first."""
    silent_at: Mapping[str, datetime] = field(default_factory=dict)
    lost: Lost | None = None
    prompt: str = ""
    note: str = ""
    """How the last order ended."""
    trouble: bool = False
    """Whether it ended badly."""

    @property
    def app(self) -> App | None:
        """The chosen app, while it is there."""
        return next((app for app in self.apps if app.name == self.chosen), None)


@dataclass(frozen=True, slots=True)
class Screen:
    """A scene, to be printed on a console of any size."""

    scene: Scene

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = _Page(self.scene, console, options).lines(options.size.height)
        for number, line in enumerate(lines):
            if number:
                yield Segment.line()
            yield from line


@dataclass(frozen=True, slots=True)
class _Page:
    """One scene on its way onto one console."""

    scene: Scene
    console: Console
    options: ConsoleOptions

    @property
    def width(self) -> int:
        return self.options.max_width

    def lines(self, height: int) -> list[Line]:
        """As many lines as the screen has, at most."""
        head, foot = self._head(), self._foot()
        room = max(0, height - len(head) - len(foot))
        body = self._body(room)[:room]
        return [*head, *body, *[[]] * (room - len(body)), *foot][:height]

    def _head(self) -> list[Line]:
        scene = self.scene
        bad = sum(standing.worst(app)[0] not in _CALM for app in scene.apps)
        count = f"{len(scene.apps)} app{'' if len(scene.apps) == 1 else 's'}"
        told = f"bgctl watch · {count}, {bad or 'none'} to look at"
        clock = scene.now.astimezone().strftime("%H:%M:%S")
        line = Text(told.ljust(self.width - len(clock)) + clock, "bold reverse")
        return [*self._drawn(line), *(self._drawn(_banner(scene.lost, scene.now)) if scene.lost else [])]

    def _foot(self) -> list[Line]:
        scene = self.scene
        note = self._drawn(Text(output.clean(scene.note), "bold red" if scene.trouble else "bold"))
        if scene.prompt:
            shown = output.clean(scene.prompt)
            line = Text(shown[-(self.width - 1) :] + "▏", "bold yellow")
        else:
            line = Text(_keys(scene), "dim")
        return [*(note if scene.note else []), *self._drawn(line)]

    # -- what fits --------------------------------------------------------------------------------

    def _body(self, room: int) -> list[Line]:
        """The fullest telling that leaves room for some history; else the shortest, without the calm."""
        app = self.scene.app
        if app is None:
            return self._apps(room, broken=True) or self._drawn(Text("there is no app yet"))
        listed = self._apps(max(_LEAST_MEMBERS, room // 4), broken=False) if len(self.scene.apps) > 1 else []
        well = standing.worst(app)[0] in _CALM
        least = min(_LEAST_EVENTS if well else 1, len(self.scene.events))
        tries = ((True, True), (False, True), (False, False)) if len(app.members) < room else ()
        for broken, spaced in tries:
            parts = [listed, *self._parts(app, app.members, broken=broken)]
            lines = _joined(parts, spaced=spaced)
            left = room - len(lines) - spaced
            if left >= least + bool(least):
                return _joined([lines, self._events(left)], spaced=spaced)
        return _joined([listed, *self._shortened(app, room - len(listed))], spaced=False)

    def _shortened(self, app: App, room: int) -> list[list[Line]]:
        """Each member on one line; whoever is well is left out, until the rest fits."""
        above = self._parts(app, (), broken=False)[:-1]
        left = room - sum(map(len, above)) - 1
        if len(app.members) <= left:
            members = self._members(app, app.members, broken=False)
            return [*above, members, self._events(left + 1 - len(members))]
        ranked = sorted(app.members, key=lambda member: _is_well(member, app))
        fitting = max(_LEAST_MEMBERS, left - 1)
        shown, missing = ranked[:fitting], ranked[fitting:]
        well = sum(_is_well(member, app) for member in missing)
        more = Text(f"and {len(missing)} more, {well} of them well", "dim")
        return [*above, self._members(app, shown, broken=False), self._drawn(more)]

    def _parts(self, app: App, members: Sequence[Member], *, broken: bool) -> list[list[Line]]:
        title = self._title(app) + ([] if broken else self._worst(app))
        return [title, self._colours(app, broken=broken), self._members(app, members, broken=broken)]

    # -- the parts --------------------------------------------------------------------------------

    def _apps(self, room: int, *, broken: bool) -> list[Line]:
        """As many apps as fit below their head, the chosen one among them."""
        apps = list(self.scene.apps)
        if not apps:
            return []
        names = [app.name for app in apps]
        place = names.index(self.scene.chosen) if self.scene.chosen in names else 0
        first = max(0, min(place - room + 2, len(apps) - room + 1))
        shown = apps[first : first + max(1, room - 1)]
        rows = [("▸" if app.name == self.scene.chosen else " ", *cells.line(app)) for app in shown]
        return self._table(("", *cells.APPS), rows, broken=broken)

    def _title(self, app: App) -> list[Line]:
        colour = app.desired.colour if app.desired else None
        title = Text(output.clean(cells.headline(app)), f"bold {colour}" if colour else "bold red")
        lines = self._drawn(title, broken=True)
        for told in cells.beneath(app):
            style = "yellow" if told.startswith("paused") else ""
            lines += self._drawn(Text(output.clean(told), style), broken=True, indent=len(app.name) + 3)
        return lines

    def _worst(self, app: App) -> list[Line]:
        """In full what is cut among the members."""
        because, detail = standing.worst(app)
        if because in _CALM:
            return []
        told = Text(output.clean(f"{because}: {detail}"), output.style("because", because))
        return self._drawn(told, broken=True, indent=len(app.name) + 3)

    def _colours(self, app: App, *, broken: bool) -> list[Line]:
        rows = [cells.colour_row(app, colour) for colour in cells.live_first(app)]
        return self._table(cells.COLOURS, rows, broken=broken)

    def _members(self, app: App, members: Sequence[Member], *, broken: bool) -> list[Line]:
        if not members:
            return self._drawn(
                Text("no node has ever reported: does bgd run with this app in bgd.toml?", "red")
            )
        more = _more(self.width)
        head = (*cells.MEMBERS[:-1], *more, "")
        rows = [self._member(app, member, more) for member in members]
        return self._table(head, rows, broken=broken)

    def _member(self, app: App, member: Member, more: Sequence[str]) -> list[Any]:
        *told, prose = cells.member_row(member, app.desired)
        fell = self.scene.silent_at.get(member.node)
        if fell and not member.alive:
            prose = f"silent for {times.ago(fell.isoformat(), self.scene.now)} · {prose}"
        return [*told, *(_MORE[name](member, self.scene.now) for name in more), prose]

    def _events(self, room: int) -> list[Line]:
        if room < 2 or not self.scene.events:
            return []
        rows = [_event(event, self.scene.now) for event in self.scene.events[: room - 1]]
        return self._table(_EVENTS, rows, broken=False)

    # -- drawing ----------------------------------------------------------------------------------

    def _table(self, head: Sequence[str], rows: Sequence[Sequence[object]], *, broken: bool) -> list[Line]:
        return grid.table(self.console, head, rows, width=self.width, broken=broken)

    def _drawn(self, text: Text, *, broken: bool = False, indent: int = 0) -> list[Line]:
        text.no_wrap = not broken
        text.overflow = "fold" if broken else "ellipsis"
        options = self.options.update(width=max(1, self.width - indent), height=None)
        lines = self.console.render_lines(text, options, pad=False)
        return [[Segment(" " * indent), *line] for line in lines] if indent else lines


def _joined(parts: Sequence[list[Line]], *, spaced: bool) -> list[Line]:
    lines: list[Line] = []
    for part in parts:
        if spaced and lines and part:
            lines.append([Segment("", Style.null())])
        lines += part
    return lines


def _banner(lost: Lost, now: datetime) -> Text:
    at = lost.known_at.astimezone()
    known = at.strftime("%H:%M:%S" if at.date() == now.astimezone().date() else "%Y-%m-%d %H:%M:%S")
    told = f" Consul lost for {times.lasting(lost.lasting_s)}, showing what was known at {known}"
    return Text(f"{told} · {output.clean(lost.detail)}", "bold white on red")


def _keys(scene: Scene) -> str:
    if scene.app is None:
        return "q leave"
    pause = "p pause" if scene.app.ledger.pause is None else "p resume"
    choose = ["↑↓ choose"] if len(scene.apps) > 1 else []
    return "   ".join([pause, "r revert", *choose, "q leave"])


def _is_well(member: Member, app: App) -> bool:
    wish = app.desired
    proved = wish is not None and member.proved(wish.colour, wish.generation)
    return proved and member.because in _CALM


# -- what only wide screens show ------------------------------------------------------------------


def _more(width: int) -> list[str]:
    wide = ["since"] if width >= _WIDE else []
    return [*wide, "sees", "proxy"] if width >= _WIDEST else wide


def _since(member: Member, now: datetime) -> str:
    return times.ago(member.serving.get("since"), now) if member.alive else ""


def _sees(member: Member, _: datetime) -> str:
    if not member.alive:
        return ""
    told = ((colour, member.colour(colour)) for colour in Colour)
    return ", ".join(f"{colour} {view.healthy}/{view.registered}" for colour, view in told)


def _proxy(member: Member, _: datetime) -> str:
    return str(member.report.get("proxy") or "")


_MORE = {"since": _since, "sees": _sees, "proxy": _proxy}
_EVENTS = ("when", "what", "to", "release", "by", "took", "outcome", "")


def _event(event: Mapping[str, Any], now: datetime) -> list[Any]:
    age = times.ago(event.get("at"), now)
    told = [event.get(name) for name in ("what", "to", "release", "by")]
    ending = [history.took(event), event.get("outcome"), event.get("reason")]
    return [f"{age} ago" if age else None, *told, *ending]
