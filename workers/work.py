"""A call in this worker, from its message to its end."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog
from redis.exceptions import RedisError

from understudy.contracts import KINDS
from understudy.contracts.call import AnyOutcome, Reason, Status
from understudy.contracts.failure import key_conflict
from understudy.errors import VersionMismatch
from understudy.logs import bind
from understudy.state.record import CANCELLED, DONE, read_attempts
from workers import traced
from workers.attempt import Answer, Attempting, Failed
from workers.ends import Dropped, End, Ended
from workers.job import HARD_LIMIT, SHUTDOWN, SOFT_LIMIT, TERMINATED
from workers.leases import Lease, LeaseLost
from workers.money import money_of
from workers.redispatch import Redispatch
from workers.run import Run

if TYPE_CHECKING:
    from understudy import tracing
    from understudy.state.ledger import Reply
    from workers.arrival import Arrival
    from workers.context import Context

INSIST_S = 60.0
"""Past the deadline: how long an answer that was got is offered to a ledger out of reach."""

FAREWELL_S = 2.0
"""How long an aborted attempt may take to say goodbye."""

log = structlog.get_logger("understudy.work")


class Work:
    """Begins calls, has them attempted, and ends or moves them."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._redispatch = Redispatch(context)

    async def on(self, arrival: Arrival) -> End:
        """Work on the call of one message; while the ledger is out of reach the message is kept, not begun."""
        with traced.processing(arrival) as span:
            end = await self._on(arrival, span)
            traced.ended(span, end)
            return end

    async def _on(self, arrival: Arrival, span: tracing.Span) -> End:
        at, begun = await self._context.insist(lambda: self._begin(arrival, arrival.trace or span.traceparent))
        if begun.word not in ("run", "denied"):
            span.drop()  # somebody else has it, or it has ended
        self._count(arrival.kind, begun)
        if begun.word == "drop":
            return Dropped(begun.text("why"))
        if begun.word == "replay":
            record = await self._context.insist(lambda: self._context.ledger.record(arrival.call_id))
            if record is None:
                return Dropped("missing")
            # those who share the call are told by others: this message alone is answered
            return Ended(record.parsed_outcome(), True, record.waiters & {arrival.task})
        if begun.word == "conflict":
            raise key_conflict(arrival.kind)
        if begun.word == "revoked":
            return Ended(AnyOutcome(call_id=arrival.call_id, kind=arrival.kind, status=Status.CANCELLED), plain=True)
        if begun.word == "denied":
            if short := begun.text("short"):
                log.warning("no room in a budget", call=arrival.call_id, provider=arrival.provider.name, budget=short)
            fence: dict[str, Any] = {
                "epoch": begun.number("epoch"),
                "turn": begun.number("turn"),
                "token": arrival.token,
            }
            return await self._context.insist(lambda: self._redispatch.after(arrival.call_id, **fence))
        try:
            run = Run.of(arrival, begun, at)
        except VersionMismatch as error:
            log.error("call cannot be read", call=arrival.call_id, why=str(error))
            return Dropped("version")
        bind(attempt=len(run.earlier) + 1)
        traced.began(run, span, arrival.sent)
        if arrival.sent:
            self._context.metrics.began(run.kind, run.queue, run.now - arrival.sent)
        lease = Lease(run.call_id, run.epoch, run.rid, run.provider.name, run.provider.model, renewed=at)
        return await self._hold(run, lease)

    def _count(self, kind: str, begun: Reply) -> None:
        """What the ledger itself noted of the call, and how it ended it, if it did."""
        for attempt in read_attempts(begun.text("rows")):
            self._context.metrics.attempted(kind, attempt)
        if reason := begun.text("reason"):
            self._context.metrics.ended_by_ledger(kind, reason)

    async def _begin(self, arrival: Arrival, trace: str) -> tuple[float, Reply]:
        at = time.monotonic()
        return at, await self._context.ledger.begin(
            arrival.call_id,
            provider=arrival.provider.name,
            model=arrival.provider.model,
            queue=arrival.queue,
            sent=arrival.sent,
            token=arrival.token,
            worker=self._context.worker_id,
            adopt=arrival.adopt,
            task=arrival.task,
            degraded=KINDS[arrival.kind].degraded is not None,
            money=money_of(arrival.kind, arrival.provider, self._context.settings),
            trace=trace,
        )

    async def _hold(self, run: Run, lease: Lease) -> End:
        """Attempt the call under its lease; the attempt is a task of its own, so that it alone is stopped with it."""
        attempting = asyncio.create_task(self._attempt(run, lease))
        lease.on_gone = attempting.cancel
        self._context.leases.hold(lease)
        try:
            return await attempting
        except asyncio.CancelledError as stop:
            if lease.gone:
                return await self._let_go(run, lease.gone)
            return await self._aborted(run, str(stop.args[0]) if stop.args else "", stop)
        except LeaseLost:
            return await self._let_go(run, "lost")
        finally:
            self._context.leases.drop(lease)

    async def _attempt(self, run: Run, lease: Lease) -> End:
        # a plain caller may send its message to a queue that its options shut out
        if not run.policy(self._context.providers).allows(run.provider):
            failed: Answer | Failed = Failed("policy", "the call's options shut this provider out", {"verdict": "none"})
        else:
            failed = await Attempting(self._context, run, lease).go()
        traced.attempted(run, "answered" if isinstance(failed, Answer) else failed.what)
        # From here on the call's end is our own doing: a renewal that sees it must not stop us. The lease is renewed
        # all the same, for the ledger may be out of reach for longer than it lasts.
        lease.on_gone = lambda: None
        if isinstance(failed, Answer):
            return await self._finish(run, failed)
        report = run.report(**failed.verdict)
        return await self._context.insist(
            lambda: self._redispatch.after(
                run.call_id,
                epoch=run.epoch,
                turn=run.turn,
                token=run.token,
                attempt=run.attempt(failed.what, failed.detail),
                report=report,
                failed_at=run.provider.name,
                end=failed.end,
                detail=failed.detail if failed.end else "",
            ),
            until=time.monotonic() + max(0.0, run.left_s()) + INSIST_S,
        )

    async def _finish(self, run: Run, answer: Answer) -> End:
        if run.streams:
            await self._context.deltas.flush()
        attempt = run.attempt("answered")
        primary = self._context.providers[0]
        outcome = AnyOutcome(
            call_id=run.call_id,
            kind=run.kind,
            status=Status.DONE,
            result=answer.result.model_dump(mode="json"),
            provider=run.provider.name,
            model=answer.model,
            attempts=[*run.earlier, attempt],
            usage=answer.usage,
            cost_microusd=sum(each.cost_microusd for each in [*run.earlier, attempt]),
            queued_ms=run.queued_ms(),
            total_ms=run.total_ms(),
        )
        told = {"ms": answer.ms, "first_ms": answer.first_ms, "slow": answer.slow or None}
        reply = await self._context.insist(
            lambda: self._context.ledger.finish(
                run.call_id,
                epoch=run.epoch,
                token=run.token,
                st=DONE,
                outcome=outcome.model_dump_json(),
                attempt=attempt,
                report=run.report("ok", **told) if answer.asked else run.report(),
                provider=run.provider.name,
                primary=primary.name,
                primary_model=primary.model,
                preferred_ms=int(self._context.settings.understudy_preferred_max_s * 1000),
                paid=attempt.cost_microusd > 0,
            ),
            until=time.monotonic() + max(0.0, run.left_s()) + INSIST_S,
        )
        if reply.word == "accepted":
            self._context.metrics.attempted(run.kind, attempt)
            self._context.metrics.ended(outcome)
            return Ended(outcome, run.plain, frozenset(reply.texts("waiters")))
        log.warning("answer refused", call=run.call_id, kind=run.kind, why=reply.text("why"))
        return await self._without(run, f"refused: {reply.text('why')}")

    async def _let_go(self, run: Run, why: str) -> End:
        """The call is not ours any more: its request was stopped, its permit goes back."""
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await self._context.ledger.report(run.call_id, run.report(), last=True)
        if why in (Reason.CANCELLED, TERMINATED):
            self._context.metrics.attempted(run.kind, run.attempt("cancelled"))
            self._context.metrics.ended_by_ledger(run.kind, Reason.CANCELLED)
        log.info("attempt stopped", call=run.call_id, kind=run.kind, why=why)
        return await self._without(run, why)

    async def _without(self, run: Run, why: str) -> End:
        """The call went on, or ended, without this attempt; of a plain call that was cancelled, Celery hears here."""
        with suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                record = await self._context.ledger.record(run.call_id)
                if record and record.state == CANCELLED and (run.plain or record.waiters):
                    return Ended(record.parsed_outcome(), run.plain, record.waiters)
        return Dropped(why)

    async def _aborted(self, run: Run, why: str, stop: asyncio.CancelledError) -> End:
        """The job is to end: at a shutdown its call goes back, a revoked one is cancelled, a time limit fails it."""
        fence: dict[str, Any] = {"epoch": run.epoch, "turn": run.turn, "token": run.token, "report": run.report()}
        async with asyncio.timeout(FAREWELL_S):
            if why == SHUTDOWN:
                return await self._redispatch.after(run.call_id, attempt=run.attempt("handed_back"), **fence)
            if why == TERMINATED:
                word = (await self._context.ledger.revoke(run.task or run.call_id)).word
                if run.task and word != CANCELLED:  # the call goes on for others, and a reconciler moves it
                    await self._context.ledger.hop(run.call_id, until_ms=0, attempt=run.attempt("handed_back"), **fence)
                else:
                    await self._let_go(run, why)
            elif why in (SOFT_LIMIT, HARD_LIMIT):
                attempt = run.attempt("time_limit", "Celery's time limit for the task")
                return await self._redispatch.after(run.call_id, attempt=attempt, end=Reason.DEADLINE, **fence)
        raise stop
