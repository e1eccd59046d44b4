"""The client's messages on either broker."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from kombu import Connection

from bot_client.publisher import Message, Publisher, connection_from
from tests.support.clients import client_of, settings_for
from tests.support.polling import aeventually, eventually
from understudy.providers import providers_from

if TYPE_CHECKING:
    from redis.asyncio import Redis

# On a node that other tests' workers consume from, messages wait only on a queue that nobody else knows.
ALONE: dict[str, Any] = {
    "understudy_providers": [{"name": "alone", "base_url": "http://127.0.0.1:1/v1", "model": "m", "paid": False}],
    "understudy_order": "alone",
}


@pytest.mark.rabbitmq
async def test_on_rabbitmq_a_submitted_call_is_published_to_its_providers_queue(
    redis_url: str, rabbitmq_url: str
) -> None:
    async with client_of(redis_url, broker_url=rabbitmq_url, **ALONE) as llm:
        calls = [await llm.submit("moderation", {"text": "my password is hunter2"}) for _ in range(30)]
        with Connection(rabbitmq_url) as connection:
            queue = connection.SimpleQueue("alone", queue_opts={"durable": True}, exchange_opts={"type": "direct"})
            messages: list[Any] = []
            while len(messages) < len(calls):
                messages.append(queue.get(timeout=20))
                messages[-1].ack()
            queue.close()
    assert {message.headers["id"] for message in messages} == {call.id for call in calls}
    assert {message.headers["task"] for message in messages} == {"moderation"}
    assert "hunter2" not in json.dumps([[m.payload, m.headers, m.properties] for m in messages])


@pytest.mark.rabbitmq
def test_on_rabbitmq_a_closed_connection_is_made_anew_for_the_next_message(redis_url: str, rabbitmq_url: str) -> None:
    settings = settings_for(redis_url, broker_url=rabbitmq_url, **ALONE)
    publisher = Publisher(settings, providers_from(settings))
    publisher.start()
    publisher.wait_ready(20)
    publisher._connection.transport.close_connection(publisher._connection.connection)  # type: ignore[union-attr]
    publisher.put(Message("moderation", "after", "alone", 1))
    with Connection(rabbitmq_url) as connection:
        queue = connection.SimpleQueue("alone", queue_opts={"durable": True}, exchange_opts={"type": "direct"})
        message = queue.get(timeout=20)
        message.ack()
        queue.close()
    publisher.close()
    assert message.headers["id"] == "after"


async def test_on_redis_a_restart_of_the_server_costs_no_message(redis_url: str, redis: Redis) -> None:
    async with client_of(redis_url) as llm:
        await llm.submit("moderation", {"text": "x"})
        await aeventually(lambda: _depth(redis, 1))
        await redis.client_kill_filter(_type="normal", skipme=True)
        await llm.submit("moderation", {"text": "x"})
        await aeventually(lambda: _depth(redis, 2))


def test_what_waits_when_the_client_closes_is_published_first(redis_url: str) -> None:
    settings = settings_for(redis_url)
    publisher = Publisher(settings, providers_from(settings))
    publisher.start()
    for i in range(500):
        publisher.put(Message("moderation", f"call-{i}", "ollama.batch", i))
    publisher.close()
    with connection_from(settings) as connection:
        assert eventually(lambda: connection.default_channel._size("ollama.batch") == 500)


def test_the_environments_celery_variables_have_no_say(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CELERY_BROKER_URL", "CELERY_BROKER_WRITE_URL", "CELERY_RESULT_BACKEND"):
        monkeypatch.setenv(name, "redis://127.0.0.1:1/0")
    test_what_waits_when_the_client_closes_is_published_first(redis_url)


async def _depth(redis: Redis, count: int) -> bool:
    return bool(await redis.llen("ollama") == count)
