"""What becomes of a call that has waited for one of its worker's places."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.attempting import Scripted, begun
from tests.support.polling import aeventually
from workers.attempt import Answer, Attempting, Failed
from workers.failures import ProviderFailure, row
from workers.leases import LeaseLost

if TYPE_CHECKING:
    from redis.asyncio import Redis


async def waiting(chat: Scripted, attempting: Attempting) -> asyncio.Task[Answer | Failed]:
    """The attempt, once all is ready but its place."""
    going = asyncio.create_task(attempting.go())
    await aeventually(lambda: chat.ready)
    return going


async def test_a_call_that_waits_is_asked_when_a_place_is_free_and_gives_it_back(redis: Redis) -> None:
    chat, places = Scripted(), asyncio.Semaphore(0)
    attempting, _, _ = await begun(redis, chat, places)
    going = await waiting(chat, attempting)
    assert chat.asked == 0
    places.release()
    assert isinstance(await going, Answer)
    assert places._value == 1


async def test_a_call_that_is_asked_twice_takes_a_place_each_time(redis: Redis) -> None:
    chat, places = Scripted(ProviderFailure(row("rate_limited_until"), retry_after_s=0.0)), asyncio.Semaphore(1)
    attempting, _, _ = await begun(redis, chat, places)
    assert isinstance(await attempting.go(), Answer)
    assert (chat.ready, chat.asked) == (2, 2)
    assert places._value == 1


async def test_a_call_whose_time_ran_out_while_it_waited_is_not_asked(redis: Redis) -> None:
    chat, places = Scripted(), asyncio.Semaphore(0)
    attempting, _, _ = await begun(redis, chat, places, deadline_ms=4_000)
    end = await attempting.go()
    assert isinstance(end, Failed)
    assert (end.what, chat.ready, chat.asked) == ("caller_deadline", 1, 0)
    assert places._value == 0


async def test_a_call_whose_lease_was_lost_while_it_waited_is_not_asked(redis: Redis) -> None:
    chat, places = Scripted(), asyncio.Semaphore(0)
    attempting, lease, _ = await begun(redis, chat, places)
    going = await waiting(chat, attempting)
    lease.gone = "lost"
    places.release()
    with pytest.raises(LeaseLost):
        await going
    assert chat.asked == 0
    assert places._value == 1


async def test_a_call_that_is_given_up_while_it_waits_leaves_the_place_to_the_next(redis: Redis) -> None:
    chat, places = Scripted(), asyncio.Semaphore(0)
    attempting, _, _ = await begun(redis, chat, places)
    going = await waiting(chat, attempting)
    going.cancel()
    await asyncio.wait([going])
    places.release()
    assert chat.asked == 0
    assert places._value == 1
