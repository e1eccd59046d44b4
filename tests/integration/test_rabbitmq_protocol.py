"""The protocol with RabbitMQ as broker and Redis for state: what holds on one broker holds on the other."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from celery import chain, chord, group
from celery.exceptions import TaskRevokedError
from kombu import Connection, Exchange, Producer, Queue

from bot_client import CallCancelled
from tests.support.plain_parts import PlainCaller, celery_is_told, got
from tests.support.polling import aeventually
from tests.support.ports import free_ports
from understudy.errors import AllProvidersFailed
from understudy.providers import providers_from
from understudy.queues import declared
from understudy.state.record import CANCELLED
from workers.app import create_app
from workers.broker import UNKNOWN_DEPTH, Broker
from workers.ends import Publish
from workers.stand_in import Fate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bot_client import Call, Understudy
    from tests.support.rabbitmq_server import RabbitMQServer
    from tests.support.stack import Stack

LIMIT_S = 90.0
pytestmark = pytest.mark.rabbitmq


async def answered(calls: list[Call[Any]]) -> list[Any]:
    """Their outcomes; a call that failed raises."""
    return list(await asyncio.gather(*(call.result(LIMIT_S) for call in calls)))


async def submit(llm: Understudy, number: int, **options: Any) -> list[Call[Any]]:
    """Many calls at once."""
    requests = [{"text": f"message {i}"} for i in range(number)]
    return list(await asyncio.gather(*(llm.submit("moderation", each, deadline_s=80, **options) for each in requests)))


def messages(server: RabbitMQServer, queue: str = "ollama") -> int:
    """How many messages wait in a queue."""
    with Connection(server.url) as connection:
        return int(connection.default_channel.queue_declare(queue, passive=True).message_count)


async def test_a_batch_of_calls_is_published_and_every_one_answered(rabbit: Stack) -> None:
    async with rabbit.client() as llm, rabbit.look() as look:
        calls = await submit(llm, 200)
        outcomes = await answered(calls)
        ids = [call.id for call in calls]
        assert [outcome.call_id for outcome in outcomes] == ids
        assert await look.ends_told(ids) == dict.fromkeys(ids, 1)
    assert rabbit.requests() == 200


async def test_a_fallback_keeps_the_id(rabbit: Stack) -> None:
    rabbit.ollama.set_fate(Fate(refuse=True))
    async with rabbit.client() as llm:
        outcome = await llm.moderate("hello")
    assert outcome.provider == "openai"
    assert [row["call"] for row in rabbit.openai.counts()["records"]] == [outcome.call_id]


async def test_calls_survive_that_their_worker_is_killed(rabbit: Stack) -> None:
    rabbit.ollama.set_fate(Fate(latency_ms=1500))
    async with rabbit.client() as llm:
        calls = await submit(llm, 5, spend="never")
        await aeventually(lambda: rabbit.running("ollama") == 5)
        rabbit.workers["ollama"].kill()
        rabbit.workers["ollama"].start()
        outcomes = await answered(calls)
    assert {outcome.provider for outcome in outcomes} == {"ollama"}
    assert rabbit.requests() == 10


@pytest.mark.parametrize("behind", [0, 3], ids=["the last ones", "others behind them"])
async def test_calls_whose_messages_are_lost_are_found_by_the_ledger(
    rabbit: Stack, rabbitmq_server: RabbitMQServer, behind: int
) -> None:
    worker = rabbit.workers["ollama"]
    worker.kill()
    async with rabbit.client() as llm:
        calls = await submit(llm, 4, spend="never")
        await aeventually(lambda: messages(rabbitmq_server) == 4)
        with Connection(rabbitmq_server.url) as connection:
            assert connection.default_channel.queue_purge("ollama") == 4
        calls += await submit(llm, behind, spend="never")
        worker.start()
        outcomes = await answered(calls)
    assert {outcome.provider for outcome in outcomes} == {"ollama"}
    assert rabbit.requests() == len(calls)


async def test_a_worker_that_is_told_to_end_hands_its_calls_back(rabbit: Stack) -> None:
    rabbit.ollama.set_fate(Fate(silence=True))
    worker = rabbit.workers["ollama"]
    async with rabbit.client() as llm, rabbit.look() as look:
        calls = await submit(llm, 3)
        await aeventually(lambda: rabbit.running("ollama") == 3)
        worker.terminate()
        assert await worker.ended() == 0
        outcomes = await answered(calls)
        assert {outcome.provider for outcome in outcomes} == {"openai"}
        for outcome in outcomes:
            assert [attempt.what for attempt in outcome.attempts] == ["handed_back", "answered"]
            assert (await look.record(outcome.call_id)).crashes == 0


async def test_a_cancelled_call_is_stopped(rabbit: Stack) -> None:
    rabbit.ollama.set_fate(Fate(silence=True))
    async with rabbit.client() as llm:
        (call,) = await submit(llm, 1)
        await aeventually(lambda: rabbit.running("ollama") == 1)
        assert await call.cancel()
        with pytest.raises(CallCancelled):
            await call.result(LIMIT_S)
        await aeventually(lambda: rabbit.running("ollama") == 0)


async def test_the_depth_of_a_queue_is_read_without_declaring_it(
    rabbit: Stack, rabbitmq_server: RabbitMQServer
) -> None:
    app = create_app(rabbit.settings)
    broker = Broker(app)
    with Connection(rabbitmq_server.url) as connection:
        channel = connection.default_channel
        batch = next(queue for queue in declared(providers_from(rabbit.settings)) if queue.name == "ollama.batch")
        batch(channel).declare()
        for _ in range(3):
            Producer(channel).publish({}, exchange=batch.exchange, routing_key=batch.routing_key)
        await aeventually(lambda: broker.depth("ollama.batch") == 3)
        batch(channel).purge()
        assert broker.depth("ollama.batch") == 0
    assert broker.depth("no-such-queue") == UNKNOWN_DEPTH
    assert broker.depth("no-such-queue") == UNKNOWN_DEPTH  # the first question did not make one
    app.close()


def test_moves_that_cannot_be_published_raise_nothing_and_are_tried_no_further(
    rabbit: Stack, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = f"amqp://guest:guest@127.0.0.1:{free_ports(1)[0]}//"
    app = create_app(rabbit.settings.model_copy(update={"broker_url": nowhere}))
    Broker(app).publish([Publish("moderation", f"call-{number}", "openai", sent=1) for number in range(3)])
    app.close()
    said = capsys.readouterr().out + caplog.text
    assert "left to the reconciler" in said
    assert "call-1" not in said


async def test_bodies_that_are_no_message_are_dropped_and_the_worker_goes_on(
    rabbit: Stack, rabbitmq_server: RabbitMQServer
) -> None:
    secret = "marker-of-what-a-user-wrote"
    ollama = Queue("ollama", Exchange("ollama", type="direct"), routing_key="ollama")
    with Connection(rabbitmq_server.url) as connection:
        producer = Producer(connection.default_channel, exchange=ollama.exchange, routing_key="ollama")
        for content_type, body, headers in (
            ("application/json", f'[["{secret}"', {"task": "moderation", "id": "poison-1"}),
            ("application/json", f'"{secret}"', {"task": "moderation", "id": "poison-2"}),
            ("application/x-python-serialize", secret, {"task": "moderation", "id": "poison-3"}),
            ("application/json", f'[[], {{"request": "{secret}"}}, {{}}]', {"task": "no.such", "id": "poison-4"}),
            ("text/plain", secret, {}),
        ):
            producer.publish(body.encode(), content_type=content_type, content_encoding="utf-8", headers=headers)
    async with rabbit.client() as llm:
        assert (await llm.moderate("hello")).provider == "ollama"
    await aeventually(lambda: messages(rabbitmq_server) == 0)
    worker = rabbit.workers["ollama"]
    assert worker.alive
    assert secret not in worker.text()


@pytest.fixture
def bot(rabbit: Stack, rabbitmq_server: RabbitMQServer, tmp_path: Path) -> Iterator[PlainCaller]:
    """A plain caller without a worker of its own."""
    caller = PlainCaller(tmp_path, rabbitmq_server.url, rabbit.redis.url())
    yield caller
    caller.app.close()


@pytest.mark.parametrize("answering", ["ollama", "openai"])
async def test_a_plain_callers_canvas_works_and_a_fallback_in_its_middle_keeps_it(
    rabbit: Stack, bot: PlainCaller, answering: str
) -> None:
    if answering == "openai":
        rabbit.ollama.set_fate(Fate(refuse=True))
    lone = bot.call().apply_async(priority=5)
    chained = chain(bot.call(), bot.call("thread_naming")).delay()
    grouped = group(bot.call(text=f"message {i}") for i in range(3)).delay()
    joined = chord([bot.call(text=f"message {i}") for i in range(3)])(bot.call("agent_turn"))
    assert (got(lone)["call_id"], got(lone)["provider"]) == (lone.id, answering)
    assert (got(chained)["kind"], got(chained)["call_id"]) == ("thread_naming", chained.id)
    assert got(chained.parent)["provider"] == answering
    assert [outcome["call_id"] for outcome in got(grouped)] == [each.id for each in grouped]
    assert (got(joined)["kind"], got(joined)["provider"]) == ("agent_turn", answering)
    async with rabbit.look() as look:
        await celery_is_told(look, lone.id, chained.parent.id, *(each.id for each in joined.parent))


async def test_a_failure_reaches_a_plain_caller(rabbit: Stack, bot: PlainCaller) -> None:
    rabbit.ollama.set_fate(Fate(status=500))
    rabbit.openai.set_fate(Fate(status=500))
    chained = chain(bot.call(deadline_s=2.0), bot.call("thread_naming")).delay()
    with pytest.raises(AllProvidersFailed):
        got(chained)


@pytest.mark.parametrize("terminate", [True, False])
async def test_revoke_stops_a_running_call(rabbit: Stack, bot: PlainCaller, terminate: bool) -> None:
    rabbit.ollama.set_fate(Fate(silence=True))
    result = bot.call().delay()
    await aeventually(lambda: rabbit.running("ollama") == 1)
    result.revoke(terminate=terminate)
    with pytest.raises(TaskRevokedError):
        got(result)
    await aeventually(lambda: rabbit.running("ollama") == 0)
    async with rabbit.look() as look:
        await celery_is_told(look, result.id)
        assert (await look.record(result.id)).state == CANCELLED


@pytest.mark.timeout(180)
async def test_workers_outlive_a_restart_of_the_broker_and_calls_are_answered(
    rabbit: Stack, rabbitmq_server: RabbitMQServer
) -> None:
    async with rabbit.client() as llm, rabbit.look() as look:
        await llm.clear_health()
        rabbit.ollama.set_fate(Fate(latency_ms=2000, code="context_length_exceeded"))
        leaving = await submit(llm, 1)
        await aeventually(lambda: rabbit.running("ollama") == 1)
        rabbit.ollama.set_fate(Fate(latency_ms=2000))
        running = await submit(llm, 4)
        await aeventually(lambda: rabbit.running("ollama") == 5)
        rabbitmq_server.stop()
        unpublished = await submit(llm, 3, spend="never")
        assert {outcome.provider for outcome in await answered(running)} == {"ollama"}
        rabbitmq_server.start()
        assert {outcome.provider for outcome in await answered(unpublished)} == {"ollama"}
        assert {outcome.provider for outcome in await answered(leaving)} == {"openai"}
        ids = [call.id for call in (*leaving, *running, *unpublished)]
        assert await look.ends_told(ids) == dict.fromkeys(ids, 1)
        await rabbit.announced()
        assert (await llm.moderate("and again")).provider == "ollama"
