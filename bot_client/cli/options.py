"""Options that several commands share, and how they are read."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from bot_client.cli.output import set_json
from understudy.errors import InvalidRequest

F = TypeVar("F", bound=Callable[..., Any])

SPENDS = ("never", "defer", "allow")
"""Of `understudy.contracts.call.Spend`, which takes too long to import for a `--help`."""

MAX_INPUT = 4_000_000
"""Bytes that are read at most from standard input or a file: above every contract's limit."""

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d)\s*")


class Duration(click.ParamType[float]):
    """A span of time, given as `90`, `90s`, `30m` or `1h30m`, read as seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The span in seconds."""
        if isinstance(value, int | float):
            return float(value)
        seconds = seconds_of(str(value))
        if seconds is None:
            self.fail("it must be a duration such as 90, 90s, 30m or 1h30m", param, ctx)
        return seconds


class TextCommand(click.Command):
    """A command whose argument is what a user wrote, which no error repeats."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse; a wrong option or a second argument may be a part of the text."""
        ctx.allow_extra_args = True
        possible: tuple[str, ...] = ()
        try:
            super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            possible = tuple(error.possibilities or ())
        else:
            if not ctx.args or ctx.resilient_parsing:
                return ctx.args
            raise click.UsageError("TEXT must be one argument: put it in quotes.", ctx)
        nearest = f" (did you mean {' or '.join(possible)}?)" if possible else ""
        raise click.UsageError(f"There is no such option{nearest}; before a TEXT that begins with a dash put --.", ctx)


def seconds_of(text: str) -> float | None:
    """A duration in seconds; None where the text is none."""
    text = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    if not text or not re.fullmatch(rf"(?:{_PART.pattern})+", text):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def json_option(command: F) -> F:
    """Add `--json`."""
    return click.option(
        "--json", is_flag=True, expose_value=False, is_eager=True, callback=set_json, help="Print one JSON document."
    )(command)


def call_options(command: F) -> F:
    """Add what a caller may say about one call."""
    for option in (
        click.option("--user", "user_id", metavar="ID", help="Whom the call is for."),
        click.option("--key", help="Asking twice with the same key is one call."),
        click.option("--only", metavar="PROVIDER", help="Only this provider may answer."),
        click.option("--local-only", is_flag=True, help="Only providers that are marked as local may see the text."),
        click.option("--spend", type=click.Choice(SPENDS), help="Whether it may cost money."),
        click.option("--deadline", "deadline_s", type=Duration(), help="How long to wait, such as 30s or 2m."),
    ):
        command = option(command)
    return json_option(command)


def text_of(argument: str) -> str:
    """The text an argument stands for: itself, or standard input for `-`.

    Raises:
        InvalidRequest: standard input is not text, or too long.
    """
    if argument != "-":
        return argument
    return _decoded(sys.stdin.buffer.read(MAX_INPUT + 1), "Standard input")


def text_in(path: str) -> str:
    """The text of a file.

    Raises:
        InvalidRequest: it cannot be read, is not text or too long.
    """
    try:
        with Path(path).open("rb") as file:
            return _decoded(file.read(MAX_INPUT + 1), "The file")
    except OSError as error:
        reason = error.strerror or type(error).__name__
    raise InvalidRequest(f"The file {path} cannot be read: {reason}.")


def _decoded(data: bytes, what: str) -> str:
    if len(data) > MAX_INPUT:
        raise InvalidRequest(f"{what} is too long: at most {MAX_INPUT:,} bytes are read.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = None
    if text is None:
        raise InvalidRequest(f"{what} must be UTF-8 text.")
    return text.removesuffix("\n").removesuffix("\r")
