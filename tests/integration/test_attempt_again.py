"""The second request within an attempt: when it is granted, and what becomes of the call when it is not."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.support.attempting import Scripted, begun
from workers.attempt import Answer, Failed
from workers.failures import ProviderFailure, row

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from workers.chat_reply import Reply


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
        try:
            return await ask(*args, **more)
        finally:
            lease.renewed -= 9

    chat.complete = slowly  # type: ignore[method-assign]
    end = await attempting.go()
    assert isinstance(end, Failed)
    assert (end.what, chat.asked) == ("reset", 1)
