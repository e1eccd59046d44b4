"""`audit`: what operators did."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.table import Table

from bot_client.cli.installation import installed
from bot_client.cli.options import json_option
from bot_client.cli.output import document, is_json, line
from bot_client.cli.terminal import console
from understudy.state.audit import MAX_LISTED, Audit
from understudy.words import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from understudy.state.audit import AuditEntry

LIMIT = 50


@click.command()
@click.option("--limit", type=click.IntRange(1, MAX_LISTED), default=LIMIT, show_default=True, help="So many at most.")
@json_option
def audit(limit: int) -> None:
    """Show what operators did, newest first: when, who, what and why."""

    async def work() -> list[AuditEntry]:

        async with installed() as here:
            return await Audit(here.redis, here.keys).entries(limit)

    entries = asyncio.run(work())
    if is_json():
        document({"entries": [entry_document(entry) for entry in entries]})
    elif entries:
        console().print(view(entries))
    else:
        line("No operator has done anything yet.")


def entry_document(entry: AuditEntry) -> dict[str, Any]:
    """What `audit --json` prints of an entry; its time is one of the clock, not a span."""
    return {"at_ms": entry.at_ms, "who": entry.who, "what": entry.what, "why": entry.why}


def view(entries: Sequence[AuditEntry]) -> RenderableType:
    """The entries for people."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for header in ("When (UTC)", "Who", "What", "Why"):
        table.add_column(header, overflow="fold")
    for entry in entries:
        when = f"{datetime.fromtimestamp(entry.at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"
        table.add_row(when, printable(entry.who), printable(entry.what), printable(entry.why))
    return table
