"""What operators decide: the forced provider and paused queues."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from understudy.errors import InvalidRequest

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from understudy.state.keys import Keys

MAX_FORCED_S = 86_400
"""A day: a longer choice belongs in the settings."""


class Controls:
    """The operators' controls; a call's success or failure never touches them."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self.redis = redis
        self.keys = keys

    async def force(self, provider: str, *, who: str, why: str, for_s: float) -> None:
        """Put a provider first for a while.

        Raises:
            InvalidRequest: the duration is not within a second and a day.
        """
        if not 1 <= for_s <= MAX_FORCED_S:
            raise InvalidRequest(f"force: for_s is {for_s:g}; 1 to {MAX_FORCED_S} seconds are allowed.")
        value = json.dumps({"provider": provider, "who": who, "why": why}, ensure_ascii=False)
        await self.redis.set(self.keys.forced(), value, px=int(for_s * 1000))

    async def unforce(self) -> bool:
        """Take the operator's choice back; whether there was one."""
        return bool(await self.redis.delete(self.keys.forced()))

    async def unprefer(self) -> bool:
        """Forget which fallback worked; whether one was remembered."""
        return bool(await self.redis.delete(self.keys.preferred()))
