"""Where a command's answer and its errors go: one JSON document, or text for people."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from understudy.words import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot_client.cli.exits import Exit

_JSON = "understudy.json"


def set_json(ctx: click.Context, _param: click.Parameter, value: Any) -> None:
    """Remember, for this command and those below it, that JSON is wanted."""
    if value:
        ctx.meta[_JSON] = True


def is_json() -> bool:
    """Whether the running command is to answer with JSON."""
    ctx = click.get_current_context(silent=True)
    return bool(ctx and ctx.meta.get(_JSON))


def wants_json(args: list[str]) -> bool:
    """Whether the arguments ask for JSON; for errors that come before they are parsed."""
    return "--json" in args[: args.index("--") if "--" in args else len(args)]


def document(value: Mapping[str, Any]) -> None:
    """Print the one JSON document."""
    plain = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    # A lone surrogate, as half of a broken emoji, has no UTF-8.
    text = json.dumps(value, ensure_ascii=plain, indent=2)
    if not plain:
        text = text.encode("utf-8", "replace").decode("utf-8")
    click.echo(text)


def line(text: str) -> None:
    """Print what was asked for, without what could steer a terminal."""
    click.echo(printable(text, keep="\n\t"))


def note(text: str) -> None:
    """Say beside the answer how it came about."""
    click.secho(printable(text), err=True, dim=True)


def complain(text: str, *, as_json: bool, type_name: str, status: Exit, **more: Any) -> None:
    """Say what went wrong: a JSON document on stdout, or sentences on stderr."""
    if as_json:
        document({"error": {"type": type_name, "message": text, "exit_status": int(status), **more}})
    else:
        click.echo(f"understudy: {printable(text, keep=chr(10))}", err=True)
