"""How the client hears of its calls: one stream, one connection, and a look at the ledger where that is not enough."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from bot_client import CallCancelled, Understudy, VersionMismatch
from tests.support.clients import client_of, ledger_of
from tests.support.polling import aeventually
from tests.support.scripted_worker import ScriptedWorker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis.asyncio import Redis


@pytest.fixture
async def llm(redis_url: str) -> AsyncIterator[Understudy]:
    async with client_of(redis_url) as client:
        yield client


async def test_one_connection_hears_of_all_calls(redis: Redis, llm: Understudy) -> None:
    before = len(await redis.client_list())  # other tests' clients may linger on this server
    await asyncio.gather(*(llm.submit("moderation", {"text": "x"}) for _ in range(100)))

    async def one_reader() -> bool:
        clients = await redis.client_list()
        assert len([c for c in clients if c["cmd"] == "xread"]) == 1
        assert len(clients) - before < 12
        return True

    await aeventually(one_reader)
    assert len(await redis.keys("u:inbox:*")) <= 1


async def test_a_dropped_connection_costs_no_answer(redis_url: str, redis: Redis, llm: Understudy) -> None:
    calls = [await llm.submit("moderation", {"text": "x"}) for _ in range(5)]
    await redis.client_kill_filter(_type="normal", skipme=True)
    async with ScriptedWorker(redis_url):
        outcomes = await asyncio.gather(*calls)
    assert len({outcome.call_id for outcome in outcomes}) == 5


async def test_an_answer_whose_event_was_lost_is_found_in_the_ledger(
    redis_url: str, redis: Redis, llm: Understudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot_client.calls.LOOK_S", 0.2)
    call = await llm.submit("moderation", {"text": "x"})
    await redis.hset(f"u:call:{call.id}", "inboxes", "")
    async with ScriptedWorker(redis_url):
        assert (await call).result


async def test_an_outcome_too_large_for_an_event_is_read_from_the_record(redis_url: str, llm: Understudy) -> None:
    async with ScriptedWorker(redis_url) as worker:
        worker.answer("agent_turn", {"text": "long " * 5_000, "finish_reason": "stop"})
        outcome = await llm.agent_turn([{"role": "user", "content": "x"}])
    assert outcome.result is not None
    assert len(outcome.result.text) == 25_000


async def test_a_call_that_a_script_ended_has_an_outcome_too(redis: Redis, llm: Understudy) -> None:
    call = await llm.submit("moderation", {"text": "x"})
    assert await ledger_of(redis).cancel(call.id, operator=True) == "X"
    await aeventually(call.done)
    assert (await call.status()).state == "cancelled"


async def test_a_cancel_of_one_client_leaves_the_call_to_the_other(redis_url: str, llm: Understudy) -> None:
    async with client_of(redis_url) as other, ScriptedWorker(redis_url) as worker:
        worker.hold("moderation")
        mine = await llm.submit("moderation", {"text": "x"}, key="k")
        theirs = await other.submit("moderation", {"text": "x"}, key="k")
        assert not await mine.cancel()
        assert mine.done()
        assert (await theirs.status()).state != "cancelled"
        worker.release()
        assert (await theirs).result


async def test_a_cancel_for_everyone_ends_the_call_of_another_client_too(redis_url: str, llm: Understudy) -> None:
    async with client_of(redis_url) as other:
        theirs = await other.submit("moderation", {"text": "x"})
        assert not await llm.cancel(theirs.id)
        assert await llm.cancel(theirs.id, everyone=True)
        with pytest.raises(CallCancelled):
            await theirs


async def test_a_record_of_an_unknown_format_is_refused_as_such(
    redis: Redis, llm: Understudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot_client.calls.LOOK_S", 0.1)
    call = await llm.submit("moderation", {"text": "x"})
    fine = await llm.submit("moderation", {"text": "x"})
    await redis.hset(f"u:call:{call.id}", mapping={"v": 99, "st": "D"})
    with pytest.raises(VersionMismatch, match=f"{call.id} has format 99"):
        await call
    with pytest.raises(VersionMismatch):
        await llm.call(call.id)
    assert not fine.done()


async def test_an_outcome_of_another_version_is_refused_as_such(redis_url: str, redis: Redis, llm: Understudy) -> None:
    async with ScriptedWorker(redis_url):
        outcome = await llm.moderate("x")
    stored = json.loads(str(await redis.hget(f"u:call:{outcome.call_id}", "outcome")))
    for broken in ({**stored, "result": {"verdict": 5}}, {**stored, "status": "maybe"}):
        await redis.hset(f"u:call:{outcome.call_id}", "outcome", json.dumps(broken))
        with pytest.raises(VersionMismatch, match="update the older side"):
            await (await llm.call(outcome.call_id))


async def test_an_event_that_cannot_be_read_ends_nothing(redis_url: str, redis: Redis, llm: Understudy) -> None:
    call = await llm.submit("moderation", {"text": "x"})
    inbox = str(await redis.hget(f"u:call:{call.id}", "inboxes"))
    await redis.xadd(f"u:inbox:{inbox}", {"x": "y"})
    last: dict[Any, Any] = {"id": call.id, "type": "done", "epoch": "9" * 15, "n": "-1", "data": "{not json"}
    await redis.xadd(f"u:inbox:{inbox}", last)
    async with ScriptedWorker(redis_url):
        assert (await call).result


async def test_a_message_holds_the_calls_id_and_nothing_that_a_user_wrote(redis: Redis, llm: Understudy) -> None:
    call = await llm.submit("moderation", {"text": "my password is hunter2"}, user_id="u-77", key="chat:9")
    await aeventually(lambda: redis.llen("ollama"))
    message = str(await redis.lindex("ollama", 0))
    assert json.loads(message)["headers"]["id"] == call.id
    assert not any(text in message for text in ("hunter2", "u-77", "chat:9"))
    assert "hunter2" not in json.dumps(json.loads(message))
