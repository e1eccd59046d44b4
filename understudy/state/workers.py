"""The workers that consume, as they announce themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from understudy.state.keys import WORKER_TTL_MS, Keys
from understudy.state.lua import Lua

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redis.asyncio import Redis


class Workers:
    """Announces a worker and takes the announcement back."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self.redis = redis
        self.keys = keys
        self.lua = Lua(redis, keys)

    async def beat(self, worker_id: str, fields: Mapping[str, str | int]) -> None:
        """Say that a worker consumes.

        Args:
            fields: `queues` (comma-separated) and `concurrency`, and what else an operator wants to see.
        """
        await self.lua("beat", id=worker_id, ttl=WORKER_TTL_MS, fields=fields)

    async def gone(self, worker_id: str) -> None:
        """Take a worker's announcement back at once; its row in the set goes with the next ticks."""
        async with self.redis.pipeline(transaction=True) as pipe:
            pipe.delete(self.keys.worker(worker_id))
            pipe.zrem(self.keys.workers(), worker_id)
            await pipe.execute()
