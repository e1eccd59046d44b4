"""A revoked task's call is cancelled before the ledger hears that Celery has stored so."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from tests.support.polling import eventually
from understudy.state.lua import Reply
from workers.loop import LoopThread
from workers.revocations import Revocations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from understudy.state.ledger import Ledger
    from workers.ends import Publish


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


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    loop = LoopThread()
    loop.start()
    yield loop
    loop.stop()


async def nothing(_: list[Publish]) -> None:
    """None is to be published."""


@pytest.mark.parametrize("failure", [None, ConnectionError()])
def test_the_ledger_is_told_after_the_call_is_cancelled(loop: LoopThread, failure: Exception | None) -> None:
    ledger = SlowLedger(failure)
    revocations = Revocations(loop, cast("Ledger", ledger), nothing)
    revocations.heard(["one"])
    revocations.stored("one")
    revocations.stored("another")  # that waits for nothing
    eventually(lambda: ledger.done == ["told another"])
    loop.call_soon(ledger.may_go_on.set)
    eventually(lambda: ledger.done == ["told another", "revoke one", "told one"])
