"""`force`, `unforce` and `clear`: what an operator decides about providers."""

from __future__ import annotations

import asyncio
import getpass
from typing import Any

import click

from bot_client.cli.installation import installed
from bot_client.cli.options import Duration, json_option
from bot_client.cli.output import document, is_json, line
from bot_client.cli.words import span, words
from bot_client.policy import check_note, known_provider
from understudy.errors import SettingsError
from understudy.providers import providers_from
from understudy.settings import load_settings
from understudy.state.health import CLOSED


def complete_provider(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The providers' names, for the shell."""
    try:
        return [p.name for p in providers_from(load_settings()) if p.name.startswith(incomplete)]
    except SettingsError:
        return []


@click.command()
@click.argument("provider", shell_complete=complete_provider)
@click.option("--for", "for_s", type=Duration(), help="How long, such as 30m (default UNDERSTUDY_FORCED_S).")
@click.option("--why", "reason", required=True, help="The reason; everyone sees it.")
@click.option("--who", help="Who decides (default: the user of this machine).")
@json_option
def force(provider: str, for_s: float | None, reason: str, who: str | None) -> None:
    """Put PROVIDER first for a while; never past a call's own policy."""
    who = _note("who", _user() if who is None else who)
    reason = _note("why", reason)

    async def work() -> dict[str, Any]:

        async with installed() as here:
            chosen = known_provider(here.providers, provider, "force").name
            seconds = here.settings.understudy_forced_s if for_s is None else for_s
            await here.controls.force(chosen, who=who, why=reason, for_s=seconds)
            return {"provider": chosen, "who": who, "why": reason, "left_ms": round(seconds * 1000)}

    forced = asyncio.run(work())
    if is_json():
        document({"forced": forced})
    else:
        line(f"{forced['provider']} comes first for {span(forced['left_ms'])}. Take it back with: understudy unforce")


@click.command()
@json_option
def unforce() -> None:
    """Take `force` back."""

    async def work() -> bool:

        async with installed() as here:
            return await here.controls.unforce()

    was_forced = asyncio.run(work())
    if is_json():
        document({"forced": None, "was_forced": was_forced})
    else:
        line("The configured order holds again." if was_forced else "No provider was forced; nothing has changed.")


@click.command()
@click.argument("provider", required=False, shell_complete=complete_provider)
@json_option
def clear(provider: str | None) -> None:
    """Take PROVIDER's health for good again, or that of all.

    Its breaker closes, pauses of its queues and a preferred fallback are forgotten. What was forced stays forced.
    """

    async def work() -> list[dict[str, Any]]:

        async with installed() as here:
            chosen = (
                [known_provider(here.providers, provider, "clear")] if provider is not None else list(here.providers)
            )
            before = await here.health.snapshot()
            for each in chosen:
                await here.health.clear(each)
            return [
                {"provider": p.name, "was": before.breaker(p.name).state, "why": before.breaker(p.name).why}
                for p in chosen
            ]

    cleared = asyncio.run(work())
    if is_json():
        document({"cleared": cleared})
        return
    for row in cleared:
        why = f" ({words(row['why'])})" if row["why"] else ""
        was = f"was {words(row['was'])}{why} and is closed now" if row["was"] != CLOSED else "was closed already"
        line(f"{row['provider']}: the breaker {was}.")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"  # a container's user often has no name


def _note(field: str, value: str) -> str:
    """One line of text that every terminal and JSON can show."""
    note = " ".join(value.encode("utf-8", "replace").decode("utf-8").split())
    check_note(field, note)
    return note
