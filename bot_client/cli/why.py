"""`why`: where a call is and why it waits."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from bot_client.cli.call import UNKNOWN
from bot_client.cli.installation import installed
from bot_client.cli.options import json_option
from bot_client.cli.output import document, is_json
from bot_client.cli.terminal import console
from bot_client.cli.why_view import Place, view, why_of
from understudy.errors import UnknownCall


@click.command()
@click.argument("call_id", metavar="ID")
@json_option
def why(call_id: str) -> None:
    """Show where the call ID is, why it waits, and what was tried; nothing of its text."""
    told = asyncio.run(_read(call_id))
    if is_json():
        document(told)
    else:
        console().print(view(told))


async def _read(call_id: str) -> dict[str, Any]:

    async with installed() as here:
        record = await here.ledger.record(call_id)
        if record is None:
            raise UnknownCall(UNKNOWN)
        async with here.redis.pipeline(transaction=False) as pipe:
            pipe.zrank(here.keys.waiting(record.queue), call_id)
            pipe.zscore(here.keys.waiting(record.queue), call_id)
            pipe.zscore(here.keys.due(), call_id)
            rank, since, due = await pipe.execute()
        place = Place(
            rank=None if rank is None else int(rank),
            since=None if since is None else int(since),
            due=None if due is None else int(due),
        )
        return why_of(record, here.providers, await here.health.snapshot(), place)
