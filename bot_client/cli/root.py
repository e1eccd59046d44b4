"""The command `understudy` itself: its parts, and what becomes of every error."""

from __future__ import annotations

import io
import logging
import sys
import traceback
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bot_client.cli.exits import Exit, exit_of, exit_table
from bot_client.cli.options import json_option
from bot_client.cli.output import complain, wants_json
from understudy import __version__
from understudy.errors import CallError, SettingsError, UnderstudyError

if TYPE_CHECKING:
    from collections.abc import Sequence

NAME = "understudy"

COMMANDS = {
    "moderate": ("ask", "Judge one message."),
    "name": ("ask", "Name a thread."),
    "ask": ("ask", "Ask a question."),
    "chat": ("chat", "Talk with the assistant, streamed."),
    "status": ("status", "Show providers, queues and workers."),
    "why": ("why", "Show where a call is, why it waits, and what was tried."),
    "call": ("call", "Show what a call's time went into."),
    "calls": ("calls", "Show calls: how many failed and why, and which are open."),
    "retry": ("retry", "Run calls again that failed or were cancelled."),
    "remoderate": ("remoderate", "Judge many messages beside live traffic, from a file."),
    "jobs": ("jobs", "Show batch jobs: whose they are, how far, what they cost."),
    "evaluate": ("evaluate", "Judge the labelled messages of a file, and compare with the labels."),
    "report": ("results", "Write the figures and plots of a job's output as one HTML page."),
    "diff": ("results", "Show what changed between two outputs."),
    "cancel": ("call", "End a call now, whoever waits for it."),
    "spend": ("spend", "Show what was charged, and how far each budget is used up."),
    "force": ("controls", "Put a provider first for a while."),
    "unforce": ("controls", "Take `force` back."),
    "clear": ("controls", "Take a provider's health for good again, or that of all."),
    "pause": ("pausing", "Hold a queue for a while."),
    "resume": ("pausing", "Take a pause of a queue back."),
    "audit": ("audit", "Show what operators did."),
    "doctor": ("doctor", "Check that everything a call needs is there."),
    "completion": ("completion", "Print the completion script of a shell."),
}
"""Each command: the module it lives in, and what `--help` says of it."""


class Commands(click.Group):
    """The commands, each imported when it is first used: `--help` need not wait for Redis and Celery."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """The names, in the order in which they are shown."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"bot_client.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])


@click.group(
    cls=Commands,
    epilog=exit_table(),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name=NAME)
@json_option
def root() -> None:
    """Ask for moderation, thread names and agent turns; see and steer who answers.

    Settings come from the environment and from a file .env in the current folder.
    """


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave the process with its exit status."""
    # Without a handler, what the client and Celery log would stand between the answer and the errors.
    logging.getLogger().addHandler(logging.NullHandler())
    given = list(sys.argv[1:] if args is None else args)
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets a question mark, not a traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    sys.exit(int(run(given)))


def run(args: list[str]) -> int:
    """Run one command; returns the exit status."""
    as_json = wants_json(args)
    try:
        result = root.main(args=args, prog_name=NAME, standalone_mode=False)
    except click.Abort:
        complain("Interrupted.", as_json=as_json, type_name="Interrupted", status=Exit.INTERRUPTED)
        return Exit.INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return Exit.USAGE
    except click.ClickException as error:
        _complain_of_usage(error, as_json=as_json)
        return Exit.USAGE
    except UnderstudyError as error:
        return _complain_of(error, as_json=as_json)
    except Exception as error:  # noqa: BLE001 - the last stop: its message may quote what a user wrote
        text = f"Internal error ({type(error).__name__}). Please report it with the lines above."
        traceback.print_tb(error.__traceback__)
        complain(text, as_json=as_json, type_name=type(error).__name__, status=Exit.FAILED)
        return Exit.FAILED
    return result if isinstance(result, int) else Exit.OK


def _complain_of_usage(error: click.ClickException, *, as_json: bool) -> None:
    text = error.format_message()
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    text = text if text.endswith((".", "?", ")")) else f"{text}."
    if ctx is not None and not as_json:
        text += f" See {ctx.command_path} --help."
    complain(text, as_json=as_json, type_name="UsageError", status=Exit.USAGE)


def _complain_of(error: UnderstudyError, *, as_json: bool) -> int:
    status, more = exit_of(error), dict[str, Any]()
    text = str(error)
    if isinstance(error, CallError):
        more = {"call_id": error.call_id, "attempts": error.attempts}
        if not as_json and error.call_id not in text:
            text += f" See: {NAME} why {error.call_id}"
    if isinstance(error, SettingsError):
        more = {"sentences": text.splitlines()}
    complain(text, as_json=as_json, type_name=type(error).__name__, status=status, **more)
    return status
