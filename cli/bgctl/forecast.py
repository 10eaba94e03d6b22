"""`bgctl set-live --dry-run`: what a flip would meet, gate by gate, on every member. Nothing is changed.

Rules that live here: it is asked as the flip itself would be, so that a yes means as much; what all
members agree on is told once; whatever it ends with, all that was answered is told.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import click

from bgctl import output, prepare, standing
from bgctl.call import Call
from bgctl.ending import Ended
from bgctl.errand import Errand
from bgctl.prepared import Answer, Round
from bgctl.standing import App


@dataclass(frozen=True, slots=True)
class Forecast:
    """The answers, and how it ends."""

    app: App
    asked: Round
    ended: Ended | None

    @property
    def answers(self) -> dict[str, Answer]:
        """By node: what each of those that answered says."""
        said = ((member.node, self.asked.answer(member)) for member in self.app.members)
        return {node: answer for node, answer in said if answer is not None}


def made(errand: Errand, seen: App) -> Forecast:
    """Every member's answer to a preparation that nothing follows."""
    with prepare.begun(errand, seen, dry=True) as phase:
        app = phase.answered()
    return Forecast(app, phase.asked, _ending(app, phase.asked))


def _ending(app: App, asked: Round) -> Ended | None:
    if refusal := asked.refused(app):
        return refusal
    if asked.waiting(app) or not app.members:
        return standing.obstacle(app, asked.asked.colour, asked.without) or asked.too_late(app)
    return None


def tell(call: Call, forecast: Forecast) -> None:
    """The forecast as data; a no of it as the way in which the command ends."""
    if call.json:
        output.put_json(_as_json(forecast))
    else:
        _put(forecast)
    if forecast.ended is None:
        return
    if not call.json:
        raise forecast.ended
    click.get_current_context().exit(forecast.ended.exit)


def _put(forecast: Forecast) -> None:
    asked, app = forecast.asked.asked, forecast.app
    rows = [
        (node, gate.gate, "yes" if gate.ok else "no", _said(gate.because, gate.detail))
        for node, answer in forecast.answers.items()
        for gate in answer.gates
    ]
    output.put_table(("node", "gate", "answer", "because"), rows)
    for nodes, diff in _differences(forecast):
        listed = ", ".join(nodes)
        output.put()
        output.put(f"{listed} would change:" if diff else f"{listed}: no line of the configuration changes")
        for line in diff.splitlines():
            output.put(f"  {line}")
    output.put()
    would = [member.node for member in forecast.asked.acknowledged(app)]
    what = " ".join(filter(None, (asked.colour.value, asked.release)))
    output.put(
        f"{app.name}: {what} would be taken by {len(would)}/{len(app.members)}; "
        f"{app.name}'s key stays as it is: {standing.named(app.live)}"
    )


def _said(because: str, detail: str) -> str:
    return ": ".join(filter(None, (because, detail)))


def _differences(forecast: Forecast) -> Iterable[tuple[list[str], str]]:
    """What would change in the proxies' configuration, each difference with the nodes that have it."""
    found: dict[str, list[str]] = {}
    for node, answer in forecast.answers.items():
        if answer.ok or answer.diff:
            found.setdefault(answer.diff, []).append(node)
    return ((nodes, diff) for diff, nodes in found.items())


def _as_json(forecast: Forecast) -> dict[str, Any]:
    asked, app = forecast.asked.asked, forecast.app
    answers = forecast.answers
    told = {
        "schema": 1,
        "app": app.name,
        "colour": asked.colour.value,
        "release": asked.release,
        "generation": app.generation,
        "dry_run": True,
        "ok": forecast.ended is None,
        "members": [_member(member.node, answers.get(member.node)) for member in app.members],
    }
    return told | (forecast.ended.as_json() if forecast.ended else {})


def _member(node: str, answer: Answer | None) -> dict[str, Any]:
    if answer is None:
        return {"node": node, "ok": None, "gates": [], "diff": None}
    gates = [
        {"gate": gate.gate, "ok": gate.ok, "detail": gate.detail, "because": gate.because or None}
        for gate in answer.gates
    ]
    return {"node": node, "ok": answer.ok, "gates": gates, "diff": answer.diff or None}
