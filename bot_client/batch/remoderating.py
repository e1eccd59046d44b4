"""`remoderate`: many messages judged beside live traffic, in code."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from bot_client.batch.answers import CACHE_DAYS
from bot_client.batch.plan import Plan
from bot_client.batch.row import Row, read_row
from bot_client.batch.running import Running
from understudy.contracts.call import Spend
from understudy.errors import InvalidRequest
from understudy.money import microusd
from understudy.state.job import new_job_id

if TYPE_CHECKING:
    from bot_client.batch.desk import Desk
    from bot_client.batch.progress import Progress
    from bot_client.batch.verdict import Verdict
    from bot_client.interface import Client
    from bot_client.options import SpendPolicy

Given: TypeAlias = str | Mapping[str, Any]
"""A message: its text, or a mapping with id, text and, where there are any, chat, user, rules and context."""


class Remoderating:
    """Judges many messages."""

    def remoderate(
        self,
        messages: Iterable[Given] | AsyncIterable[Given],
        *,
        rules: str | None = None,
        window: int | None = None,
        spend: SpendPolicy = "defer",
        local_only: bool = False,
        only: str | None = None,
        budget_usd: float | None = None,
        rate: float | None = None,
        job: str | None = None,
        name: str = "remoderate",
        cache: str | Path | None = None,
        cache_days: float = CACHE_DAYS,
        progress: Progress | None = None,
    ) -> AsyncIterator[Verdict]:
        """Judge messages beside live traffic, and hand the verdicts out as they come.

        No message is read ahead of the window, and none while a verdict waits to be taken: memory does not grow with
        their number. While the free providers are out it waits; see `spend`. Verdicts are a report: nothing is applied.

        Args:
            messages: mappings with `id` and `text` and, where there are any, `chat` (its title), `user` (a name),
                `rules` and `context` (the message that this one answers); or texts, whose id is their place, from 1.
            rules: of messages that bring none.
            window: calls in flight at most; without it, what the workers of the batch queues can take.
            spend: `never`, `defer` (wait for a free provider) or `allow` (go on with the paid one).
            only: the name of the one provider that may answer.
            budget_usd: what the job may cost in all.
            rate: calls begun each second, at most.
            job: an id of your own: the same one later finds calls of the earlier run again instead of asking twice.
            name: shown to operators.
            cache, cache_days: a file with verdicts of earlier jobs, and how long these are taken.
            progress: counts to watch.

        Raises:
            InvalidRequest: an argument breaks its limit.
            JobStopped: an operator cancelled the job.
        """
        plan = Plan(
            job=job or new_job_id(),
            named=job is not None,
            name=name,
            rules=rules,
            window=window,
            spend=_spend(spend),
            local_only=local_only,
            only=only,
            budget_microusd=None if budget_usd is None else _budget(budget_usd),
            rate=rate,
            cache=Path(cache) if cache is not None else None,
            cache_days=cache_days,
        )
        return _judged(cast("Client", self), plan, messages, progress)

    def _desk(self) -> Desk | None:
        """Health and jobs of the installation; None where there is none."""
        return None


async def _judged(
    client: Client, plan: Plan, messages: Iterable[Given] | AsyncIterable[Given], progress: Progress | None
) -> AsyncIterator[Verdict]:
    verdicts = Running(client, plan, progress).verdicts(_rows(messages, plan.rules))
    async with aclosing(verdicts):  # type: ignore[type-var]
        async for verdict in verdicts:
            yield verdict


async def _rows(messages: Iterable[Given] | AsyncIterable[Given], rules: str | None) -> AsyncIterator[Row]:
    number = 0
    async for given in _each(messages):
        number += 1
        try:
            yield read_row(given, number, rules=rules)
        except InvalidRequest as error:
            yield Row(number, number, None, str(error))


async def _each(messages: Iterable[Given] | AsyncIterable[Given]) -> AsyncIterator[Given]:
    if isinstance(messages, AsyncIterable):
        async for given in messages:
            yield given
    else:
        for given in messages:
            yield given


def _budget(budget_usd: float) -> int:
    try:
        return microusd(budget_usd)
    except ValueError as error:
        raise InvalidRequest(f"remoderate: budget_usd must be {error}.") from None


def _spend(spend: SpendPolicy) -> Spend:
    try:
        return Spend(spend)
    except ValueError:
        raise InvalidRequest(f"remoderate: spend must be one of {', '.join(Spend)}.") from None
