"""Whatever lies in a queue, the worker lives, goes on consuming and logs none of it."""

from __future__ import annotations

import base64
import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import redis
from celery.exceptions import InvalidTaskError, NotRegistered
from celery.result import AsyncResult
from kombu import Connection

from tests.integration.celery_support.worker import APP, WorkerProcess, plain_client
from tests.support.polling import eventually

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "marker-of-what-a-user-wrote"
LIMIT_S = 30


def envelope(body: object, task: Any = f"{APP}.echo", **changes: Any) -> dict[str, Any]:
    """A message as kombu puts it into Redis, with `changes` to its headers."""
    return {
        "body": base64.b64encode(body if isinstance(body, bytes) else json.dumps(body).encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": task, "id": "poison", "argsrepr": f"('{SECRET}',)"} | changes,
        "properties": {
            "body_encoding": "base64",
            "delivery_tag": "tag-1",
            "delivery_info": {"exchange": "", "routing_key": "q"},
            "correlation_id": "poison",
        },
    }


GOOD: list[Any] = [[SECRET], {}, {}]

WITH_AN_ID = {
    "body is not base64": envelope(GOOD) | {"body": f"{SECRET}!"},
    "body is a number": envelope(GOOD) | {"body": 7},
    "unknown body encoding": envelope(GOOD) | {"properties": envelope(GOOD)["properties"] | {"body_encoding": "rot13"}},
    "body is not JSON": envelope(f'[["{SECRET}"'.encode()),
    "body is not UTF-8": envelope(b"\xff\xfe" + SECRET.encode()),
    "wrong content type": envelope(GOOD) | {"content-type": "application/x-python-serialize"},
    "unheard-of content type": envelope(GOOD) | {"content-type": SECRET},
    "compressed, it says": envelope(GOOD, compression="application/x-gzip"),
    "body is a number in JSON": envelope(7),
    "body is an empty list": envelope([]),
    "body is an object": envelope({"secret": SECRET, "args": 7}),
    "args are a text": envelope([SECRET, {}, {}]),
    "kwargs are a list": envelope([[], [SECRET], {}]),
    "options are a text": envelope([[], {}, SECRET]),
    "eta is no time": envelope(GOOD, eta=SECRET),
    "eta is a list": envelope(GOOD, eta=[SECRET]),
    "expires is no time": envelope(GOOD, expires=SECRET),
    "time limit is a text": envelope(GOOD, timelimit=SECRET),
    "retries is a text": envelope(GOOD, retries=SECRET),
    "task is a list": envelope(GOOD, task=[SECRET]),
    "stamps are a text": envelope(GOOD, stamped_headers=SECRET, stamps=SECRET),
    "chord is a text": envelope([[SECRET], {}, {"chord": SECRET}]),
}
WITHOUT_AN_ID: dict[str, object] = {
    "not JSON": f"{SECRET}",
    "bytes": b"\xff\xfe" + SECRET.encode(),
    "a list": [SECRET],
    "a number": 7,
    "nothing": {},
    "no properties": {"body": SECRET, "headers": {}},
    "headers are a list": envelope(GOOD) | {"headers": [SECRET]},
    "no delivery info": envelope(GOOD) | {"properties": {"delivery_tag": "t", "body_encoding": "base64"}},
    "no id": envelope(GOOD, id=None),
    "id is an object": envelope(GOOD, id={SECRET: 1}),
    "no headers": envelope(GOOD) | {"headers": None},
    "deep": "[" * 100_000,
}


def put(url: str, entry: object) -> None:
    with redis.Redis.from_url(url) as client:
        client.lpush("q", entry if isinstance(entry, str | bytes) else json.dumps(entry))


def test_poison_in_redis_is_dropped_and_fails_its_own_id(tmp_path: Path, redis_url: str) -> None:
    client = plain_client(redis_url)
    with WorkerProcess(tmp_path, redis_url) as worker:
        for number, (what, entry) in enumerate(WITH_AN_ID.items()):
            entry["headers"]["id"] = f"poison-{number}"
            entry["properties"]["delivery_tag"] = f"tag-{number}"
            put(redis_url, entry)
            if what == "chord is a text":
                continue  # Celery finds out when the task has ended
            with pytest.raises(InvalidTaskError) as caught:
                AsyncResult(f"poison-{number}", app=client).get(timeout=LIMIT_S)
            assert SECRET not in str(caught.value), what
        for nothing in WITHOUT_AN_ID.values():
            put(redis_url, nothing)
        assert client.send_task(f"{APP}.echo", args=[1]).get(timeout=LIMIT_S) == 1
        assert_clean(worker, redis_url)


def test_an_unknown_task_fails_as_not_registered(tmp_path: Path, redis_url: str) -> None:
    client = plain_client(redis_url)
    with WorkerProcess(tmp_path, redis_url) as worker:
        with pytest.raises(NotRegistered):
            client.send_task("no.such.task", args=[SECRET], kwargs={"text": SECRET}).get(timeout=LIMIT_S)
        assert client.send_task(f"{APP}.echo", args=[1]).get(timeout=LIMIT_S) == 1
        assert_clean(worker, redis_url)


def test_broadcasts_that_are_no_messages_are_dropped(tmp_path: Path, redis_url: str) -> None:
    client = plain_client(redis_url)
    with WorkerProcess(tmp_path, redis_url) as worker, redis.Redis.from_url(redis_url) as raw:
        for text in (SECRET, "7", "{}", json.dumps(envelope(GOOD) | {"body": "!"}), json.dumps(envelope(SECRET))):
            # the worker subscribes anew after some of them
            assert eventually(partial(raw.publish, "/0.celery.pidbox", text), limit_s=LIMIT_S) > 0
        assert client.send_task(f"{APP}.echo", args=[1]).get(timeout=LIMIT_S) == 1
        assert client.control.ping(["w1@test"], timeout=5)
        assert_clean(worker, redis_url)


@pytest.mark.rabbitmq
def test_poison_in_rabbitmq_is_dropped(tmp_path: Path, redis_url: str, rabbitmq_url: str) -> None:
    client = plain_client(redis_url, rabbitmq_url)
    with WorkerProcess(tmp_path, redis_url, broker_url=rabbitmq_url) as worker:
        with Connection(rabbitmq_url) as connection:
            channel = connection.channel()
            for body, properties in (
                (SECRET.encode(), {}),
                (b"\xff\xfe" + SECRET.encode(), {"content_type": "application/json", "content_encoding": "utf-8"}),
                (
                    b"[",
                    {"content_type": "application/json", "application_headers": {"task": f"{APP}.echo", "id": "p1"}},
                ),
                (
                    b"7",
                    {"content_type": "application/json", "application_headers": {"task": f"{APP}.echo", "id": "p2"}},
                ),
                (b"x", {"content_type": "text/plain", "application_headers": {"task": f"{APP}.echo", "id": "p3"}}),
                (b"[]", {"content_type": "application/json", "application_headers": {"task": "no.such", "id": "p4"}}),
            ):
                message = channel.prepare_message(
                    body,
                    content_type=properties.get("content_type"),
                    content_encoding=properties.get("content_encoding"),
                    headers=properties.get("application_headers"),
                )
                channel.basic_publish(message, exchange="", routing_key="q")
        for id_ in ("p1", "p2", "p3"):
            with pytest.raises(InvalidTaskError):
                AsyncResult(id_, app=client).get(timeout=LIMIT_S)
        assert client.send_task(f"{APP}.echo", args=[1]).get(timeout=LIMIT_S) == 1
        assert SECRET not in worker.text()


def assert_clean(worker: WorkerProcess, url: str) -> None:
    """The worker lives, nothing waits to be taken or redelivered, and its log holds none of the poison."""
    assert worker.process.alive
    assert SECRET not in worker.text()
    with redis.Redis.from_url(url) as client:
        eventually(lambda: client.llen("q") == 0 and client.hlen("unacked") == 0)
