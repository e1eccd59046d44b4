"""The second request within an attempt: when it is granted, and what becomes of the call when it is not."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any, cast

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

import tasks.moderation  # noqa: F401 - registers the kind
from tests.support.health import OLLAMA
from tests.support.ledger import Drive
from tests.support.reconciling import Reconciling
from understudy.contracts.call import Usage
from workers.arrival import Arrival
from workers.attempt import Answer, Attempting, Failed
from workers.chat_reply import Reply
from workers.failures import ProviderFailure, row
from workers.leases import Lease
from workers.run import Run

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from workers.chat import Chat

GOOD = '{"helpful":true,"violation":null,"quality_score":7,"action":"none","reason":"It is on topic."}'


class Scripted:
    """A provider that fails as it is told, and then answers."""

    def __init__(self, *failures: ProviderFailure) -> None:
        self.failures = list(failures)
        self.asked = 0

    async def complete(self, *_: Any, **__: Any) -> Reply:
        self.asked += 1
        if self.failures:
            raise self.failures.pop(0)
        return Reply(
            text=GOOD,
            finish_reason="stop",
            refusal=None,
            tool_calls=(),
            usage=Usage(),
            model="m",
            ms=5,
            first_byte_ms=1,
            requests=1,
        )


async def begun(redis: Redis, chat: Scripted, model: str = "m") -> tuple[Attempting, Lease, Drive]:
    """A call that a worker has begun at ollama, with nobody else there."""
    drive = await Drive(redis).ticking()
    parts = Reconciling(drive)
    parts.context.chat = cast("Chat", chat)
    at = time.monotonic()
    reply = await drive.begin(sent=(await drive.open()).number("sent"), token="t", model=model)
    run = Run.of(Arrival("c1", "moderation", "ollama", OLLAMA, 1, "t", None), reply, at)
    lease = Lease("c1", run.epoch, run.rid, "ollama", "m", renewed=at)
    return Attempting(parts.context, run, lease), lease, drive


async def test_a_rate_limit_that_names_no_time_is_asked_again_after_its_own_pause(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, _high: low)
    chat = Scripted(ProviderFailure(row("rate_limited")))
    attempting, _, _ = await begun(redis, chat)
    assert isinstance(await attempting.go(), Answer)
    assert chat.asked == 2


@pytest.mark.parametrize("retry_after_s", [0.0, 0.3])
async def test_a_rate_limit_is_asked_again_after_the_time_it_names(redis: Redis, retry_after_s: float) -> None:
    chat = Scripted(ProviderFailure(row("rate_limited_until"), retry_after_s=retry_after_s))
    attempting, _, _ = await begun(redis, chat)
    assert isinstance(await attempting.go(), Answer)
    assert chat.asked == 2


async def test_without_the_ledger_nobody_is_asked_again_and_the_call_moves_on(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = Scripted(ProviderFailure(row("reset")))
    attempting, _, drive = await begun(redis, chat)

    async def away(*_: Any, **__: Any) -> None:
        raise RedisConnectionError("away")

    monkeypatch.setattr(drive.ledger, "again", away)
    end = await attempting.go()
    assert isinstance(end, Failed)
    assert (end.what, end.end, chat.asked) == ("reset", None, 1)


async def test_under_a_lease_that_could_not_be_renewed_nobody_is_asked_again_and_the_call_moves_on(
    redis: Redis,
) -> None:
    chat = Scripted(ProviderFailure(row("reset")))
    attempting, lease, _ = await begun(redis, chat)
    ask = chat.complete

    async def slowly(*args: Any, **more: Any) -> Reply:
        lease.renewed -= 9
        return await ask(*args, **more)

    chat.complete = slowly  # type: ignore[method-assign]
    end = await attempting.go()
    assert isinstance(end, Failed)
    assert (end.what, chat.asked) == ("reset", 1)
