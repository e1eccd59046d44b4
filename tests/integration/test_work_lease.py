"""The lease of a call while its end is written: kept alive, and no reason to stop the writing."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, cast

from redis.exceptions import ConnectionError as RedisConnectionError

import tasks.moderation  # noqa: F401 - registers the kind
from tests.support.attempting import Scripted
from tests.support.health import OLLAMA
from tests.support.ledger import Drive
from tests.support.reconciling import Reconciling
from workers.arrival import Arrival
from workers.ends import Ended
from workers.leases import Lease
from workers.run import Run
from workers.work import Work

if TYPE_CHECKING:
    import pytest
    from redis.asyncio import Redis

    from workers.chat import Chat


async def test_an_answer_is_told_although_a_renewal_sees_the_end_before_we_do(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And while the ledger is out of reach with the answer in hand, the lease is renewed with the others."""
    drive = await Drive(redis).ticking()
    parts = Reconciling(drive)
    parts.context.chat = cast("Chat", Scripted())
    work = Work(parts.context)
    at = time.monotonic()
    reply = await drive.begin(sent=(await drive.open()).number("sent"), token="t")
    run = Run.of(Arrival("c1", "moderation", "ollama", OLLAMA, 1, "t", None), reply, at)
    lease = Lease("c1", run.epoch, run.rid, "ollama", "m", renewed=at)
    finish, held = drive.ledger.finish, []

    async def late(*args: Any, **more: Any) -> Any:
        held.append(len(parts.context.leases))
        if len(held) == 1:
            raise RedisConnectionError("away")
        answered = await finish(*args, **more)
        await parts.context.leases.renew()  # its reply overtakes ours
        await asyncio.sleep(0)
        return answered

    monkeypatch.setattr(drive.ledger, "finish", late)
    end = await work._hold(run, lease)
    assert isinstance(end, Ended)
    assert held == [1, 1]
    assert lease.gone == "lost"
    assert len(parts.context.leases) == 0
