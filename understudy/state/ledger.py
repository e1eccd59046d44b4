"""The ledger of open calls: it decides who may work on a call and which result counts."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from understudy.state.entries import Adoption, Due, NewCall
from understudy.state.lua import Lua, Reply
from understudy.state.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from redis.asyncio import Redis

    from understudy.contracts.call import Attempt
    from understudy.state.keys import Keys
    from understudy.state.money import Money
    from understudy.state.report import Report

__all__ = ["Adoption", "Due", "Ledger", "NewCall", "Reply"]


class Ledger:
    """The operations of the ledger, each one script.

    Every method raises ``redis.exceptions.RedisError`` where Redis cannot be reached, and bears being repeated.
    """

    def __init__(
        self, redis: Redis, keys: Keys, shift_ms: Callable[[], int] | None = None, inbox_maxlen: int | None = None
    ) -> None:
        self.redis = redis
        self.keys = keys
        self.lua = Lua(redis, keys, shift_ms, inbox_maxlen)

    async def _run(self, name: str, **args: Any) -> Reply:
        return Reply.of(await self.lua(name, **args))

    async def open(self, call: NewCall) -> Reply:
        """Open a call: ``publish(queue, sent)``, ``attached``, ``done``, ``conflict`` or ``late``."""
        return await self._run("open", **asdict(call))

    async def open_many(self, calls: Sequence[NewCall]) -> list[Reply | Exception]:
        """Open calls in one round trip; one whose script failed as a whole was not written, and its error says why."""
        rows = await self.lua.many("open", [vars(call) for call in calls])
        return [row if isinstance(row, Exception) else Reply.of(row) for row in rows]

    async def begin(
        self,
        call_id: str,
        *,
        provider: str,
        model: str,
        queue: str,
        sent: int,
        token: str,
        worker: str,
        adopt: Adoption | None = None,
        task: str | None = None,
        degraded: bool = False,
        money: Money | None = None,
        trace: str | None = None,
    ) -> Reply:
        """Ask to work on a call: ``run``, ``denied(epoch, turn)``, ``replay`` or ``drop(why)``.

        ``task`` is Celery's id of a message whose call has a key: also ``conflict`` (that call has another request) and
        ``revoked`` (this task, not the call). One that is late ends here, unless its kind has a ``degraded`` answer:
        that a reconciler gives. A paid provider's comes with ``money``: what a request can cost is reserved with it.
        """
        return await self._run(
            "begin",
            id=call_id,
            provider=provider,
            model=model,
            queue=queue,
            sent=sent,
            token=token,
            worker=worker,
            adopt=asdict(adopt) if adopt else None,
            task=task,
            degraded=degraded or None,
            money=money.fields() if money else None,
            trace=trace or None,
        )

    async def renew(self, leases: Sequence[tuple[str, int, str, str, str]]) -> list[str]:
        """Keep leases ``(id, epoch, rid, provider, model)``: for each ``ok``, ``moved``, ``cancelled`` or ``lost``."""
        return list(await self.lua("renew", leases=leases))

    async def again(
        self,
        call_id: str,
        *,
        epoch: int,
        token: str,
        rid: str,
        provider: str,
        model: str,
        queue: str,
        max_requests: int,
        report: Report | None = None,
        money: Money | None = None,
    ) -> Reply:
        """One more request within the attempt: ``run(rid, gen, reserved)``, ``denied(why)`` or ``lost``."""
        return await self._run(
            "again",
            id=call_id,
            epoch=epoch,
            token=token,
            rid=rid,
            provider=provider,
            model=model,
            queue=queue,
            max_requests=max_requests,
            report=report.fields(call_id) if report else None,
            money=money.fields() if money else None,
        )

    async def report(self, call_id: str, report: Report, *, last: bool = False) -> None:
        """Tell what a request told about its provider, and free its permit; counted once.

        Args:
            last: nothing more comes of the attempt: a request that was granted after this one was never sent.
        """
        await self._run("report", id=call_id, report=report.fields(call_id), last=last or None)

    async def hop(
        self,
        call_id: str,
        *,
        epoch: int,
        turn: int,
        token: str,
        by: str = "owner",
        attempt: Attempt | None = None,
        tried: str | None = None,
        left: str | None = None,
        report: Report | None = None,
        not_before: Mapping[str, int] | None = None,
        to: str | None = None,
        queue: str | None = None,
        until_ms: int | None = None,
        new_round: bool = False,
        st: str | None = None,
        reason: str | None = None,
        outcome: str | None = None,
        resend: bool = False,
        depth: int | None = None,
        force: bool = False,
    ) -> Reply:
        """Move a call on, quoting its epoch and turn.

        Either ``to`` a provider's ``queue``, into the park for ``until_ms``, or to its end ``st``. Reply:
        ``publish(queue, sent, canvas, kind)``, ``waits`` (the queue still holds its message), ``parked``, ``ended`` or
        ``refused(why)``.
        """
        return await self._run(
            "hop",
            id=call_id,
            epoch=epoch,
            turn=turn,
            token=token,
            by=by,
            attempt=attempt.model_dump_json() if attempt else None,
            tried=tried,
            left=left,
            report=report.fields(call_id) if report else None,
            not_before=not_before or None,
            to=to,
            queue=queue,
            until_ms=until_ms,
            new_round=new_round or None,
            st=st,
            reason=reason,
            outcome=outcome,
            resend=resend or None,
            depth=depth,
            force=force or None,
        )

    async def finish(
        self,
        call_id: str,
        *,
        epoch: int,
        token: str,
        st: str,
        outcome: str,
        reason: str | None = None,
        attempt: Attempt | None = None,
        report: Report | None = None,
        provider: str | None = None,
        primary: str | None = None,
        primary_model: str | None = None,
        preferred_ms: int | None = None,
        paid: bool = False,
    ) -> Reply:
        """End a call with its outcome: ``accepted(waiters)`` or ``refused(why)``."""
        return await self._run(
            "finish",
            id=call_id,
            epoch=epoch,
            token=token,
            st=st,
            outcome=outcome,
            reason=reason,
            attempt=attempt.model_dump_json() if attempt else None,
            report=report.fields(call_id) if report else None,
            provider=provider,
            primary=primary,
            primary_model=primary_model,
            preferred_ms=preferred_ms,
            paid=paid or None,
        )

    async def attach(self, call_id: str, inbox: str) -> Record | None:
        """Add an inbox to a call and read its record; None where it is unknown."""
        return _record(call_id, await self.lua("attach", id=call_id, inbox=inbox))

    async def cancel(self, call_id: str, *, inbox: str | None = None, operator: bool = False) -> str:
        """Give a call up; returns its state's letter, or ``missing``."""
        return (await self._run("cancel", id=call_id, inbox=inbox, operator=operator or None)).word

    async def revoke(self, task_id: str) -> Reply:
        """Celery revoked a task: a state's letter, ``missing``, or ``publish``, where its call goes on for others."""
        return await self._run("cancel", id=task_id, task=True)

    async def due(self, me: str, queues: Sequence[str]) -> tuple[str, list[Due]]:
        """The calls to look at: ``rows``, or ``busy`` (another has the tick), ``quiet`` (after an outage)."""
        word, *rest = await self.lua("due", me=me, queues=queues)
        rows = rest[0] if rest else ()
        return str(word), [Due(str(r[0]), int(r[1]), int(r[2]), str(r[3])) for r in rows]

    async def told(self, task_id: str) -> str:
        """Note that Celery has the outcome of a plain caller's task."""
        return (await self._run("told", id=task_id)).word

    async def retell(self, due: Due, queue: str | None = None) -> Reply:
        """Have Celery told of an ended call: ``publish(queue, sent, kind, own, canvas, tasks)`` or ``refused``.

        Any worker can tell: ``queue`` is one that is consumed, where the call's own is not.
        """
        return await self._run("retell", id=due.id, epoch=due.epoch, turn=due.turn, queue=queue)

    async def tell_others(self, call_id: str, task: str) -> Reply:
        """Have the tasks that share an ended call told, but the one that hears from its own worker; as `retell`."""
        return await self._run("retell", id=call_id, others=task)

    async def elect(self, key: str, me: str, ms: int) -> bool:
        """Whether this worker holds the right to a job for the next ``ms``."""
        return (await self._run("elect", key=key.removeprefix(self.keys.prefix), me=me, ms=ms)).word == "yes"

    async def record(self, call_id: str) -> Record | None:
        """Read a call's record; None where it is unknown or has expired."""
        return (await self.records([call_id]))[0]

    async def records(self, ids: Sequence[str]) -> list[Record | None]:
        """Read many records in one round trip."""
        async with self.redis.pipeline(transaction=False) as pipe:
            for call_id in ids:
                pipe.hgetall(self.keys.call(call_id))
            rows = await pipe.execute()
        return [Record.read(call_id, row) if row else None for call_id, row in zip(ids, rows, strict=True)]


def _record(call_id: str, flat: Sequence[str]) -> Record | None:
    return Record.read(call_id, dict(zip(flat[::2], flat[1::2], strict=True))) if flat else None
