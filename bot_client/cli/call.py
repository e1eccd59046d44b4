"""`call` and `cancel`: one call, found by its id."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from bot_client.cli.call_view import call_of, call_view
from bot_client.cli.decider import decider, operator_options
from bot_client.cli.exits import Exit
from bot_client.cli.installation import installed
from bot_client.cli.options import json_option
from bot_client.cli.output import complain, document, is_json, line
from bot_client.cli.terminal import console
from understudy.errors import UnknownCall
from understudy.state.record import STATES

UNKNOWN = "No call has this id, or its record has expired."


@click.command()
@click.argument("call_id", metavar="ID")
@json_option
def call(call_id: str) -> None:
    """Show what the time of the call ID went into: waits and attempts, bar by bar; nothing of its text."""

    async def work() -> dict[str, Any]:

        async with installed() as here:
            record = await here.ledger.record(call_id)
            if record is None:
                raise UnknownCall(UNKNOWN)
            rank: Any = await here.redis.zrank(here.keys.waiting(record.queue), call_id)
            return call_of(record, await here.health.snapshot(), here.providers, None if rank is None else int(rank))

    told = asyncio.run(work())
    if is_json():
        document(told)
    else:
        out = console()
        out.print(call_view(told, out.width))


@click.command()
@click.argument("call_id", metavar="ID")
@operator_options
@json_option
def cancel(call_id: str, *, reason: str, who: str | None) -> int:
    """End the call ID now, whoever waits for it."""

    async def work() -> str:

        async with installed() as here:
            return STATES[await here.operations.cancel(call_id, who=decider(who), why=reason)]

    state = asyncio.run(work())
    if state != "cancelled":
        text = f"The call had ended already: it is {state}."
        complain(text, as_json=is_json(), type_name="AlreadyEnded", status=Exit.FAILED, call_id=call_id, state=state)
        return Exit.FAILED
    if is_json():
        document({"call_id": call_id, "state": state})
    else:
        line("The call is cancelled; a running attempt stops within 2 s.")
    return Exit.OK
