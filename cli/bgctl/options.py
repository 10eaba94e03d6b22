"""What may stand on the command line beside a command's own words.

Rules that live here: the global options are taken before the command and after it; durations are
written as in bgd.toml; a word that is not known gets a sentence with the nearest one that is.
"""

import functools
from collections.abc import Callable
from typing import Any

import click

from bgctl import times
from bgctl.call import Call
from bgctl.nearest import nearest
from bgd.core.model import Colour


def colour_word(text: str) -> Colour:
    """`blue` or `green`; case is ignored."""
    try:
        return Colour(text.strip().lower())
    except ValueError:
        raise click.BadParameter(f"{text!r} is no colour{nearest(text, [*Colour])}") from None


def duration(text: str) -> float:
    """A duration in seconds, written with its unit."""
    try:
        return times.seconds(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is no duration; write 500ms, 60s or 5m") from None


def global_options() -> list[click.Parameter]:
    """Where Consul is, and how to answer: for the group and for every command."""
    return [
        _kept("--consul-addr", metavar="URL", help="Where Consul is (CONSUL_HTTP_ADDR)."),
        _kept("--token-file", metavar="FILE", help="A file that holds the ACL token."),
        _kept("--prefix", metavar="PREFIX", help="Where the keys are (bluegreen)."),
        _kept("-o", "--output", type=click.Choice(["table", "json"]), help="For people, or for programs."),
    ]


def _kept(*names: str, **settings: Any) -> click.Option:
    return click.Option(list(names), expose_value=False, callback=_keep, is_eager=True, **settings)


def _keep(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value is not None:
        setattr(ctx.ensure_object(Call), str(param.name), value)


def command(name: str, **settings: Any) -> Callable[[Callable[..., None]], click.Command]:
    """A click command that takes the global options too, and is given the Call first."""

    def wrap(function: Callable[..., None]) -> click.Command:
        run: Callable[..., Any] = click.pass_obj(function)
        made: click.Command = click.command(name, cls=click.Command, **settings)(run)
        made.params.extend(global_options())
        return made

    return wrap


app_option = click.option("--app", "app", metavar="APP", envvar="BGCTL_APP", help="Which app.")
timeout_option = click.option(
    "--timeout", metavar="DURATION", type=duration, default="60s", show_default=True, help="How long to wait."
)


def app_argument(function: Callable[..., None]) -> Callable[..., None]:
    """APP as an argument or as --app; the function gets `app`, which is None for all apps."""

    @functools.wraps(function)
    def chosen(call: Call, *, named: str | None, app: str | None, **rest: Any) -> None:
        function(call, app=app if named is None else named, **rest)

    return click.argument("named", metavar="[APP]", required=False)(app_option(chosen))


def named_on_the_line(name: str) -> bool:
    """Whether a parameter was written on the command line, and not taken from the environment."""
    source = click.get_current_context().get_parameter_source(name)
    return source is click.core.ParameterSource.COMMANDLINE
