"""docs/commands.md and the command line say the same."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from bot_client.cli.exits import MEANINGS
from bot_client.cli.root import COMMANDS, root

PAGE = (Path(__file__).parents[2] / "docs" / "commands.md").read_text("utf-8")
SHOWN = re.findall(r"^\$ understudy (.*)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("line", SHOWN)
def test_every_command_that_is_shown_can_be_given(line: str) -> None:
    name, *args = shlex.split(line.split(" < ", maxsplit=1)[0])
    command = root.get_command(click.Context(root), name)
    assert command is not None
    command.make_context(name, args)


def test_every_command_is_shown() -> None:
    assert {line.split()[0] for line in SHOWN} == set(COMMANDS)


def test_every_option_is_told_of_somewhere() -> None:
    ctx = click.Context(root)
    commands = [command for name in COMMANDS if (command := root.get_command(ctx, name))]
    options = {opt for command in commands for param in command.params for opt in param.opts if opt.startswith("--")}
    assert {option for option in options if option not in PAGE} == set()


def test_the_exit_statuses_are_those_of_the_table() -> None:
    assert all(f"| {status.value} | {meaning} |" in PAGE for status, meaning in MEANINGS.items())
