"""`jobs`: the batch jobs of this installation, seen and steered from any machine that reaches its Redis."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from bot_client.cli.amounts import Dollars
from bot_client.cli.decider import operator_options
from bot_client.cli.installation import installed
from bot_client.cli.jobs_view import details, job_document, jobs_table
from bot_client.cli.options import json_option
from bot_client.cli.output import document, is_json, line
from bot_client.cli.terminal import console
from understudy.errors import UnknownJob
from understudy.state.job import CANCELLED, Job, owner_here
from understudy.state.jobs import MAX_WINDOW, Jobs
from understudy.state.keys import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

HEARD_S = "The runner hears of it within a second or two."
AUTO, NONE = "auto", "none"


class _Window(click.ParamType[int | str]):
    name = "window"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        text = str(value)
        if text == AUTO:
            return AUTO
        if not text.isdecimal() or not 1 <= int(text) <= MAX_WINDOW:
            self.fail(f"it must be a whole number from 1 to {MAX_WINDOW:,}, or {AUTO}", param, ctx)
        return int(text)


class _Budget(Dollars):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return NONE if value == NONE else super().convert(value, param, ctx)


@click.group(invoke_without_command=True)
@click.option("--all", "everything", is_flag=True, help="Also jobs that ended more than a day ago; 30 days are kept.")
@json_option
@click.pass_context
def jobs(ctx: click.Context, *, everything: bool) -> None:
    """Show batch jobs: whose they are, how far, what they cost. Its commands steer them, from any machine."""
    if ctx.invoked_subcommand is not None:
        return
    listed = [job for job in asyncio.run(_latest()) if everything or not job.ended or job.now - job.ended < DAY_MS]
    if is_json():
        document({"jobs": [job_document(job) for job in listed]})
    elif not listed:
        line("No batch job has run within a day." if not everything else "No batch job has run within 30 days.")
    else:
        console().print(jobs_table(listed))


@jobs.command()
@click.argument("job_id", metavar="ID")
@json_option
def show(job_id: str) -> None:
    """Show all that is known of one job."""
    job = asyncio.run(_steered(job_id))
    if is_json():
        document(job_document(job))
    else:
        console().print(details(job))


@jobs.command()
@click.argument("job_id", metavar="ID")
@operator_options
@json_option
def pause(job_id: str, who: str | None, reason: str) -> None:
    """Let a job open no further calls; those that are open end."""
    by = _by(who, reason)
    _say(asyncio.run(_steered(job_id, lambda known: known.pause(job_id, **by))), f"The job pauses. {HEARD_S}")


@jobs.command()
@click.argument("job_id", metavar="ID")
@operator_options
@json_option
def resume(job_id: str, who: str | None, reason: str) -> None:
    """Let a paused job go on."""
    by = _by(who, reason)
    _say(asyncio.run(_steered(job_id, lambda known: known.resume(job_id, **by))), f"The job goes on. {HEARD_S}")


@jobs.command()
@click.argument("job_id", metavar="ID")
@operator_options
@json_option
def cancel(job_id: str, who: str | None, reason: str) -> None:
    """End a job; what it has written stays, and its command takes it up again."""
    by = _by(who, reason)
    job = asyncio.run(_steered(job_id, lambda known: known.cancel(job_id, **by)))
    ended = job.ended is not None
    _say(job, f"The job has ended; it is {job.state}." if ended and job.state != CANCELLED else "The job is cancelled.")


@jobs.command("set")
@click.argument("job_id", metavar="ID")
@click.option("--window", type=_Window(), help="Calls in flight at most; `auto` leaves it to the job.")
@click.option("--budget-usd", type=_Budget(), help="What the job may cost in all; `none` leaves the other budgets.")
@operator_options
@json_option
def set_(job_id: str, window: int | str | None, budget_usd: int | str | None, who: str | None, reason: str) -> None:
    """Change a job's window or budget while it runs."""
    if window is None and budget_usd is None:
        raise click.UsageError("Give --window, --budget-usd or both.")
    by = _by(who, reason)

    async def work(known: Jobs) -> None:
        if window is not None:
            await known.set_window(job_id, window if isinstance(window, int) else None, **by)
        if budget_usd is not None:
            await known.set_budget(job_id, budget_usd if isinstance(budget_usd, int) else None, **by)

    _say(asyncio.run(_steered(job_id, work)), f"Set. {HEARD_S}")


async def _latest() -> Sequence[Job]:
    async with installed() as here:
        return await Jobs(here.redis, here.keys).latest()


async def _steered(job_id: str, steer: Callable[[Jobs], Awaitable[None]] | None = None) -> Job:
    """The job, after it was steered."""
    missing = None
    async with installed() as here:
        known = Jobs(here.redis, here.keys)
        try:
            if steer is not None:
                await steer(known)
            return await known.get(job_id)
        except UnknownJob as error:
            missing = error
    raise missing


def _by(who: str | None, why: str) -> dict[str, str]:
    """Who steers, as the job shows it; by default who is here."""
    return {"who": owner_here() if who is None else who, "why": why}


def _say(job: Job, sentence: str) -> None:
    if is_json():
        document(job_document(job))
    else:
        line(sentence)
