"""The queues and the message that travels on them, over kombu's transport in memory."""

from __future__ import annotations

import json
from typing import Any

import pytest
from celery import Celery, chord, group
from kombu.transport.memory import Channel

from tests.support.health import THREE
from understudy.providers import queue_names
from understudy.queues import canvas_of, declared, publish

SECRET = "what a user wrote"
BOTH = ["ollama", "ollama.batch", "vllm", "vllm.batch", "openai", "openai.batch"]


@pytest.fixture
def app() -> Celery:
    Channel.queues.clear()  # of the whole process
    app = Celery("test", broker="memory://", backend="cache+memory://", set_as_current=False)
    app.conf.update(task_queues=declared(THREE), task_default_queue="ollama")
    return app


def taken(app: Celery, queue: str) -> Any:
    """The next message of a queue; None where it is empty."""
    with app.connection_for_read() as connection, connection.SimpleQueue(queue) as messages:
        try:
            message = messages.get(block=False)
        except messages.Empty:
            return None
        message.ack()
        return message


def request_of(message: Any) -> dict[str, Any]:
    """What the worker's request of a message holds, as Celery makes it: headers, embedded options, how it came."""
    _, _, embed = message.payload
    came = {**message.delivery_info, "priority": message.properties.get("priority")}
    return {**message.headers, **embed, "delivery_info": came, "reply_to": message.properties["reply_to"]}


def test_every_provider_has_a_live_and_a_batch_queue() -> None:
    assert queue_names(THREE) == BOTH


def test_a_queue_is_durable_with_a_direct_exchange_of_its_own_name() -> None:
    for name, queue in zip(BOTH, declared(THREE), strict=True):
        assert (queue.name, queue.routing_key, queue.exchange.name) == (name, name, name)
        assert (queue.exchange.type, queue.durable, queue.exclusive, queue.auto_delete) == (
            "direct",
            True,
            False,
            False,
        )


@pytest.mark.parametrize("queue", BOTH)
def test_a_message_carries_the_calls_id_and_its_time_and_nothing_else(app: Celery, queue: str) -> None:
    publish(app, kind="moderation", call_id="c1", queue=queue, sent=1_700_000_000_001)
    message = taken(app, queue)
    args, kwargs, _ = message.payload
    assert (args, kwargs) == ([], {"dispatch": {"v": 1, "sent": 1_700_000_000_001}})
    assert (message.headers["task"], message.headers["id"]) == ("moderation", "c1")
    assert message.headers["expires"] is None
    assert message.headers["ignore_result"] is True
    assert (message.headers["argsrepr"], message.headers["kwargsrepr"]) == ("()", "{}")
    assert all(taken(app, other) is None for other in BOTH)


def test_a_task_that_shares_a_call_by_its_key_keeps_its_id_and_names_the_call(app: Celery) -> None:
    canvas = canvas_of({"chain": [{"task": "then"}]})
    publish(app, kind="moderation", call_id="c1", task_id="t1", queue="ollama", sent=7, canvas=canvas)
    message = taken(app, "ollama")
    _, kwargs, embed = message.payload
    assert (message.headers["id"], kwargs) == ("t1", {"dispatch": {"v": 1, "sent": 7, "id": "c1"}})
    assert embed["chain"] == [{"task": "then"}]
    assert message.headers["ignore_result"] is False


def test_many_messages_go_through_one_producer(app: Celery) -> None:
    with app.producer_pool.acquire(block=True) as producer:
        for i in range(3):
            publish(app, kind="moderation", call_id=f"c{i}", queue="openai", sent=i, producer=producer)
    assert [taken(app, "openai").headers["id"] for _ in range(3)] == ["c0", "c1", "c2"]


def plain(app: Celery, canvas: Any) -> dict[str, Any]:
    """What the worker sees of a plain caller's first message."""
    canvas.apply_async(queue="ollama")
    return request_of(taken(app, "ollama"))


def again(app: Celery, first: dict[str, Any]) -> dict[str, Any]:
    """What a worker of another queue sees after the message was published anew."""
    canvas = canvas_of(first)
    assert SECRET not in canvas
    publish(app, kind="moderation", call_id=first["id"], queue="openai", sent=5, canvas=canvas)
    return request_of(taken(app, "openai"))


KEPT = [
    "id",
    "callbacks",
    "errbacks",
    "chain",
    "chord",
    "group",
    "group_index",
    "root_id",
    "parent_id",
    "ignore_result",
]


def same(first: dict[str, Any], second: dict[str, Any]) -> None:
    def plain_types(request: dict[str, Any]) -> Any:
        return json.loads(json.dumps({name: request.get(name) or None for name in KEPT}))

    assert plain_types(second) == plain_types(first)


def ask(app: Celery, **options: Any) -> Any:
    return app.signature("moderation", kwargs={"request": {"text": SECRET}}, **options)


def then(app: Celery, name: str = "then") -> Any:
    return app.signature(name, args=(1,))


def test_links_are_carried_on(app: Celery) -> None:
    signature = ask(app)
    signature.link(then(app))
    signature.link_error(then(app, "alas"))
    first = plain(app, signature)
    assert first["callbacks"]
    assert first["errbacks"]
    same(first, again(app, first))


def test_the_rest_of_a_chain_is_carried_on(app: Celery) -> None:
    first = plain(app, ask(app) | then(app) | then(app, "last"))
    assert [step["task"] for step in first["chain"]] == ["last", "then"]
    same(first, again(app, first))


def test_a_place_in_a_group_is_carried_on(app: Celery) -> None:
    first = plain(app, group(ask(app), ask(app), app=app))
    assert first["group"]
    same(first, again(app, first))


def test_a_part_of_a_chord_is_carried_on(app: Celery) -> None:
    first = plain(app, chord([ask(app), ask(app)], then(app), app=app))
    assert first["chord"]["task"] == "then"
    same(first, again(app, first))


@pytest.mark.parametrize("ignored", [True, False])
def test_whether_the_result_is_wanted_is_carried_on(app: Celery, ignored: bool) -> None:
    ask(app).apply_async(queue="ollama", ignore_result=ignored)
    first = request_of(taken(app, "ollama"))
    second = again(app, first)
    assert (first["ignore_result"], second["ignore_result"]) == (ignored, ignored)
    assert second["reply_to"] == first["reply_to"]


def test_a_priority_is_carried_on(app: Celery) -> None:
    ask(app).apply_async(queue="ollama", priority=6)
    first = request_of(taken(app, "ollama"))
    assert json.loads(canvas_of(first))["priority"] == 6


def test_a_request_with_nothing_in_it_keeps_that_its_result_is_wanted() -> None:
    assert json.loads(canvas_of({})) == {"ignore_result": False}
    assert json.loads(canvas_of({"callbacks": [], "chain": None, "delivery_info": None})) == {"ignore_result": False}
