"""Calls settle once: cancelled in time, asked once for one key, and seen by nobody else."""

from __future__ import annotations

import asyncio
import base64
import re
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from bot_client import AllProvidersFailed, CallCancelled
from tests.support.figures import figure, sizes, spread
from tests.support.polling import aeventually
from workers.stand_in import Fate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis.asyncio import Redis

    from tests.support.stack import Stack

LIMIT_S = 60.0
MARKER = "what-only-the-provider-may-read"
BODY = re.compile(r'"body": ?"([A-Za-z0-9+/=]+)"')


@pytest.mark.parametrize("who", ["client", "operator"])
@sizes("times", 1, 20)
async def test_a_cancel_stops_the_running_request(stack: Stack, who: str, times: int) -> None:
    stack.ollama.set_fate(Fate(silence=True))
    took = []
    async with stack.client() as llm, stack.look() as look:
        for i in range(times):
            call = await llm.submit("moderation", {"text": f"message {i}"})
            await aeventually(lambda: stack.running("ollama") == 1)
            cancelled = time.monotonic()
            if who == "client":
                assert await call.cancel()
            else:
                await look.ledger.cancel(call.id, operator=True)
            await aeventually(lambda: stack.running("ollama") == 0)
            took.append(time.monotonic() - cancelled)
            with pytest.raises(CallCancelled):
                await call.result(LIMIT_S)
    assert stack.counts("ollama")["aborted"] == times
    assert stack.counts("openai")["total"] == 0
    figure(f"request stopped after a cancel by {who} (limit 2 s)", spread(took))


async def test_calls_with_one_key_are_one_request(stack: Stack) -> None:
    stack.ollama.set_fate(Fate(latency_ms=500))
    async with stack.client() as llm, stack.client() as other:
        bots = (llm, llm, other)
        at_once = await asyncio.gather(*(bot.moderate("the same", key="chat:1") for bot in bots))
        afterwards = [await bot.moderate("the same", key="chat:1") for bot in bots]
        another = await llm.moderate("the same", key="chat:2")
    assert len({outcome.call_id for outcome in (*at_once, *afterwards)}) == 1
    assert all(outcome.result == at_once[0].result for outcome in (*at_once, *afterwards))
    assert another.call_id != at_once[0].call_id
    assert stack.requests() == 2


class Overheard:
    """Every command that a Redis was sent, apart from those of the ledger's own scripts."""

    def __init__(self) -> None:
        self.commands: list[str] = []

    @property
    def broker(self) -> list[str]:
        """What went to anybody but the ledger."""
        return [each for each in self.commands if not each.upper().startswith(("EVAL", "SCRIPT"))]

    def bodies(self) -> list[str]:
        """The bodies of messages and events, decoded."""
        found = (body for each in self.broker for body in BODY.findall(each.replace("\\", "")))
        return [base64.b64decode(body).decode() for body in found]


@asynccontextmanager
async def overhear(redis: Redis) -> AsyncIterator[Overheard]:
    """Listen to Redis."""
    heard = Overheard()
    async with redis.monitor() as monitor:

        async def listen() -> None:
            async for command in monitor.listen():
                if command["client_type"] != "lua":
                    heard.commands.append(command["command"])

        listening = asyncio.create_task(listen())
        yield heard
        await redis.set("the-end-of-listening", 1)
        await aeventually(lambda: any("the-end-of-listening" in each for each in heard.commands))
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def test_what_a_user_wrote_is_in_no_log_message_or_event(stack: Stack) -> None:
    history = [{"role": "user", "content": f"{MARKER} and more"}]
    async with stack.client() as llm, stack.look() as look, overhear(look.redis) as heard:
        await llm.moderate(f"{MARKER} text", rules=f"{MARKER} rules", author=f"{MARKER} author")
        await llm.name_thread(f"{MARKER} first message")
        await llm.agent_turn(history, system=f"{MARKER} system")
        for fate in (Fate(answer="not_json"), Fate(status=400), Fate(reset=True), Fate(status=503)):
            stack.ollama.set_fate(fate)
            try:
                await llm.moderate(f"{MARKER} {fate.status}", key=f"{MARKER} {fate.status} {fate.answer}")
            except AllProvidersFailed:
                assert fate.status == 400
        stack.ollama.set_fate(Fate(silence=True))
        await llm.clear_health()
        given_up = await llm.submit("agent_turn", {"messages": history})
        await aeventually(lambda: stack.running("ollama") == 1)
        await given_up.cancel()
        await aeventually(lambda: stack.running("ollama") == 0)
    bodies = heard.bodies()
    assert sum('"dispatch"' in body for body in bodies) >= 8
    assert any("task-succeeded" in body for body in bodies)
    assert [body for body in bodies if MARKER in body] == []
    assert [command for command in heard.broker if MARKER in command] == []
    assert stack.logs().count("moderation") >= 5
    assert MARKER not in "".join(worker.text() for worker in stack.workers.values())
