"""Conversations over several bot processes, and what is left of one that dies."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from bot_client import DeadlineExceeded, Understudy
from tests.support import talker
from tests.support.clients import client_of
from tests.support.command_line import CommandLine, ended
from tests.support.polling import aeventually
from tests.support.scripted_worker import ScriptedWorker
from understudy.state.keys import Keys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from redis.asyncio import Redis

    from understudy.contracts.agent_turn import AgentTurnRequest

KEYS = Keys("u:")


def echo(request: AgentTurnRequest) -> dict[str, Any]:
    return {"text": f"re {request.messages[-1].content}", "finish_reason": "stop"}


@pytest.fixture
def bot(tmp_path: Path, redis_url: str) -> CommandLine:
    """The settings of a bot's process."""
    return CommandLine(tmp_path, redis_url)


@pytest.fixture
async def worker(redis_url: str) -> AsyncIterator[ScriptedWorker]:
    async with ScriptedWorker(redis_url) as worker:
        worker.answer("agent_turn", echo, always=True)
        yield worker


@pytest.fixture
async def llm(redis_url: str) -> AsyncIterator[Understudy]:
    async with client_of(redis_url) as llm:
        yield llm


async def waiting(redis: Redis, turns: int) -> None:
    """Wait until so many turns wait or run."""

    async def as_many() -> bool:
        return await redis.llen(KEYS.turns("chat")) == turns

    await aeventually(as_many)


async def begun(worker: ScriptedWorker, calls: int) -> None:
    """Wait until so many calls were begun."""
    await aeventually(lambda: len(worker.requests) == calls)


async def texts(llm: Understudy) -> list[str]:
    return [message["content"] for message in await llm.conversation("chat").history()]


async def test_turns_of_several_processes_run_in_the_order_they_came(
    bot: CommandLine, worker: ScriptedWorker, llm: Understudy, redis: Redis
) -> None:
    worker.hold("agent_turn")
    first = asyncio.create_task(llm.conversation("chat").say("1"))
    await begun(worker, 1)
    others = []
    for i in (2, 3):
        others.append(await talker.start(bot, "says", "chat", str(i)))
        await waiting(redis, i)
    last = asyncio.create_task(llm.conversation("chat").say("4"))
    await waiting(redis, 4)
    worker.release()
    assert (await last).result.text == "re 4"
    assert (await first).result.text
    for i, process in zip((2, 3), others, strict=True):
        assert json.loads((await ended(process)).out) == {"said": str(i), "answer": f"re {i}"}
    assert await texts(llm) == [text for i in range(1, 5) for text in (str(i), f"re {i}")]


async def test_a_process_that_dies_while_it_waits_holds_up_nobody(
    bot: CommandLine, worker: ScriptedWorker, llm: Understudy, redis: Redis
) -> None:
    worker.hold("agent_turn")
    first = asyncio.create_task(llm.conversation("chat").say("1"))
    await begun(worker, 1)
    process = await talker.start(bot, "says", "chat", "2")
    await waiting(redis, 2)
    third = asyncio.create_task(llm.conversation("chat").say("3"))
    await waiting(redis, 3)
    process.kill()
    await process.wait()
    worker.release()
    await first
    assert (await third).result.text == "re 3"
    assert await texts(llm) == ["1", "re 1", "3", "re 3"]


async def test_a_process_that_dies_between_answer_and_history_loses_nothing_and_nothing_is_there_twice(
    bot: CommandLine, worker: ScriptedWorker, llm: Understudy, redis: Redis
) -> None:
    await llm.conversation("chat").say("1")
    assert (await ended(await talker.start(bot, "dies", "chat", "2"))).status == 9
    assert await texts(llm) == ["1", "re 1"]
    assert (await llm.conversation("chat").say("3")).result.text == "re 3"
    assert worker.requests[-1]["messages"][-3:-1] == [
        {"role": "user", "content": "2"},
        {"role": "assistant", "content": "re 2"},
    ]
    assert await texts(llm) == ["1", "re 1", "2", "re 2", "3", "re 3"]


async def test_the_answer_to_a_process_that_died_is_waited_for_and_stands_in_the_history(
    bot: CommandLine, worker: ScriptedWorker, llm: Understudy, redis: Redis
) -> None:
    worker.hold("agent_turn", {"text": "late", "finish_reason": "stop"})
    process = await talker.start(bot, "says", "chat", "1")
    await begun(worker, 1)
    process.kill()
    await process.wait()
    with pytest.raises(DeadlineExceeded, match="the earlier turns of its conversation took all of its"):
        await llm.conversation("chat").say("2", deadline_s=3)
    third = asyncio.create_task(llm.conversation("chat").say("3"))
    await waiting(redis, 1)
    worker.release()
    assert (await third).result.text == "re 3"
    assert await texts(llm) == ["1", "late", "3", "re 3"]


async def test_a_bot_that_starts_again_goes_on_behind_the_turn_it_had_begun(
    worker: ScriptedWorker, llm: Understudy, redis_url: str
) -> None:
    worker.hold("agent_turn", {"text": "late", "finish_reason": "stop"})
    async with client_of(redis_url) as before:
        turn = asyncio.create_task(before.conversation("chat").say("1"))
        await begun(worker, 1)
    await asyncio.wait([turn])
    assert turn.exception()
    second = asyncio.create_task(llm.conversation("chat").say("2"))
    worker.release()
    await second
    assert await texts(llm) == ["1", "late", "2", "re 2"]


async def test_every_key_of_a_conversation_expires(worker: ScriptedWorker, llm: Understudy, redis: Redis) -> None:
    day_ms = 86_400_000
    worker.hold("agent_turn")
    turn = asyncio.create_task(llm.conversation("chat").say("1"))
    await begun(worker, 1)
    assert 0 < await redis.pttl(KEYS.turns("chat")) <= 2 * day_ms
    assert 0 < await redis.pttl(KEYS.turn("chat")) <= 2 * day_ms
    worker.release()
    await turn
    assert 6 * day_ms < await redis.pttl(KEYS.conversation("chat")) <= 7 * day_ms
    left: Any = await redis.hgetall(KEYS.turn("chat"))
    assert left == {}
    assert await redis.exists(KEYS.turns("chat")) == 0


async def test_the_settings_limit_what_is_kept(worker: ScriptedWorker, redis_url: str, redis: Redis) -> None:
    limits = {"understudy_conversation_messages": 4, "understudy_conversation_ttl_s": 3600.0}
    async with client_of(redis_url, **limits) as llm:
        for i in range(4):
            await llm.conversation("chat").say(str(i))
        assert await texts(llm) == ["2", "re 2", "3", "re 3"]
    assert await redis.llen(KEYS.conversation("chat")) == 2
    assert 0 < await redis.pttl(KEYS.conversation("chat")) <= 3_600_000
