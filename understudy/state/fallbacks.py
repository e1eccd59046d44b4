"""The calls that moved from one provider to another, latest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from understudy.state.audit import entry_ms

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from understudy.state.keys import Keys

MAX_LISTED = 1_000
"""As many moves are kept, about."""


@dataclass(frozen=True)
class Fallback:
    """One call's move from a provider to another; `why` is a row of the failure table, or why it waited in vain."""

    at_ms: int
    call_id: str
    kind: str
    source: str
    target: str
    why: str


class Fallbacks:
    """Reads the moves; the ledger's scripts write them."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self.redis = redis
        self.keys = keys

    async def recent(self, limit: int = 50) -> list[Fallback]:
        """The latest moves, newest first."""
        rows: Any = await self.redis.xrevrange(self.keys.fallbacks(), count=max(1, min(limit, MAX_LISTED)))
        return [
            Fallback(entry_ms(row), f["id"], f["kind"], f["source"], f["target"], f.get("why", "")) for row, f in rows
        ]
