"""Streams that are given up, read slowly, or read over a connection that is cut."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from bot_client import CallCancelled, Delta
from tests.support.figures import figure, sizes
from tests.support.polling import aeventually
from tests.support.watching import watch
from understudy.state.record import CANCELLED
from workers.stand_in import Fate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from bot_client import AgentStream, Understudy
    from tests.support.stack import Look, Stack

ASKED = [{"role": "user", "content": "Tell me about lighthouses."}]
ENDLESS = Fate(tokens=4000, drip_ms=20)


@pytest.fixture
async def llm(stack: Stack) -> AsyncIterator[Understudy]:
    async with stack.client() as client:
        yield client


async def by_break(stream: AgentStream) -> None:
    async for event in stream:
        if isinstance(event, Delta):
            break


async def by_an_exception(stream: AgentStream) -> None:
    with suppress(ZeroDivisionError):
        async for event in stream:
            if isinstance(event, Delta):
                raise ZeroDivisionError


async def by_cancelling_the_task(stream: AgentStream) -> None:
    task = asyncio.create_task(watch(stream))
    await aeventually(lambda: stream.text)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def by_cancel(stream: AgentStream) -> None:
    task = asyncio.create_task(watch(stream))
    await aeventually(lambda: stream.text)
    assert await stream.cancel()
    with pytest.raises(CallCancelled):
        await task


async def by_leaving_the_block(stream: AgentStream) -> None:
    async with stream:
        pass


async def by_cancelling_who_waits_for_the_result(stream: AgentStream) -> None:
    task = asyncio.create_task(stream.result())
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    "leave",
    [
        by_break,
        by_an_exception,
        by_cancelling_the_task,
        by_cancel,
        by_leaving_the_block,
        by_cancelling_who_waits_for_the_result,
    ],
)
async def test_a_stream_that_is_left_ends_at_its_provider_and_frees_its_slot(
    stack: Stack, llm: Understudy, leave: Callable[[AgentStream], Awaitable[None]]
) -> None:
    stack.ollama.set_fate(ENDLESS)
    stream = llm.agent_turn(ASKED, stream=True)
    await leave(stream)
    left = time.monotonic()
    async with stack.look() as look:
        await aeventually(lambda: stack.running("ollama") == 0)
        figure(f"stream left {leave.__name__}: its provider's ends after", f"{time.monotonic() - left:.2f} s")
        with pytest.raises(CallCancelled):
            await stream.result()
        assert (await look.record(stream.id)).state == CANCELLED
    assert stack.counts("openai")["total"] == 0


async def test_the_result_alone_needs_no_iterating(llm: Understudy) -> None:
    outcome = await llm.agent_turn(ASKED, stream=True).result()
    assert outcome.result.text


async def test_a_stream_is_iterated_over_once(llm: Understudy) -> None:
    stream = llm.agent_turn(ASKED, stream=True)
    watched = await watch(stream)
    with pytest.raises(RuntimeError, match="iterated over once"):
        await watch(stream)
    assert (await stream.result()) == watched.outcome
    assert stream.text == watched.shown


async def test_a_slow_reader_loses_nothing(stack: Stack, llm: Understudy) -> None:
    stack.ollama.set_fate(Fate(tokens=60))
    stream = llm.agent_turn(ASKED, stream=True)
    async with stream:
        await stream.result()  # all of it has come before the first event is read
        watched = await watch(stream)
    assert watched.is_whole
    assert watched.types == ["started", "delta", "done"]


async def test_two_who_stream_one_call_by_its_key_see_the_same(stack: Stack, llm: Understudy) -> None:
    stack.ollama.set_fate(Fate(tokens=60, drip_ms=5))
    both = [watch(llm.agent_turn(ASKED, stream=True, key="one")) for _ in range(2)]
    first, second = await asyncio.gather(*both)
    assert first.is_whole
    assert second.shown == first.shown
    assert second.outcome == first.outcome
    assert stack.counts("ollama")["total"] == 1


@sizes("away_s", 1.5, 10.0)
async def test_a_reader_whose_connection_is_cut_misses_nothing_and_sees_nothing_twice(
    stack: Stack, llm: Understudy, away_s: float
) -> None:
    stack.ollama.set_fate(Fate(tokens=int(away_s * 50) + 150, drip_ms=20))
    stream = llm.agent_turn(ASKED, stream=True)
    async with stack.look() as look:
        watching = asyncio.create_task(watch(stream))
        await aeventually(lambda: stream.text)
        until, shown = time.monotonic() + away_s, stream.text
        while time.monotonic() < until:
            await cut_reader(look)
            await asyncio.sleep(0.02)
        watched = await watching
    assert watched.is_whole
    assert watched.types == ["started", "delta", "done"], "it began anew"
    assert len(watched.shown) > len(shown)


async def cut_reader(look: Look) -> None:
    """Cut every connection that blocks on an inbox."""
    clients: Any = await look.redis.client_list()
    for client in clients:
        if client["cmd"] == "xread":
            await look.redis.client_kill_filter(_id=client["id"])
