"""`status`: providers, breakers, queues and workers, read at one moment."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click
from rich.live import Live
from rich.text import Text

from bot_client.cli.installation import installed
from bot_client.cli.options import json_option
from bot_client.cli.output import document, is_json
from bot_client.cli.status_view import status_of, view
from bot_client.cli.terminal import console
from understudy.errors import Unavailable
from understudy.providers import absent
from understudy.state.stats import Stats

if TYPE_CHECKING:
    from rich.console import RenderableType

REFRESH_S = 1.0


@click.command()
@click.option("--watch", is_flag=True, help="Refresh every second until Ctrl-C.")
@json_option
def status(*, watch: bool) -> None:
    """Show providers, queues and workers; a queue without workers is red."""
    if watch and is_json():
        raise click.UsageError("--watch and --json do not go together: one run prints one document.")
    if watch:
        asyncio.run(_watch())
        return
    seen = asyncio.run(_read())
    if is_json():
        document(seen)
    else:
        console().print(view(seen))


async def _read() -> dict[str, Any]:

    async with installed() as here:
        quarter = await Stats(here.redis, here.keys).last_quarter(here.providers)
        return status_of(here.providers, await here.health.snapshot(), absent(here.settings), quarter)


async def _watch() -> None:
    """Redis out of reach is shown and waited out: that is when somebody watches."""
    out = console()
    with Live(console=out, auto_refresh=False) as live:
        while True:
            shown: RenderableType
            try:
                shown = view(await _read())
            except Unavailable as error:
                shown = Text(str(error), style="red")
            if out.is_terminal:
                live.update(shown, refresh=True)
            else:
                out.print(shown)
            await asyncio.sleep(REFRESH_S)
