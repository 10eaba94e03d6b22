"""The group of commands, and how each of them ends.

Rules that live here: a command is imported when it is called, so that none slows the others down; every
ending is one exit code and one sentence with its cure, or with `-o json` one JSON document on stdout.
"""

import errno
import importlib
import os
import signal
import sys

import click

from bgctl import options, output
from bgctl.call import Call
from bgctl.ending import Ended, Exit, misused
from bgctl.nearest import nearest

_COMMANDS = {
    "status": ("bgctl.status:status", "What is live, and where every node stands."),
    "set-live": ("bgctl.set_live:set_live", "Make a colour live, and wait for every node's proof."),
    "revert": ("bgctl.revert:revert", "Back to the other colour; the release left is rejected."),
    "wait": ("bgctl.wait:wait", "Wait until a colour is ready or drained, or the fleet has converged."),
    "why": ("bgctl.why:why", "What each node is doing or waiting for, and on which evidence."),
    "watch": ("bgctl.watch:watch", "The live screen of all that, with keys to pause and revert."),
    "history": ("bgctl.history:history", "Who flipped what when, and why."),
    "pause": ("bgctl.pause:pause", "Stop all that is automatic: revert, fallback, decline."),
    "resume": ("bgctl.pause:resume", "Let it go on."),
    "unreject": ("bgctl.unreject:unreject", "Lift the rejection of a release."),
    "forget": ("bgctl.forget:forget", "End a silent node's membership, or delete an app's keys."),
    "policy": ("bgctl.policy:policy", "The least that Consul must allow, as HCL."),
    "init": ("bgctl.init:init", "Write an app's first keys."),
    "demo": ("bgctl.demo.story:demo", "The whole story on this machine."),
}
"""Where each command is, and what `--help` says of it without importing it."""


class Commands(click.Group):
    """The commands, each imported only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        made = getattr(importlib.import_module(module), name)
        assert isinstance(made, click.Command)
        return made

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS:
            near = nearest(args[0], list(_COMMANDS))
            raise misused(f"{args[0]!r} is no command{near}", "bgctl --help")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from bgd import __version__

        click.echo(f"bgctl {__version__}")
        ctx.exit()


@click.pass_context
def _help_when_bare(ctx: click.Context) -> None:
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(Exit.USAGE)


bgctl = Commands(
    "bgctl",
    params=[
        *options.global_options(),
        click.Option(
            ["--version"],
            help="Which version this is.",
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_version,
        ),
    ],
    help="Blue-green switching, as Consul and the nodes see it.",
    epilog=(
        "The environment is honoured as by the consul CLI. Exit codes: 0 done, 1 failed, 2 usage, "
        "3 not in time, 4 refused by a gate or superseded, 5 reverted while waiting, 6 Consul unreachable "
        "or access denied, 130 interrupted. With -o json stdout is one JSON document, errors included."
    ),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
    callback=_help_when_bare,
)


def run(arguments: list[str], *, heeded: bool = False) -> int:
    """Run one command; its exit code. `heeded`: Ctrl-C ends it, with a word on what was done."""
    call = Call()
    try:
        if heeded:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        output.open_streams()
        status = bgctl.main(arguments, prog_name="bgctl", obj=call, standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else Exit.DONE
    except (Ended, click.ClickException, click.Abort, KeyboardInterrupt) as ending:
        return _tell(_ending(ending), as_json=call.json or _json_wanted(arguments))
    except OSError as problem:
        return _unheard(problem)


def _ending(ending: BaseException) -> Ended:
    match ending:
        case Ended():
            return ending
        case click.UsageError():
            return misused(ending.format_message(), _help(ending))
        case click.ClickException():
            return Ended(Exit.FAILED, "failed", ending.format_message())
    return Ended(Exit.INTERRUPTED, "interrupted", "interrupted; nothing was written")


def _help(problem: click.UsageError) -> str:
    return f"{problem.ctx.command_path} --help" if problem.ctx else "bgctl --help"


def _tell(ended: Ended, *, as_json: bool) -> int:
    if as_json:
        output.put_json(ended.as_json())
    else:
        code = "" if ended.because in ("usage", "interrupted", "failed") else f"{ended.because}: "
        output.say(f"bgctl: {code}{ended.detail}")
        if ended.cure:
            output.say(f"       → {ended.cure}")
    return ended.exit


def _json_wanted(arguments: list[str]) -> bool:
    """Asked of the bare words, for endings that come before the options are understood."""
    pairs = zip(arguments, [*arguments[1:], ""], strict=True)
    return any(
        word in ("-ojson", "-o=json", "--output=json") or (word in ("-o", "--output") and value == "json")
        for word, value in pairs
    )


_UNHEARD = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EIO)


def _unheard(problem: OSError) -> int:
    """Stdout takes no more. To whoever read us and has gone, nothing is said."""
    if problem.errno not in _UNHEARD:
        raise problem
    # Python must not try to flush into it once more.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if problem.errno != errno.EPIPE:
        output.say(f"bgctl: the answer cannot be written: {problem.strerror}")
    return Exit.FAILED
