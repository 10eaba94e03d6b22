"""bgd run · check · render: the daemon's own commands, and how each of them ends."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from bgd import __version__
from bgd.config import ConfigProblems, Settings, load
from bgd.host.logging import LEVELS, configure

if TYPE_CHECKING:
    from bgd.proxy.change import Change

FAILED = 1
SECOND_DAEMON = 75
BAD_CONFIG = 78

config_option = click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default=Path("/etc/bgd/bgd.toml"),
    show_default=True,
    help="The configuration.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bgd", message="%(prog)s %(version)s")
def main() -> None:
    """Keeps this host's load balancer on the colour that Consul names."""


@main.command()
@config_option
@click.option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True)
def run(path: Path, log_level: str) -> None:
    """Run the daemon until SIGTERM. SIGHUP reads the configuration and the templates anew."""
    from bgd.daemon import Daemon, SecondDaemon, Unusable

    settings = _load(path)
    configure(log_level)
    try:
        Daemon(settings, path, os.environ).run()
    except Unusable as unusable:
        _end(BAD_CONFIG, [f"{path}: {unusable.problem}"])
    except SecondDaemon as second:
        _end(SECOND_DAEMON, [str(second)])


@main.command()
@config_option
def check(path: Path) -> None:
    """Say whether the configuration is right, and have the proxy judge what bgd would write."""
    from bgd.host.notify import unusable

    settings = _load(path)
    change = _change(settings)
    problems = change.check()
    unready = [f"notify.command: {why}" for why in [unusable(settings.notify)] if why]
    for note in change.notes() + unready:
        click.echo(f"bgd: note: {note}", err=True)
    if problems:
        _end(FAILED, problems)
    click.echo(f"{path} is right, and the proxy accepts what bgd would write for {_names(settings)}")


@main.command()
@config_option
@click.option("--app", help="Only this app's part.")
def render(path: Path, app: str | None) -> None:
    """Print bgd's part of the proxy's configuration as it would be written now."""
    from bgd.proxy.errors import WorldError

    settings = _load(path)
    if app is not None and app not in [each.name for each in settings.apps]:
        raise click.UsageError(f"there is no app {app!r} in {path}, only {_names(settings)}")
    try:
        click.echo(_change(settings).render(app), nl=False)
    except WorldError as error:
        _end(FAILED, [error.failed.detail])


def _load(path: Path) -> Settings:
    try:
        return load(path)
    except ConfigProblems as wrong:
        _end(BAD_CONFIG, [f"{path}: {problem}" for problem in wrong.problems])


def _change(settings: Settings) -> "Change":
    import structlog

    from bgd.proxy.change import Change
    from bgd.proxy.kinds import adapter
    from bgd.status.board import Board

    node = settings.node or "node"
    proxy = adapter(settings.proxy, node)
    return Change(settings.proxy, proxy, settings.apps, node, Board(""), structlog.get_logger())


def _names(settings: Settings) -> str:
    return ", ".join(app.name for app in settings.apps)


def _end(status: int, sentences: Iterable[str]) -> NoReturn:
    for sentence in sentences:
        click.echo(f"bgd: {sentence}", err=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
