"""`calls`: which calls failed and why, and which are open."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from bot_client.cli.calls_view import causes_of, causes_view, ended_of, ended_view, open_of, open_view
from bot_client.cli.installation import installed
from bot_client.cli.options import json_option
from bot_client.cli.output import document, is_json
from bot_client.cli.terminal import console
from understudy.contracts.call import Reason
from understudy.errors import InvalidRequest
from understudy.redis_client import now_ms
from understudy.state.cancelled import Cancelled
from understudy.state.open_calls import OpenCalls
from understudy.state.record import PARKED, QUEUED, RUNNING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from rich.console import RenderableType

    from bot_client.cli.installation import Installation
    from understudy.state.ended import EndedCall

LIMIT = 50
MAX_LIMIT = 10_000


@click.command()
@click.option("--failed", is_flag=True, help="Calls that failed, newest first; those in quarantine too.")
@click.option("--quarantined", is_flag=True, help="Calls whose worker died three times.")
@click.option("--cancelled", is_flag=True, help="Calls that were given up.")
@click.option("--cause", metavar="CAUSE", help="Calls that failed for this reason, such as deadline.")
@click.option("--running", is_flag=True, help="Calls that a worker is working on, the longest first.")
@click.option("--waiting", is_flag=True, help="Calls that wait, the oldest first.")
@click.option("--limit", type=click.IntRange(1, MAX_LIMIT), default=LIMIT, show_default=True, help="So many at most.")
@json_option
def calls(
    *, failed: bool, quarantined: bool, cancelled: bool, cause: str | None, running: bool, waiting: bool, limit: int
) -> None:
    """Show calls: without an option how many failed, by cause. Nothing of their text is shown."""
    if sum((failed, quarantined, cancelled, cause is not None, running, waiting)) > 1:
        raise click.UsageError("Give one of --failed, --quarantined, --cancelled, --cause, --running and --waiting.")
    if running or waiting:
        states = (RUNNING,) if running else (QUEUED, PARKED)
        _say(asyncio.run(_open(states, limit)), open_view)
        return
    if quarantined or cancelled:
        cause = Reason.QUARANTINED if quarantined else Reason.CANCELLED
    elif cause is not None:
        cause = cause_of(cause)
    if cause is not None or failed:
        _say(asyncio.run(_ended(cause, limit)), ended_view)
    else:
        _say(asyncio.run(_causes()), causes_view)


def _say(told: dict[str, Any], view: Callable[[dict[str, Any]], RenderableType]) -> None:
    if is_json():
        document(told)
    else:
        console().print(view(told))


async def _causes() -> dict[str, Any]:
    async with installed() as here:
        causes = await here.operations.ended.causes()
        return causes_of(causes, await OpenCalls(here.redis, here.keys).count(), await now_ms(here.redis))


async def _ended(cause: str | None, limit: int) -> dict[str, Any]:
    async with installed() as here:
        return ended_of(await _newest(here, cause, limit), await now_ms(here.redis))


async def _newest(here: Installation, cause: str | None, limit: int) -> list[EndedCall]:
    """Of a cause, or of all for which calls fail."""
    if cause == Reason.CANCELLED:
        return await Cancelled(here.redis, here.keys, here.ledger).latest(limit)
    known = here.operations.ended
    reasons = [each.reason for each in await known.causes()] if cause is None else [cause]
    found = [call for reason in reasons for call in await known.of(reason, limit)]
    return sorted(found, key=lambda call: (-call.ended_ms, call.id))[:limit]


async def _open(states: Collection[str], limit: int) -> dict[str, Any]:
    async with installed() as here:
        known = OpenCalls(here.redis, here.keys)
        return open_of(await known.of(states, limit), await now_ms(here.redis))


def cause_of(name: str) -> str:
    """The cause of that name.

    Raises:
        InvalidRequest: there is none.
    """
    known = [reason.value for reason in Reason]
    if name not in known:
        raise InvalidRequest(f"cause: there is no such cause; known are {', '.join(known)}.")
    return name
