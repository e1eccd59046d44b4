"""`pause` and `resume`: an operator holds a queue."""

from __future__ import annotations

import asyncio

import click

from bot_client.cli.decider import WHO_HELP, WHY_HELP, decider, operator_options
from bot_client.cli.installation import installed
from bot_client.cli.options import Duration, json_option
from bot_client.cli.output import document, is_json, line
from understudy.errors import SettingsError
from understudy.providers import providers_from, queue_names
from understudy.settings import load_settings
from understudy.state.audit import note
from understudy.words import span


def complete_queue(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The queues' names, for the shell."""
    try:
        return [name for name in queue_names(providers_from(load_settings())) if name.startswith(incomplete)]
    except SettingsError:
        return []


@click.command()
@click.argument("queue", shell_complete=complete_queue)
@click.option("--for", "for_s", type=Duration(), required=True, help="How long, such as 30m; a day at most.")
@click.option("--why", "reason", required=True, help=WHY_HELP)
@click.option("--who", help=WHO_HELP)
@json_option
def pause(queue: str, for_s: float, reason: str, who: str | None) -> None:
    """Hold QUEUE for a while: nothing begins there, what runs goes on, what may goes elsewhere."""
    who, reason = note("pause", "who", decider(who)), note("pause", "why", reason)

    async def work() -> None:

        async with installed() as here:
            await here.operations.pause(queue, who=who, why=reason, for_s=for_s)

    asyncio.run(work())
    left_ms = round(for_s * 1000)
    if is_json():
        document({"paused": {"queue": queue, "who": who, "why": reason, "left_ms": left_ms}})
    else:
        line(f"Nothing begins on the queue {queue} for {span(left_ms)}. Take it back with: understudy resume {queue}")


@click.command()
@click.argument("queue", shell_complete=complete_queue)
@operator_options
@json_option
def resume(queue: str, *, reason: str, who: str | None) -> None:
    """Take a pause of QUEUE back, whoever set it: an operator, or a provider's rate limit."""

    async def work() -> bool:

        async with installed() as here:
            return await here.operations.resume(queue, who=decider(who), why=reason)

    was_paused = asyncio.run(work())
    if is_json():
        document({"queue": queue, "was_paused": was_paused})
    else:
        line(
            f"Calls begin on the queue {queue} again."
            if was_paused
            else f"The queue {queue} was not paused; nothing has changed."
        )
