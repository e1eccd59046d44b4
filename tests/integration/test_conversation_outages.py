"""Conversations while Redis comes and goes, and clients that are closed under their turns."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

import bot_client.turn_to_take as turn
from bot_client import Unavailable, Understudy
from tests.support.clients import client_of
from tests.support.polling import aeventually
from tests.support.redis_server import RedisServer
from tests.support.scripted_worker import ScriptedWorker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from understudy.contracts.agent_turn import AgentTurnRequest
    from workers.local_redis import Flavour


def echo(request: AgentTurnRequest) -> dict[str, Any]:
    return {"text": f"re {request.messages[-1].content}", "finish_reason": "stop"}


@pytest.fixture
async def worker(redis_url: str) -> AsyncIterator[ScriptedWorker]:
    async with ScriptedWorker(redis_url) as worker:
        worker.answer("agent_turn", echo, always=True)
        yield worker


@pytest.fixture
async def llm(redis_url: str) -> AsyncIterator[Understudy]:
    async with client_of(redis_url) as llm:
        yield llm


async def texts(llm: Understudy) -> list[str]:
    return [message["content"] for message in await llm.conversation("chat").history()]


def failing(llm: Understudy, monkeypatch: pytest.MonkeyPatch, method: str, times: int) -> list[int]:
    """The first so many uses of a method of the store find no Redis; the list grows with each."""
    real, failed = getattr(llm._taking.store, method), list[int]()

    async def instead(*args: Any, **named: Any) -> Any:
        if len(failed) < times:
            failed.append(1)
            raise RedisConnectionError("away")
        return await real(*args, **named)

    monkeypatch.setattr(llm._taking.store, method, instead)
    return failed


async def test_an_end_that_redis_does_not_take_at_once_is_told_again(
    worker: ScriptedWorker, llm: Understudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = failing(llm, monkeypatch, "end", times=2)
    await llm.conversation("chat").say("1")
    await llm.conversation("chat").say("2")
    assert len(failed) == 2
    assert await texts(llm) == ["1", "re 1", "2", "re 2"]


async def test_an_outcome_is_not_held_back_by_a_history_that_cannot_be_written_and_the_next_turn_writes_it(
    worker: ScriptedWorker, llm: Understudy, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("understudy.state.conversation.LEASE_MS", 2_000)
    monkeypatch.setattr(turn, "RETRY_S", ())
    async with client_of(redis_url) as other:
        failing(other, monkeypatch, "end", times=1)
        assert (await other.conversation("chat").say("1")).result.text == "re 1"
        assert await texts(llm) == []
        await llm.conversation("chat").say("2")
    assert await texts(llm) == ["1", "re 1", "2", "re 2"]


async def test_a_turn_that_waits_outlasts_an_outage(
    worker: ScriptedWorker, llm: Understudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "KEEP_S", 0.05)
    worker.hold("agent_turn")
    first = asyncio.create_task(llm.conversation("chat").say("1"))
    await aeventually(lambda: len(worker.requests) == 1)
    second = asyncio.create_task(llm.conversation("chat").say("2"))
    await aeventually(lambda: len(llm._taking.store._waiting) == 2)
    failed = failing(llm, monkeypatch, "take", times=3)
    await aeventually(lambda: len(failed) == 3)
    worker.release()
    await first
    assert (await second).result.text == "re 2"


async def test_without_redis_a_turn_is_refused_and_nothing_waits(tmp_path: Path, redis_flavour: Flavour) -> None:
    server = RedisServer(tmp_path, redis_flavour)
    server.start()
    try:
        async with client_of(server.url()) as llm:
            server.kill()
            with pytest.raises(Unavailable, match="the turn was not asked for"):
                await llm.conversation("chat").say("1")
            with pytest.raises(Unavailable):
                await llm.conversation("chat").history()
    finally:
        server.stop()


async def test_a_client_that_is_closed_lets_its_turns_go_and_asks_for_none_that_waited(
    worker: ScriptedWorker, llm: Understudy, redis_url: str
) -> None:
    worker.hold("agent_turn")
    async with client_of(redis_url) as other:
        turns = [asyncio.create_task(other.conversation("chat").say(text)) for text in ("1", "2")]
        await aeventually(lambda: len(worker.requests) == 1)
        await aeventually(lambda: len(other._taking.store._waiting) == 2)
    _, _ = await asyncio.wait(turns)
    assert [type(each.exception()) for each in turns] == [Unavailable, Unavailable]
    with pytest.raises(RuntimeError, match="async with"):
        await other.conversation("chat").say("3")
    worker.release()
    await llm.conversation("chat").say("4")
    assert len(worker.requests) == 2
    assert (await texts(llm))[-2:] == ["4", "re 4"]
    assert len(await texts(llm)) == 4
