"""The group of commands."""

import click
import pytest

from bgctl.commands import bgctl

NAMES = bgctl.list_commands(click.Context(bgctl))


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_there(name):
    """Every command that the help names can be loaded, under that very name, and has a help of its own."""
    command = bgctl.get_command(click.Context(bgctl), name)

    assert command is not None
    assert command.name == name
    assert command.help


@pytest.mark.parametrize("name", [name for name in NAMES if name != "demo"])
def test_every_command_takes_the_global_options(name):
    """The global options may stand after the command too."""
    command = bgctl.get_command(click.Context(bgctl), name)
    taken = {word for parameter in command.params for word in parameter.opts}

    assert {"--consul-addr", "--token-file", "--prefix", "-o"} <= taken


@pytest.mark.parametrize("name", [name for name in NAMES if name != "demo"])
def test_every_command_about_one_app_takes_it_as_an_option(name):
    """Every command about an app takes --app, and BGCTL_APP."""
    command = bgctl.get_command(click.Context(bgctl), name)
    (option,) = (parameter for parameter in command.params if "--app" in parameter.opts)

    assert option.envvar == "BGCTL_APP"
