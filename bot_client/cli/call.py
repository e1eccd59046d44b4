"""`cancel`: an operator gives a call up."""

from __future__ import annotations

import asyncio

import click

from bot_client.cli.exits import Exit
from bot_client.cli.installation import installed
from bot_client.cli.options import json_option
from bot_client.cli.output import complain, document, is_json, line
from understudy.errors import UnknownCall
from understudy.state.record import STATES

UNKNOWN = "No call has this id, or its record has expired."


@click.command()
@click.argument("call_id", metavar="ID")
@json_option
def cancel(call_id: str) -> int:
    """End the call ID now, whoever waits for it."""

    async def work() -> str:

        async with installed() as here:
            letter = await here.ledger.cancel(call_id, operator=True)
            if letter == "missing":
                raise UnknownCall(UNKNOWN)
            return STATES[letter]

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
