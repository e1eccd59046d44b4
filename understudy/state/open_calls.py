"""The calls that are open: those that wait and those that run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from understudy.state.record import QUEUED, RUNNING

if TYPE_CHECKING:
    from collections.abc import Collection

    from redis.asyncio import Redis

    from understudy.state.keys import Keys

LOOKED_AT = 10_000
"""So many open calls are looked at, those that are due first; an installation with more has other troubles."""

CHUNK = 500
FIELDS = ("st", "kind", "prov", "queue", "created", "begun", "deadline", "worker", "requests")


@dataclass(frozen=True)
class OpenCall:
    """One open call, without its request; times are Redis milliseconds."""

    id: str
    state: str
    kind: str
    provider: str
    queue: str
    created_ms: int
    begun_ms: int
    deadline_ms: int
    worker: str
    requests: int

    @property
    def since_ms(self) -> int:
        """Since when it runs, or since when it has been open."""
        return self.begun_ms if self.state == RUNNING else self.created_ms


class OpenCalls:
    """Reads which calls are open; nothing that a user wrote is read."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self.redis = redis
        self.keys = keys

    async def count(self) -> int:
        """How many calls are open."""
        return int(await self.redis.zcard(self.keys.due()))

    async def of(self, states: Collection[str], limit: int = 100) -> list[OpenCall]:
        """Those in one of the states, such as `R`, oldest first."""
        found: list[OpenCall] = []
        for start in range(0, LOOKED_AT, CHUNK):
            ids = [str(call_id) for call_id in await self.redis.zrange(self.keys.due(), start, start + CHUNK - 1)]
            async with self.redis.pipeline(transaction=False) as pipe:
                for call_id in ids:
                    pipe.hmget(self.keys.call(call_id), *FIELDS)
                rows = await pipe.execute()
            calls = [_read(call_id, row) for call_id, row in zip(ids, rows, strict=True) if row[0]]
            found += [call for call in calls if call.state in states]
            if len(ids) < CHUNK:
                break
        unique = {call.id: call for call in found}  # a call may move within the set between two looks
        return sorted(unique.values(), key=lambda call: (call.since_ms, call.id))[:limit]


def _read(call_id: str, row: list[str | None]) -> OpenCall:
    state, kind, provider, queue, created, begun, deadline, worker, requests = row
    return OpenCall(
        id=call_id,
        state=state or QUEUED,
        kind=kind or "",
        provider=provider or "",
        queue=queue or "",
        created_ms=int(float(created or 0)),
        begun_ms=int(float(begun or 0)),
        deadline_ms=int(float(deadline or 0)),
        worker=worker or "",
        requests=int(float(requests or 0)),
    )
