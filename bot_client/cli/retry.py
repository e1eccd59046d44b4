"""`retry`: calls that failed or were cancelled are run again."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from bot_client.cli.calls import MAX_LIMIT, cause_of
from bot_client.cli.decider import decider, operator_options
from bot_client.cli.exits import Exit
from bot_client.cli.installation import installed
from bot_client.cli.options import json_option
from bot_client.cli.output import complain, document, is_json, line
from understudy.contracts.call import Reason
from understudy.errors import SettingsError
from understudy.money import dollars
from understudy.redis_client import now_ms
from understudy.state.record import CANCELLED, FAILED, STATES
from understudy.words import count, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bot_client.cli.installation import Installation

SENT = "Workers begin within a few seconds; understudy call ID shows how one fares."
GONE = "unknown"
"""The state of a call without a record."""


@dataclass(frozen=True)
class Plan:
    """What is to be run again.

    Args:
        ids: of the calls that can be.
        others: the calls that cannot, with the state of each.
        worst_microusd: what it could cost at most; None where that is not known here.
        unknown: why not.
        before_ms: of a cause: when they were looked for; those that fail later are not among them.
    """

    ids: Sequence[str]
    others: Mapping[str, str]
    worst_microusd: int | None
    unknown: str = ""
    before_ms: int | None = None

    def sentence(self) -> str:
        """What is to happen, in words."""
        what = f"{count(len(self.ids), 'call')} will run again"
        if self.worst_microusd is None:
            return f"{what}. What that could cost is not known here: {self.unknown}"
        if not self.worst_microusd:
            return f"{what}, which costs nothing."
        return f"{what}, which could cost {dollars(self.worst_microusd)} at most; the budgets hold."


@click.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--cause", metavar="CAUSE", help="All calls that failed for this reason, such as deadline.")
@click.option("--limit", type=click.IntRange(1, MAX_LIMIT), help="With --cause: so many at most, the newest first.")
@click.option("--yes", is_flag=True, help="Do not ask first.")
@operator_options
@json_option
def retry(
    *, ids: tuple[str, ...], cause: str | None, limit: int | None, yes: bool, reason: str, who: str | None
) -> int:
    """Run calls again that failed or were cancelled: those with the given IDs, or all of a cause.

    First it says how many and what they could cost at most, and asks. Each gets its kind's time anew, and whoever still
    waits for its answer gets it.
    """
    if bool(ids) == (cause is not None):
        raise click.UsageError("Give the IDs of calls, or --cause.")
    if limit is not None and cause is None:
        raise click.UsageError("--limit goes with --cause.")
    if not yes and (is_json() or not (sys.stdin.isatty() and sys.stderr.isatty())):
        raise click.UsageError("It runs calls again, which may cost money: give --yes, or run it at a terminal.")
    reason_of_calls = None if cause is None else cause_of(cause)
    if reason_of_calls == Reason.CANCELLED:
        raise click.UsageError("Give the IDs of calls that were given up; understudy calls --cancelled has them.")
    plan = asyncio.run(_plan(ids, reason_of_calls, limit))
    if plan.ids and not yes:
        click.echo(printable(plan.sentence()), err=True)
        click.confirm("Go on?", abort=True, err=True)
    accepted = asyncio.run(_rerun(plan, reason_of_calls, decider(who), reason)) if plan.ids else []
    return _say(plan, accepted, reason_of_calls)


async def _plan(ids: Sequence[str], cause: str | None, limit: int | None) -> Plan:
    async with installed() as here:
        if cause is not None:
            ended = here.operations.ended
            before_ms = await now_ms(here.redis)
            return await _priced(here, (await ended.ids(cause, before_ms))[:limit], {}, before_ms)
        unique = list(dict.fromkeys(ids))
        records = await here.ledger.records(unique)
        states = {call_id: record.state if record else "" for call_id, record in zip(unique, records, strict=True)}
        fit = [call_id for call_id in unique if states[call_id] in (FAILED, CANCELLED)]
        others = {call_id: STATES.get(states[call_id], GONE) for call_id in unique if call_id not in fit}
        return await _priced(here, fit, others)


async def _priced(
    here: Installation, ids: Sequence[str], others: Mapping[str, str], before_ms: int | None = None
) -> Plan:
    worst, unknown = None, ""
    try:
        worst = await here.operations.worst_cost(ids)
    except SettingsError as error:
        unknown = str(error)
    return Plan(ids, others, worst, unknown, before_ms)


async def _rerun(plan: Plan, cause: str | None, who: str, why: str) -> int | list[str]:
    """How many of a cause will run again, or which."""
    async with installed() as here:
        if cause is not None:
            return await here.operations.rerun_cause(
                cause, who=who, why=why, limit=len(plan.ids), before_ms=plan.before_ms
            )
        return [call_id for call_id in plan.ids if await here.operations.rerun(call_id, who=who, why=why)]


def _say(plan: Plan, accepted: int | list[str], cause: str | None) -> int:
    number = accepted if isinstance(accepted, int) else len(accepted)
    refused = dict(plan.others)
    if isinstance(accepted, list):
        refused |= {call_id: "refused" for call_id in plan.ids if call_id not in accepted}
    status = Exit.OK
    if refused:
        status = Exit.UNKNOWN_CALL if set(refused.values()) == {GONE} and not number else Exit.FAILED
    if is_json():
        told: dict[str, Any] = {"rerun": number, "refused": refused, "worst_microusd": plan.worst_microusd}
        document({"cause": cause, **told})
        return status
    for call_id, state in refused.items():
        _refuse(call_id, state, status)
    if number:
        line(f"{count(number, 'call')} will run again. {SENT}")
    elif cause is not None:
        line("No call that failed for this cause is left.")
    return status


def _refuse(call_id: str, state: str, status: Exit) -> None:
    if state == GONE:
        why = "no call has this id, or its record has expired"
    elif state == "refused":
        why = "it changed meanwhile, Celery revoked its task, or has yet to hear how it ended"
    else:
        why = f"it is {state}; only calls that failed or were cancelled run again"
    complain(f"{call_id}: {why}.", as_json=False, type_name="NotRunAgain", status=status)
