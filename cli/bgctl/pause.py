"""`bgctl pause` and `resume`: whether the daemons may revert, fall back and decline by themselves.

Rules that live here: a pause has a reason; what stands already is left as it is, and said. What an
operator wishes is carried out all the same.
"""

import click

from bgctl import options, output, writes
from bgctl.call import Call
from bgctl.ending import misused
from bgctl.standing import App
from bgd.store.records import shown

_ALL = click.option("--all", "everything", is_flag=True, help="Every app below the prefix.")


@options.command("pause")
@click.argument("reason", metavar="REASON")
@options.app_option
@_ALL
def pause(call: Call, *, reason: str, app: str | None, everything: bool) -> None:
    """Pause: no revert, no fallback, no decline, until `bgctl resume`.

    REASON is shown to all who ask. A change of the live key is still carried out, releases become known
    good, and whoever is in fallback may come back.
    """
    if not reason.strip():
        raise misused("why? A pause has a reason", 'bgctl pause "deploy freeze"')
    apps = _meant(call, app, everything)
    changed = [one.name for one in apps if one.ledger.pause != _kept(reason)]
    writes.pause(call, changed, reason)
    if call.json:
        return _put_json(apps, dict.fromkeys((one.name for one in apps), reason), changed)
    for one in apps:
        output.put(f"{one.name}: {_told(one, reason)}")
    output.say(f"→ bgctl resume{_which(apps, everything)}, when it shall go on")


@options.command("resume")
@options.app_option
@_ALL
def resume(call: Call, *, app: str | None, everything: bool) -> None:
    """Let the daemons revert, fall back and decline again."""
    apps = _meant(call, app, everything)
    paused = [one.name for one in apps if one.ledger.pause is not None]
    writes.resume(call, paused)
    if call.json:
        return _put_json(apps, {}, paused)
    for one in apps:
        was = f"resumed; it was paused: {one.ledger.pause}"
        output.put(f"{one.name}: {was if one.name in paused else 'is not paused'}")


def _meant(call: Call, app: str | None, everything: bool) -> list[App]:
    if everything and options.named_on_the_line("app"):
        raise misused("--app or --all, not both")
    if not everything:
        return [call.existing_app(call.app_name(app))]
    apps = call.apps()
    if not apps:
        raise misused(call.no_apps)
    return apps


def _told(app: App, reason: str) -> str:
    if app.ledger.pause == _kept(reason):
        return f"paused already: {reason}"
    before = f" (before: {app.ledger.pause})" if app.ledger.pause is not None else ""
    return f"paused: {reason}{before}"


def _kept(reason: str) -> str:
    """A reason as it is read again."""
    return shown(reason.encode(errors="replace"))


def _which(apps: list[App], everything: bool) -> str:
    return " --all" if everything else f" --app {apps[0].name}"


def _put_json(apps: list[App], reasons: dict[str, str], changed: list[str]) -> None:
    told = [{"app": one.name, "pause": reasons.get(one.name), "changed": one.name in changed} for one in apps]
    output.put_json({"schema": 1, "apps": told})
