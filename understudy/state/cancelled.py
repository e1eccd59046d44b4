"""The calls that were given up: no list is kept of them, for most of them their callers gave up themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from understudy.contracts.call import Reason
from understudy.errors import VersionMismatch
from understudy.state.ended import EndedCall
from understudy.state.record import CANCELLED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis

    from understudy.state.keys import Keys
    from understudy.state.ledger import Ledger

CHUNK = 500


class Cancelled:
    """Finds them among all records: a look through Redis, of some ten seconds for a hundred thousand of them."""

    def __init__(self, redis: Redis, keys: Keys, ledger: Ledger) -> None:
        self.redis = redis
        self.keys = keys
        self.ledger = ledger

    async def latest(self, limit: int = 100) -> list[EndedCall]:
        """The latest ones, newest first."""
        when: dict[str, int] = {}
        chunk: list[str] = []
        async for key in self.redis.scan_iter(match=self.keys.call("*"), count=CHUNK):
            chunk.append(str(key).removeprefix(self.keys.call("")))
            if len(chunk) == CHUNK:
                when |= await self._ends(chunk)
                chunk = []
        when |= await self._ends(chunk)
        newest = sorted(when, key=lambda call_id: (-when[call_id], call_id))[:limit]
        found = [await self._read(call_id) for call_id in newest]
        return [call for call in found if call]

    async def _ends(self, ids: Sequence[str]) -> dict[str, int]:
        """When those of the calls ended that were given up."""
        async with self.redis.pipeline(transaction=False) as pipe:
            for call_id in ids:
                pipe.hmget(self.keys.call(call_id), "st", "ended")
            rows = await pipe.execute()
        return {
            call_id: int(float(ended or 0))
            for call_id, (state, ended) in zip(ids, rows, strict=True)
            if state == CANCELLED
        }

    async def _read(self, call_id: str) -> EndedCall | None:
        """One call; None where its record went meanwhile, ran again, or is of another version."""
        try:
            record = await self.ledger.record(call_id)
        except VersionMismatch:
            return None
        if record is None or record.state != CANCELLED:
            return None
        return EndedCall(
            id=record.id,
            kind=record.kind,
            reason=Reason.CANCELLED,
            ended_ms=record.ended,
            provider=record.provider,
            attempts=len(record.attempts),
            cost_microusd=sum(record.charges.values()),
        )
