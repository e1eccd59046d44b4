"""What Celery's `revoke` does to the calls in the ledger."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import structlog

from workers.redispatch import tellings_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from concurrent.futures import Future

    from workers.context import Context
    from workers.ends import Publish
    from workers.loop import LoopThread

INSIST_S = 60.0
"""How long a revocation is kept while the ledger is out of reach."""

log = structlog.get_logger("understudy.worker")


class Revocations:
    """The calls of revoked tasks are cancelled, wherever they are, unless others share them.

    Args:
        loop: where the ledger is asked.
        context: of the worker, with the ledger of the calls.
        send: publishes what Celery is to hear of calls that go on for others.
    """

    def __init__(self, loop: LoopThread, context: Context, send: Callable[[list[Publish]], Awaitable[None]]) -> None:
        self._loop = loop
        self._context = context
        self._send = send
        # The loop holds each for as long as it is under way.
        self._cancelling: WeakValueDictionary[str, Future[None]] = WeakValueDictionary()

    def heard(self, task_ids: list[str]) -> None:
        """Somebody revoked these tasks; every worker hears it."""
        for task_id in task_ids:
            self._cancelling[task_id] = self._loop.submit(self._cancel(task_id))

    def stored(self, task_id: str) -> None:
        """Celery's result of a task says that it was revoked."""
        self._loop.submit(self._told(task_id, self._cancelling.get(task_id)))

    async def _cancel(self, task_id: str) -> None:
        # It is said once: while the ledger is out of reach, it is kept here.
        until = time.monotonic() + INSIST_S
        try:
            reply = await self._context.insist(lambda: self._context.ledger.revoke(task_id), until=until)
            await self._send(tellings_of(reply, reply.text("id")))
        except Exception as error:
            log.error("a revoked call cannot be cancelled", call=task_id, error=type(error).__name__)
            raise

    async def _told(self, task_id: str, cancelling: Future[None] | None) -> None:
        # Celery stores it in the same moment: told of a call that has not ended, the ledger would forget it again.
        if cancelling is not None:
            await asyncio.wrap_future(cancelling)
        await self._context.ledger.told(task_id)
