"""What a batch job sees of the installation beside the client itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from understudy.providers import Provider
    from understudy.state.health import Health
    from understudy.state.jobs import Jobs
    from understudy.state.spend import Spend

FORGET_MS = 900_000
"""How long `understudy why` still knows a row whose answer is kept elsewhere."""


@dataclass(frozen=True)
class Desk:
    """Health, jobs and spend of an installation."""

    providers: Sequence[Provider]
    health: Health
    jobs: Jobs
    spend: Spend

    async def forget(self, call_ids: Iterable[str]) -> None:
        """Let records go whose answers are kept elsewhere: a large job would fill Redis with them for a day."""
        keys = self.health.keys
        try:
            async with self.health.redis.pipeline(transaction=False) as pipe:
                for call_id in call_ids:
                    pipe.pexpire(keys.call(call_id), FORGET_MS)
                await pipe.execute()
        except (RedisError, OSError):
            return  # they go by themselves, later
