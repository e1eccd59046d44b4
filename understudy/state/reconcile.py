"""The totals of a day against what the records of its calls say: both were written by the same scripts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from understudy.state.spend import Spend

if TYPE_CHECKING:
    from datetime import date

    from redis.asyncio import Redis

    from understudy.state.keys import Keys

TRIES = 3
"""While calls run, totals move on during a reading: it is repeated before a difference is told."""

LATE_MS = 3 * 86_400_000
"""How long a request is remembered whose record Redis had lost when it was settled."""

PAGE = 500


@dataclass(frozen=True)
class Reconciled:
    """Today's totals and the sum of today's requests, in micro-dollars.

    Args:
        day: of UTC; the records of its calls are all there still.
        records: how many records were read, those without a paid request included.
        open_microusd: of the sum, reservations that nobody has settled: of requests that run, whose cost is not known,
            or whose worker died.
    """

    day: date
    records: int
    total_microusd: int
    total_requests: int
    sum_microusd: int
    sum_requests: int
    open_microusd: int
    open_requests: int

    @property
    def agrees(self) -> bool:
        """Whether both are the same."""
        return (self.total_microusd, self.total_requests) == (self.sum_microusd, self.sum_requests)


async def reconcile(redis: Redis, keys: Keys) -> Reconciled:
    """Add up all of today's requests and compare them with the totals.

    A record outlives its call by a day, so that today's are complete; those of earlier days are going.
    """
    spend = Spend(redis, keys)
    for _ in range(TRIES):
        day = await spend.today()
        found = await _once(redis, keys, spend, day)
        if found.agrees:
            break
    return found


async def _once(redis: Redis, keys: Keys, spend: Spend, day: date) -> Reconciled:
    amounts, counts, records = Counter[str](), Counter[str](), 0
    page: list[str] = []

    async def add() -> None:
        async with redis.pipeline(transaction=False) as pipe:
            for key in page:
                for pattern in ("rsv:*", "paid:*"):
                    pipe.hscan(key, match=pattern, count=10_000)
            rows: list[Any] = await pipe.execute()
        for _, fields in rows:
            for name, value in fields.items():
                amount, charged_on, *_ = value.split()
                if charged_on == f"{day:%Y%m%d}":
                    kind = name.partition(":")[0]
                    amounts[kind] += int(amount)
                    counts[kind] += 1

    async for key in redis.scan_iter(keys.call("*"), count=PAGE):
        records += 1
        page.append(key)
        if len(page) >= PAGE:
            await add()
            page.clear()
    await add()
    async for key in redis.scan_iter(keys.spend_late("*", "*"), count=PAGE):
        amount, left_ms = await redis.get(key), await redis.pttl(key)
        at = datetime.now(UTC) - timedelta(milliseconds=LATE_MS - left_ms)
        if amount and at.date() == day:
            amounts["late"] += int(amount)
            counts["late"] += 1
    (totals,) = await spend.days([day])
    return Reconciled(
        day=day,
        records=records,
        total_microusd=totals.get("total", 0),
        total_requests=totals.get("n:total", 0),
        sum_microusd=amounts.total(),
        sum_requests=counts.total(),
        open_microusd=amounts["rsv"],
        open_requests=counts["rsv"],
    )
