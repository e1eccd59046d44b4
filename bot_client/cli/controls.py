"""`force`, `unforce` and `clear`: what an operator decides about providers."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from bot_client.cli.decider import WHO_HELP, WHY_HELP, decider, operator_options
from bot_client.cli.installation import installed
from bot_client.cli.options import Duration, json_option
from bot_client.cli.output import document, is_json, line
from understudy.errors import SettingsError
from understudy.providers import providers_from
from understudy.settings import load_settings
from understudy.state.audit import note
from understudy.state.health import CLOSED
from understudy.words import span, words


def complete_provider(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The providers' names, for the shell."""
    try:
        return [p.name for p in providers_from(load_settings()) if p.name.startswith(incomplete)]
    except SettingsError:
        return []


@click.command()
@click.argument("provider", shell_complete=complete_provider)
@click.option("--for", "for_s", type=Duration(), help="How long, such as 30m (default UNDERSTUDY_FORCED_S).")
@click.option("--why", "reason", required=True, help=WHY_HELP)
@click.option("--who", help=WHO_HELP)
@json_option
def force(provider: str, for_s: float | None, reason: str, who: str | None) -> None:
    """Put PROVIDER first for a while; never past a call's own policy."""
    who, reason = note("force", "who", decider(who)), note("force", "why", reason)

    async def work() -> dict[str, Any]:

        async with installed() as here:
            seconds = here.settings.understudy_forced_s if for_s is None else for_s
            await here.operations.force(provider, who=who, why=reason, for_s=seconds)
            return {"provider": provider, "who": who, "why": reason, "left_ms": round(seconds * 1000)}

    forced = asyncio.run(work())
    if is_json():
        document({"forced": forced})
    else:
        line(f"{forced['provider']} comes first for {span(forced['left_ms'])}. Take it back with: understudy unforce")


@click.command()
@operator_options
@json_option
def unforce(*, reason: str, who: str | None) -> None:
    """Take `force` back."""

    async def work() -> bool:

        async with installed() as here:
            return await here.operations.unforce(who=decider(who), why=reason)

    was_forced = asyncio.run(work())
    if is_json():
        document({"forced": None, "was_forced": was_forced})
    else:
        line("The configured order holds again." if was_forced else "No provider was forced; nothing has changed.")


@click.command()
@click.argument("provider", required=False, shell_complete=complete_provider)
@operator_options
@json_option
def clear(provider: str | None, *, reason: str, who: str | None) -> None:
    """Take PROVIDER's health for good again, or that of all.

    Its breaker closes, pauses of its queues and a preferred fallback are forgotten. What was forced stays forced.
    """

    async def work() -> list[dict[str, Any]]:

        async with installed() as here:
            before = await here.health.snapshot()
            await here.operations.clear(provider, who=decider(who), why=reason)
            return [
                {"provider": p.name, "was": before.breaker(p.name).state, "why": before.breaker(p.name).why}
                for p in here.providers
                if provider in (None, p.name)
            ]

    cleared = asyncio.run(work())
    if is_json():
        document({"cleared": cleared})
        return
    for row in cleared:
        why = f" ({words(row['why'])})" if row["why"] else ""
        was = f"was {words(row['was'])}{why} and is closed now" if row["was"] != CLOSED else "was closed already"
        line(f"{row['provider']}: the breaker {was}.")
