"""Totals of spend that a test writes itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from understudy.state.keys import Keys

if TYPE_CHECKING:
    from datetime import date

    from redis.asyncio import Redis


async def charge(redis: Redis, day: date, microusd: int, *, prefix: str = "u:", **parts: str) -> None:
    """Charge one request to a day and its month, as the ledger's scripts do.

    Args:
        parts: `kind`, `model`, `provider`, `user`, `chat`, `job` and `hour` of the request, those that it has.
    """
    keys = Keys(prefix)
    async with redis.pipeline() as pipe:
        for key, but in ((keys.spend_day(f"{day:%Y%m%d}"), ()), (keys.spend_month(f"{day:%Y%m}"), ("user", "hour"))):
            for field in ("total", *(f"{part}:{name}" for part, name in parts.items() if part not in but)):
                pipe.hincrby(key, field, microusd)
                pipe.hincrby(key, f"n:{field}", 1)
        await pipe.execute()
