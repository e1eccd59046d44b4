"""What each provider answered in the last quarter of an hour, and how long it took."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from understudy.state.keys import MINUTE_MS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from redis.asyncio import Redis

    from understudy.providers import Provider
    from understudy.state.keys import Keys

MINUTES = 15
FIRST_MS, GROWTH, LAST_MS, LAST_BUCKET = 10, 1.2, 600_000, 61
"""Times are counted in buckets, each a fifth wider than the one before; the scripts count by the same numbers."""


@dataclass(frozen=True)
class Minute:
    """One minute of a provider; `at_ms` is its beginning."""

    at_ms: int
    answered: int
    failed: int
    p50_ms: int | None


@dataclass(frozen=True)
class ProviderStats:
    """A provider's last quarter of an hour, in calls.

    Args:
        answered: calls that it answered.
        failed: attempts that failed at it, for a reason of its own.
        share: of all answered calls; None where none was.
        success: of its own attempts; None where there was none.
        p50_ms, p95_ms: of its answers, at most a fifth too high; None without any.
        first_token_p50_ms, first_token_p95_ms: until the beginning of its answers.
        series: minute by minute, oldest first; the last one is not over.
    """

    name: str
    answered: int
    failed: int
    share: float | None
    success: float | None
    p50_ms: int | None
    p95_ms: int | None
    first_token_p50_ms: int | None
    first_token_p95_ms: int | None
    series: tuple[Minute, ...]


class Stats:
    """Reads the counts; the ledger's scripts write them."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self.redis = redis
        self.keys = keys

    async def last_quarter(self, providers: Sequence[Provider]) -> dict[str, ProviderStats]:
        """The last fifteen minutes of each provider, by name."""
        seconds, _ = await self.redis.time()
        latest = int(seconds) * 1000 // MINUTE_MS
        minutes = range(latest - MINUTES + 1, latest + 1)
        async with self.redis.pipeline(transaction=False) as pipe:
            for minute in minutes:
                pipe.hgetall(self.keys.stat(minute))
            rows = await pipe.execute()
        return stats_of([provider.name for provider in providers], dict(zip(minutes, rows, strict=True)))


def stats_of(names: Sequence[str], minutes: Mapping[int, Mapping[str, str]]) -> dict[str, ProviderStats]:
    """The figures of each provider, from the counts of each minute, oldest first."""
    total = sum(int(n) for row in minutes.values() for field, n in row.items() if field.endswith(":ok"))
    return {name: _provider(name, total, minutes) for name in names}


def percentile(counts: Mapping[int, int], share: float) -> int | None:
    """The upper bound of the bucket in which this share of all times lies; None without any."""
    left = math.ceil(sum(counts.values()) * share)
    for bucket in sorted(counts):
        left -= counts[bucket]
        if left <= 0:
            return bound_ms(bucket)
    return None


def bound_ms(bucket: int) -> int:
    """The longest time that a bucket counts."""
    return LAST_MS if bucket >= LAST_BUCKET else min(LAST_MS, round(FIRST_MS * GROWTH**bucket))


def _provider(name: str, total: int, minutes: Mapping[int, Mapping[str, str]]) -> ProviderStats:
    times, firsts = Counter[int](), Counter[int]()
    series = []
    for minute, row in minutes.items():
        own = _buckets(row, f"{name}:d:")
        times += own
        firsts += _buckets(row, f"{name}:t:")
        answered, failed = int(row.get(f"{name}:ok", 0)), int(row.get(f"{name}:failed", 0))
        series.append(Minute(minute * MINUTE_MS, answered, failed, percentile(own, 0.5)))
    answered, failed = sum(each.answered for each in series), sum(each.failed for each in series)
    return ProviderStats(
        name=name,
        answered=answered,
        failed=failed,
        share=answered / total if total else None,
        success=answered / (answered + failed) if answered + failed else None,
        p50_ms=percentile(times, 0.5),
        p95_ms=percentile(times, 0.95),
        first_token_p50_ms=percentile(firsts, 0.5),
        first_token_p95_ms=percentile(firsts, 0.95),
        series=tuple(series),
    )


def _buckets(row: Mapping[str, str], prefix: str) -> Counter[int]:
    return Counter({int(field.removeprefix(prefix)): int(n) for field, n in row.items() if field.startswith(prefix)})
