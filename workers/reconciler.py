"""Looks at the calls that are due: not started in time, their worker gone, parked, or ended and not told to Celery."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import structlog
from redis.exceptions import RedisError

from understudy import tracing
from understudy.contracts.call import Attempt, Reason
from understudy.errors import VersionMismatch
from understudy.logs import bind
from understudy.moves import End, Move, Park, Stay, To, policy_of
from understudy.providers import queue_names
from understudy.state.keys import TICK_MS
from understudy.state.record import FAILED, PARKED, QUEUED, RUNNING, Record
from workers.broker import UNKNOWN_DEPTH
from workers.ends import Publish
from workers.redispatch import Redispatch, publish_of, tellings_of

if TYPE_CHECKING:
    from understudy.state.health import Snapshot
    from understudy.state.ledger import Due
    from workers.context import Context

AT_ONCE = 32
FORCE_AFTER_MS = (60_000, 120_000, 240_000)
"""Where messages without a dispatch time keep a queue busy, no evidence comes: sent again regardless, three times."""

BROKER_S = 1.0
"""How long a tick waits for the broker: the deadlines of other calls are kept meanwhile."""

UNREAD_MS = 5_000
CALM, SPREAD_MS = 500, 4
"""With more open calls than this, those that wait for the same moment are spread, so many milliseconds for each."""

log = structlog.get_logger("understudy.reconciler")

Depth = Callable[[str], Awaitable[int]]
Send = Callable[[list[Publish]], Awaitable[None]]


@dataclass
class Batch:
    """What is known while one batch of due calls is looked at; `seen` follows what is decided."""

    seen: Snapshot
    backlog: int
    depths: dict[str, asyncio.Task[int]] = field(default_factory=dict)

    def spread_ms(self, left_ms: int) -> int:
        """How much longer a call waits, so that thousands do not come back at once; half of what is left at most."""
        return int(random.uniform(0, min(max(0, self.backlog - CALM) * SPREAD_MS, max(0, left_ms) / 2)))


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
        self._sending: set[asyncio.Future[None]] = set()

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
        backlog = await self._context.redis.zcard(self._context.ledger.keys.due())
        while True:
            _, rows = await self._context.ledger.due(self._context.worker_id, self._queues)
            if not rows:
                return looked
            looked += len(rows)
            batch = Batch(await self._context.look(), backlog)
            found = await asyncio.gather(*(self._one(due, batch) for due in rows), return_exceptions=True)
            await self._publish([message for told in found if isinstance(told, list) for message in told])
            for error in found:
                if isinstance(error, BaseException):
                    raise error

    async def _one(self, due: Due, batch: Batch) -> list[Publish]:
        """One call, alone: whatever is wrong with it holds up no other."""
        async with self._slots:
            try:
                return await self._look_at(due, batch)
            except (RedisError, OSError):
                raise
            except VersionMismatch as error:
                log.error("call cannot be read", call=due.id, why=str(error))
            except Exception as error:  # noqa: BLE001 - one call's fault is its own
                log.error("call cannot be looked at", call=due.id, error=type(error).__name__)
            await self._unread(due)
            return []

    async def _unread(self, due: Due) -> None:
        """A call that this version cannot read: another worker may, up to its deadline; then it ends all the same."""
        fence: dict[str, Any] = {"epoch": due.epoch, "turn": due.turn, "token": uuid.uuid4().hex, "by": "reconciler"}
        self._context.metrics.recovered("unreadable")
        if due.why == "lease":
            await self._context.ledger.hop(due.id, until_ms=UNREAD_MS, **fence)
        elif due.why == "deadline":
            await self._context.ledger.hop(due.id, st=FAILED, reason=Reason.DEADLINE.value, **fence)

    async def _publish(self, messages: list[Publish]) -> None:
        """Publish; a broker that takes its time does so behind the ticks, which keep the deadlines."""
        if not messages:
            return
        sending = asyncio.ensure_future(self._send(messages))
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)
        await asyncio.wait({sending}, timeout=BROKER_S)

    async def _look_at(self, due: Due, batch: Batch) -> list[Publish]:
        record = await self._context.ledger.record(due.id)
        if record is None or (record.epoch, record.turn) != (due.epoch, due.turn):
            return []
        bind(call=record.id, kind=record.kind, provider=record.provider)
        if due.why == "tell":
            reply = await self._context.ledger.retell(due, self._consumed(record.queue, batch.seen))
            self._context.metrics.recovered("told")
            return tellings_of(reply, due.id)
        look = self._worker_lost if record.state == RUNNING else self._waiting
        with tracing.within(record.trace):
            message = await look(record, batch)
        return [message] if message else []

    def _consumed(self, queue: str, seen: Snapshot) -> str:
        """The queue, or one that has workers where it has none."""
        live = [name for name in (queue, *self._queues) if seen.queue(name).concurrency]
        return live[0] if live else queue

    async def _worker_lost(self, record: Record, batch: Batch) -> Publish | None:
        """Its lease ran out, and its worker died or stalls while the provider may be well; or its deadline is past."""
        move = self._decide(record, batch)
        if isinstance(move, Stay):
            move = To(record.provider, "worker_lost")
        attempt = Attempt(
            provider=record.provider,
            model=self._model(record.provider),
            what="worker_lost" if record.lease <= batch.seen.now else "caller_deadline",
            at_ms=record.begun,
            ms=max(0, batch.seen.now - record.begun),
            requests=max(0, record.requests - record.base),
            cost_microusd=record.charged_since(record.base),
        )
        return await self._hop(record, move, batch.seen, attempt=attempt)

    async def _waiting(self, record: Record, batch: Batch) -> Publish | None:
        move = self._decide(record, batch)
        if isinstance(move, Stay):
            return await self._still_there(record, move, batch)
        if isinstance(move, Park):
            left_ms = record.deadline - batch.seen.now
            move = replace(move, for_ms=move.for_ms + batch.spread_ms(left_ms - move.for_ms))
        if isinstance(move, To) and record.state == QUEUED:
            attempt = Attempt(
                provider=record.provider,
                model=self._model(record.provider),
                what="waited",
                detail=move.why,
                at_ms=record.sent,
                ms=max(0, batch.seen.now - record.sent),
            )
            return await self._hop(record, move, batch.seen, attempt=attempt, left=record.provider)
        return await self._hop(record, move, batch.seen)

    def _decide(self, record: Record, batch: Batch) -> Move:
        """Where it goes; noted at once, so that the next one sees it."""
        policy = policy_of(record, self._context.providers)
        move = self._redispatch.move(record, batch.seen, policy)
        if isinstance(move, To):
            to = policy.queue(self._context.by_name[move.provider])
            batch.seen = batch.seen.moved(to, record.queue if record.state == QUEUED else None)
        return move

    async def _still_there(self, record: Record, stay: Stay, batch: Batch) -> Publish | None:
        """It stays at its queue; its message is sent again only with evidence that it is gone."""
        if record.queue not in batch.depths:
            batch.depths[record.queue] = asyncio.ensure_future(self._known_depth(record.queue))
        waited = batch.seen.now - record.sent
        return await self._hop(
            record,
            To(record.provider, "resend"),
            batch.seen,
            resend=True,
            depth=await batch.depths[record.queue],
            force=record.forced < len(FORCE_AFTER_MS) and waited > FORCE_AFTER_MS[record.forced],
            until_ms=stay.look_ms,
        )

    async def _known_depth(self, queue: str) -> int:
        try:
            async with asyncio.timeout(BROKER_S):
                return await self._depth(queue)
        except TimeoutError:
            return UNKNOWN_DEPTH

    async def _hop(
        self, record: Record, move: To | Park | End, seen: Snapshot, attempt: Attempt | None = None, **more: object
    ) -> Publish | None:
        reply = await self._redispatch.by_reconciler(
            record, move, seen, attempt=attempt, token=uuid.uuid4().hex, **more
        )
        waits_on = record.state == PARKED and reply.word == "parked"
        if not waits_on and reply.word not in ("waits", "refused"):
            to = move.provider if isinstance(move, To) else ""
            why = attempt.what if attempt else "unparked" if record.state == PARKED else "message lost"
            resent = "unparked" if record.state == PARKED else "resent"
            action = reply.word if reply.word in ("ended", "parked") else attempt.what if attempt else resent
            self._context.metrics.recovered(action)
            log.debug("recovered", call=record.id, kind=record.kind, outcome=reply.word, to=to, why=why)
        return publish_of(reply, record.id) if reply.word == "publish" else None

    def _model(self, provider: str) -> str:
        known = self._context.by_name.get(provider)
        return known.model if known else ""
