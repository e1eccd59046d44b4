"""A revoked task's call is cancelled before the ledger hears that Celery has stored so."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from tests.support.polling import eventually
from understudy.state.lua import Reply
from workers.revocations import Revocations

if TYPE_CHECKING:
    from workers.context import Context
    from workers.ends import Publish
    from workers.loop import LoopThread


class SlowLedger:
    """One whose Redis takes its time with a revocation, or fails it."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.done: list[str] = []
        self.may_go_on = asyncio.Event()
        self._failure = failure

    async def revoke(self, task_id: str) -> Reply:
        await self.may_go_on.wait()
        self.done.append(f"revoke {task_id}")
        if self._failure:
            raise self._failure
        return Reply("X", {})

    async def told(self, task_id: str) -> str:
        self.done.append(f"told {task_id}")
        return "told"


async def nothing(_: list[Publish]) -> None:
    """None is to be published."""


def revocations(loop: LoopThread, ledger: SlowLedger) -> Revocations:
    """Without the patience of a worker."""
    context = SimpleNamespace(ledger=ledger, insist=lambda operation, until: operation())
    return Revocations(loop, cast("Context", context), nothing)


def test_the_ledger_is_told_after_the_call_is_cancelled(loop: LoopThread) -> None:
    ledger = SlowLedger()
    ours = revocations(loop, ledger)
    ours.heard(["one"])
    ours.stored("one")
    ours.stored("another")  # that waits for nothing
    eventually(lambda: ledger.done == ["told another"])
    loop.call_soon(ledger.may_go_on.set)
    eventually(lambda: ledger.done == ["told another", "revoke one", "told one"])


def test_where_it_cannot_be_cancelled_the_ledger_is_not_told_that_celery_knows(loop: LoopThread) -> None:
    ledger = SlowLedger(ConnectionError())
    ours = revocations(loop, ledger)
    ours.heard(["one"])
    ours.stored("one")
    loop.call_soon(ledger.may_go_on.set)
    eventually(lambda: ledger.done == ["revoke one"])
    ours.stored("after it")
    eventually(lambda: ledger.done == ["revoke one", "told after it"])
