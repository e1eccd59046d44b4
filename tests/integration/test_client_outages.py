"""The client while Redis or the broker is away, slow to answer, or has lost what it knew."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest
import redis as redis_sync
from redis.asyncio import Redis

from bot_client import DeadlineExceeded, Unavailable, Understudy
from tests.support.clients import client_of
from tests.support.polling import aeventually
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer
from tests.support.scripted_worker import ScriptedWorker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from workers.local_redis import Flavour

# The promise is one second; a busy machine gets more.
REFUSED_S = 5.0


@pytest.fixture
def server(tmp_path: Path, redis_flavour: Flavour) -> Iterator[RedisServer]:
    own = RedisServer(tmp_path, redis_flavour, appendonly=True)
    own.start()
    yield own
    own.stop()


@pytest.fixture
async def llm(server: RedisServer) -> AsyncIterator[Understudy]:
    async with client_of(server.url()) as client:
        yield client


async def test_without_redis_a_submit_is_refused_at_once(server: RedisServer, llm: Understudy) -> None:
    server.kill()
    async with asyncio.timeout(REFUSED_S):
        with pytest.raises(Unavailable, match="not known to be queued"):
            await llm.submit("moderation", {"text": "x"})
    with pytest.raises(Unavailable):
        await llm.provider_status()
    with pytest.raises(Unavailable):
        await llm.call("any")


async def test_a_client_may_start_before_redis_does(tmp_path: Path, redis_flavour: Flavour) -> None:
    server = RedisServer(tmp_path, redis_flavour)
    server.start()
    server.stop()
    async with client_of(server.url()) as llm:
        with pytest.raises(Unavailable):
            await llm.moderate("x")
        server.start()
        try:
            async with ScriptedWorker(server.url()):
                assert (await llm.moderate("x")).result
        finally:
            server.stop()


async def test_a_hundred_submits_to_a_redis_that_hangs_are_all_refused_together(
    server: RedisServer, llm: Understudy
) -> None:
    await llm.provider_status()
    server.pause()
    try:
        async with asyncio.timeout(REFUSED_S):
            ends = await asyncio.gather(
                *(llm.submit("moderation", {"text": "x"}) for _ in range(100)), return_exceptions=True
            )
    finally:
        server.resume()
    assert {type(end) for end in ends} == {Unavailable}


async def test_what_a_hanging_redis_opened_after_all_is_cancelled_when_it_answers(
    server: RedisServer, llm: Understudy
) -> None:
    await llm.submit("moderation", {"text": "the first one makes the connections"})
    server.pause()
    try:
        with pytest.raises(Unavailable):
            await llm.submit("moderation", {"text": "x"})
    finally:
        server.resume()

    async def only_the_first_is_open() -> bool:
        async with Redis.from_url(server.url(), decode_responses=True) as redis:
            return bool(await redis.zcard("u:due") == 1)

    await aeventually(only_the_first_is_open)


def all_is_in_the_file(server: RedisServer) -> bool:
    with redis_sync.Redis.from_url(server.url()) as redis:
        told: Any = redis.info("persistence")
    return bool(told["aof_buffer_length"] == told["aof_pending_bio_fsync"] == 0)


async def test_calls_opened_before_redis_was_killed_are_answered_after_it_is_back(
    server: RedisServer, llm: Understudy
) -> None:
    calls = [await llm.submit("moderation", {"text": f"message {i}"}) for i in range(10)]
    await aeventually(lambda: all_is_in_the_file(server))
    server.kill()
    server.start()
    async with ScriptedWorker(server.url()):
        outcomes = await asyncio.gather(*calls)
    assert [outcome.call_id for outcome in outcomes] == [call.id for call in calls]


async def test_a_call_that_redis_has_lost_is_opened_again_with_its_id_and_deadline(
    server: RedisServer, llm: Understudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot_client.calls.LOOK_S", 0.2)
    call = await llm.submit("moderation", {"text": "x"}, deadline_s=25)
    before = await call.status()
    with redis_sync.Redis.from_url(server.url()) as redis:
        redis.flushall()
    async with ScriptedWorker(server.url()) as worker:
        outcome = await call
    after = await call.status()
    assert (outcome.call_id, after.deadline_ms) == (call.id, before.deadline_ms)
    assert worker.requests == [{"text": "x"}]


async def test_a_call_that_redis_has_lost_is_not_opened_again_after_its_deadline(
    server: RedisServer, llm: Understudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot_client.calls.SILENT_S", 2.5)
    call = await llm.submit("moderation", {"text": "x"}, deadline_s=0.1)
    await asyncio.sleep(0.2)
    with redis_sync.Redis.from_url(server.url()) as redis:
        redis.flushall()
    with pytest.raises(DeadlineExceeded, match="outcome is unknown") as raised:
        await call
    assert raised.value.outcome is None
    with redis_sync.Redis.from_url(server.url()) as redis:
        assert redis.keys("u:call:*") == []


async def test_a_silent_ledger_ends_a_call_some_seconds_after_its_deadline(
    server: RedisServer, llm: Understudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot_client.calls.SILENT_S", 0.3)
    with pytest.raises(DeadlineExceeded, match="the ledger is silent"):
        await llm.moderate("x", deadline_s=0.1)  # no worker, no reconciler: nobody ends it


async def test_a_task_cancelled_while_redis_is_away_ends_soon_and_its_call_later(
    server: RedisServer, llm: Understudy
) -> None:
    asking = asyncio.ensure_future(llm.moderate("x", key="k", deadline_s=60))
    await aeventually(lambda: _open_calls(server) == 1)
    server.pause()
    asking.cancel()
    try:
        async with asyncio.timeout(REFUSED_S):
            with pytest.raises(asyncio.CancelledError):
                await asking
    finally:
        server.resume()
    await aeventually(lambda: _open_calls(server) == 0)


async def test_a_broker_that_is_away_or_hangs_holds_up_nobody(
    server: RedisServer, tmp_path: Path, redis_flavour: Flavour, caplog: pytest.LogCaptureFixture
) -> None:
    away = client_of(server.url(), broker_url=f"redis://127.0.0.1:{free_port()}/0")
    with caplog.at_level(logging.WARNING, logger="understudy.client"):
        async with away as llm, asyncio.timeout(REFUSED_S + 2):
            call = await llm.submit("moderation", {"text": "a secret"})
            assert (await call.status()).state == "queued"  # in the ledger: the reconciler publishes it
    assert "publish_failed calls=1" in caplog.text
    assert "a secret" not in caplog.text
    (tmp_path / "broker").mkdir()
    broker = RedisServer(tmp_path / "broker", redis_flavour)
    broker.start()
    try:
        async with client_of(server.url(), broker_url=broker.url()) as llm:
            broker.pause()
            async with asyncio.timeout(REFUSED_S):
                await asyncio.gather(*(llm.submit("moderation", {"text": "x"}) for _ in range(20)))
    finally:
        broker.resume()
        broker.stop()


def _open_calls(server: RedisServer) -> int:
    with redis_sync.Redis.from_url(server.url()) as redis:
        return int(redis.zcard("u:due"))
