"""Looks at the calls that are due: not started in time, their worker gone, parked, or ended and not told to Celery."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import structlog
from redis.exceptions import RedisError

from understudy.contracts.call import Attempt
from understudy.errors import VersionMismatch
from understudy.moves import End, Park, Stay, To, policy_of
from understudy.queues import queue_names
from understudy.state.keys import TICK_MS
from understudy.state.record import PARKED, QUEUED, RUNNING, Record
from workers.ends import Publish
from workers.redispatch import Redispatch, publish_of

if TYPE_CHECKING:
    from understudy.state.health import Snapshot
    from understudy.state.ledger import Due
    from workers.context import Context

AT_ONCE = 32
FORCE_AFTER_MS = (60_000, 120_000, 240_000)
"""Where messages without a dispatch time keep a queue busy, no evidence comes: sent again regardless, three times."""

log = structlog.get_logger("understudy.reconciler")

Depth = Callable[[str], Awaitable[int]]
Send = Callable[[list[Publish]], Awaitable[None]]


class Reconciler:
    """In every worker; the ledger gives each tick to one of them.

    Args:
        depth: how many messages a queue of the broker holds.
        send: publishes messages.
    """

    def __init__(self, context: Context, depth: Depth, send: Send) -> None:
        self._context = context
        self._redispatch = Redispatch(context)
        self._depth = depth
        self._send = send
        self._queues = queue_names(context.providers)
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Tick for ever."""
        while True:
            await asyncio.sleep(TICK_MS / 1000)
            try:
                await self.tick()
            except (RedisError, OSError) as error:
                log.warning("no tick: the ledger is out of reach", error=type(error).__name__)
            except Exception as error:
                log.exception("tick failed", error=type(error).__name__)

    async def tick(self) -> int:
        """One tick, if it is ours; returns how many calls were looked at."""
        looked = 0
        while True:
            _, rows = await self._context.ledger.due(self._context.worker_id, self._queues)
            if not rows:
                return looked
            looked += len(rows)
            seen = await self._context.look()
            depths: dict[str, asyncio.Task[int]] = {}

            async def one(
                due: Due, seen: Snapshot = seen, depths: dict[str, asyncio.Task[int]] = depths
            ) -> Publish | None:
                async with self._slots:
                    return await self._look_at(due, seen, depths)

            messages = await asyncio.gather(*(one(due) for due in rows))
            await self._send([message for message in messages if message])

    async def _look_at(self, due: Due, seen: Snapshot, depths: dict[str, asyncio.Task[int]]) -> Publish | None:
        try:
            record = await self._context.ledger.record(due.id)
        except VersionMismatch as error:
            log.error("call cannot be read", call=due.id, why=str(error))
            return None
        if record is None or (record.epoch, record.turn) != (due.epoch, due.turn):
            return None
        if due.why == "tell":
            reply = await self._context.ledger.retell(due, self._consumed(record.queue, seen))
            return publish_of(reply, due.id) if reply.word == "publish" else None
        if record.state == RUNNING:
            return await self._worker_lost(record, seen)
        return await self._waiting(record, seen, depths)

    def _consumed(self, queue: str, seen: Snapshot) -> str:
        """The queue, or one that has workers where it has none."""
        live = [name for name in (queue, *self._queues) if seen.queue(name).concurrency]
        return live[0] if live else queue

    async def _worker_lost(self, record: Record, seen: Snapshot) -> Publish | None:
        """Its lease ran out, or its deadline is past: the worker died or stalls, the provider may be well."""
        move = self._redispatch.move(record, seen, policy_of(record))
        if isinstance(move, Stay):
            move = To(record.provider, "worker_lost")
        attempt = Attempt(
            provider=record.provider,
            model=self._model(record.provider),
            what="worker_lost",
            ms=max(0, seen.now - record.begun),
            requests=max(0, record.requests - record.base),
        )
        return await self._hop(record, move, seen, attempt=attempt)

    async def _waiting(self, record: Record, seen: Snapshot, depths: dict[str, asyncio.Task[int]]) -> Publish | None:
        move = self._redispatch.move(record, seen, policy_of(record))
        if isinstance(move, Stay):
            return await self._still_there(record, seen, depths)
        if isinstance(move, To) and record.state == QUEUED:
            attempt = Attempt(
                provider=record.provider,
                model=self._model(record.provider),
                what="waited",
                detail=move.why,
                ms=max(0, seen.now - record.sent),
            )
            return await self._hop(record, move, seen, attempt=attempt, left=record.provider)
        return await self._hop(record, move, seen)

    async def _still_there(
        self, record: Record, seen: Snapshot, depths: dict[str, asyncio.Task[int]]
    ) -> Publish | None:
        """It stays at its queue; its message is sent again only with evidence that it is gone."""
        if record.queue not in depths:
            depths[record.queue] = asyncio.ensure_future(self._depth(record.queue))
        waited = seen.now - record.sent
        force = record.forced < len(FORCE_AFTER_MS) and waited > FORCE_AFTER_MS[record.forced]
        return await self._hop(
            record, To(record.provider, "resend"), seen, resend=True, depth=await depths[record.queue], force=force
        )

    async def _hop(
        self, record: Record, move: To | Park | End, seen: Snapshot, attempt: Attempt | None = None, **more: object
    ) -> Publish | None:
        reply = await self._redispatch.by_reconciler(
            record, move, seen, attempt=attempt, token=uuid.uuid4().hex, **more
        )
        if reply.word not in ("waits", "refused"):
            to = move.provider if isinstance(move, To) else ""
            why = attempt.what if attempt else "unparked" if record.state == PARKED else "message lost"
            log.info("recovered", call=record.id, kind=record.kind, outcome=reply.word, to=to, why=why)
        return publish_of(reply, record.id) if reply.word == "publish" else None

    def _model(self, provider: str) -> str:
        known = self._context.by_name.get(provider)
        return known.model if known else ""
