"""Days and hours of UTC as the scripts count them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from understudy.state.lua import source

if TYPE_CHECKING:
    from redis.asyncio import Redis

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SCRIPT = """
local out = {}
for i, ms in ipairs(a.times) do out[i] = utc_day(ms) .. utc_hour(ms) end
return out
"""


async def counted(redis: Redis, times: list[datetime]) -> list[str]:
    library = source("report").rsplit("-- report:", 1)[0]
    ms = [(time - EPOCH) // timedelta(milliseconds=1) for time in times]
    rows: Any = await redis.eval(library + SCRIPT, 1, "t:", '{"times":' + str(ms) + "}")
    return list(rows)


async def test_every_day_of_a_century_and_both_sides_of_each_midnight_are_as_the_calendar_has_them(
    redis: Redis,
) -> None:
    midnights = [datetime(2000, 1, 1, tzinfo=UTC) + timedelta(n) for n in range(36_525)]
    for n in range(0, len(midnights), 5_000):
        batch = midnights[n : n + 5_000]
        times = [time + timedelta(milliseconds=ms) for time in batch for ms in (-1, 0)]
        assert await counted(redis, times) == [f"{time:%Y%m%d%H}" for time in times]


async def test_each_hour_of_leap_days_and_turns_of_the_year_is_as_the_clock_has_it(redis: Redis) -> None:
    days = [(2024, 2, 28), (2024, 2, 29), (2100, 2, 28), (2100, 3, 1), (2000, 2, 29), (2026, 12, 31), (1970, 1, 1)]
    times = [datetime(*day, hour, 59, 59, 999_000, tzinfo=UTC) for day in days for hour in range(24)]
    assert await counted(redis, times) == [f"{time:%Y%m%d%H}" for time in times]
