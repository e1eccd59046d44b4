"""Who decides, and why: what every command says that steers an installation."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")

UNSAID = "not said"
"""The reason in the audit log where a command was given none."""

WHO_HELP = "Who decides (default: the user of this machine)."
WHY_HELP = "The reason; everyone sees it."


def operator_options(command: F) -> F:
    """Add `--who` and `--why`, neither of which has to be given."""
    why = click.option("--why", "reason", default=UNSAID, help=f"{WHY_HELP[:-1]} in the audit log.")
    return click.option("--who", help=WHO_HELP)(why(command))


def decider(who: str | None) -> str:
    """Who decides: as given, else the user of this machine."""
    return _user() if who is None else who


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"  # a container's user often has no name
