"""The calls that failed in the last day, by their cause; quarantined ones are one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from understudy.errors import VersionMismatch
from understudy.redis_client import now_ms
from understudy.state.keys import ENDED_MS
from understudy.state.record import FAILED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis

    from understudy.state.keys import Keys
    from understudy.state.ledger import Ledger
    from understudy.state.record import Record


@dataclass(frozen=True)
class Cause:
    """Why calls failed: a reason of theirs, how many, and when the latest did."""

    reason: str
    calls: int
    latest_ms: int


@dataclass(frozen=True)
class EndedCall:
    """A call that failed.

    Args:
        provider: where it was last.
        attempts: of the run that failed.
        cost_microusd: of all its runs.
    """

    id: str
    kind: str
    reason: str
    ended_ms: int
    provider: str
    attempts: int
    cost_microusd: int


class Ended:
    """Reads the lists; the ledger's scripts write them, 10,000 calls a cause at most."""

    def __init__(self, redis: Redis, keys: Keys, ledger: Ledger) -> None:
        self.redis = redis
        self.keys = keys
        self.ledger = ledger

    async def causes(self) -> list[Cause]:
        """Every cause that has calls, the one with most of them first."""
        known: Any = await self.redis.smembers(self.keys.causes())
        reasons: list[str] = sorted(known)
        since = await now_ms(self.redis) - ENDED_MS
        async with self.redis.pipeline(transaction=False) as pipe:
            for reason in reasons:
                pipe.zcount(self.keys.ended(reason), since, "+inf")
                pipe.zrange(self.keys.ended(reason), 0, 0, desc=True, withscores=True)
            rows: list[Any] = await pipe.execute()
        found = [
            Cause(reason, int(calls), int(latest[0][1]))
            for reason, calls, latest in zip(reasons, rows[::2], rows[1::2], strict=True)
            if calls and latest
        ]
        return sorted(found, key=lambda cause: -cause.calls)

    async def of(self, reason: str, limit: int = 100, before_ms: int | None = None) -> list[EndedCall]:
        """The calls of a cause, newest first.

        Args:
            before_ms: only those that failed before it, to read on.
        """
        ids = await self._ids(reason, before_ms, limit)
        found = [record for record in await self.records(ids) if record and record.state == FAILED]
        return [
            EndedCall(
                record.id,
                record.kind,
                record.reason,
                record.ended,
                record.provider,
                len(record.attempts),
                sum(record.charges.values()),
            )
            for record in found
        ]

    async def ids(self, reason: str, before_ms: int | None = None) -> list[str]:
        """The ids of all calls of a cause, newest first; those that ended before a moment, in Redis milliseconds."""
        return await self._ids(reason, before_ms, None)

    async def _ids(self, reason: str, before_ms: int | None, limit: int | None) -> list[str]:
        latest = "+inf" if before_ms is None else f"({before_ms}"
        bounds: dict[str, Any] = {} if limit is None else {"start": 0, "num": max(1, limit)}
        key, since = self.keys.ended(reason), await now_ms(self.redis) - ENDED_MS
        found: Any = await self.redis.zrevrangebyscore(key, latest, since, **bounds)
        return list(found)

    async def records(self, ids: Sequence[str]) -> list[Record | None]:
        """Their records; of many that one version cannot read, the others."""
        try:
            return await self.ledger.records(ids)
        except VersionMismatch:
            return [await self._readable(call_id) for call_id in ids]

    async def _readable(self, call_id: str) -> Record | None:
        try:
            return await self.ledger.record(call_id)
        except VersionMismatch:
            return None
