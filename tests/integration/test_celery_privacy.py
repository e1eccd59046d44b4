"""A plain Celery caller's text is in its message and its result, and nowhere else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import redis
from celery import chain, chord
from celery.exceptions import TaskRevokedError

from tests.integration.celery_support.worker import APP, WorkerProcess, plain_client
from tests.support.plain_parts import Eavesdropper
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from celery import Celery

SECRET = "marker-of-what-a-user-wrote"
LIMIT_S = 30


@pytest.fixture
def client(redis_url: str) -> Iterator[Celery]:
    client = plain_client(redis_url)
    yield client
    client.close()


def test_a_users_text_shows_nowhere_but_in_the_result(tmp_path: Path, redis_url: str, client: Celery) -> None:
    with WorkerProcess(tmp_path, redis_url, concurrency=2, level="DEBUG") as worker:
        flower = Eavesdropper(client)
        eventually(lambda: "worker-heartbeat" in flower.types())

        def send(task: str, *args: object, **options: Any) -> Any:
            return client.send_task(f"{APP}.{task}", args=args, **options)

        assert send("echo", {"text": SECRET}).get(timeout=LIMIT_S) == {"text": SECRET}
        named = client.send_task(f"{APP}.echo", kwargs={"value": SECRET})
        assert named.get(timeout=LIMIT_S) == SECRET
        failed = send("fail", SECRET)
        with pytest.raises(ValueError, match=SECRET):
            failed.get(timeout=LIMIT_S)
        limited = send("wait", 60, SECRET, soft_time_limit=0.2)
        assert limited.get(timeout=LIMIT_S) == SECRET
        echo = client.signature(f"{APP}.echo", queue="q")
        assert chain(echo.clone([SECRET]), echo).delay().get(timeout=LIMIT_S) == SECRET
        assert chord([echo.clone([SECRET]) for _ in range(2)])(echo).get(timeout=LIMIT_S) == [SECRET, SECRET]

        running = [send("wait", 60, SECRET), send("wait", 60, SECRET)]
        late = send("echo", SECRET, countdown=60)
        inspect = client.control.inspect(["w1@test"], timeout=5)
        eventually(lambda: len(inspect.active()["w1@test"]) == 2)
        shown = [inspect.active(), inspect.reserved(), inspect.scheduled(), inspect.stats(), inspect.revoked()]
        shown.append(inspect.query_task([running[0].id, late.id]))
        assert running[0].id in json.dumps(shown)
        assert SECRET not in json.dumps(shown)
        for result in running:
            result.revoke(terminate=True)
            with pytest.raises(TaskRevokedError):
                result.get(timeout=LIMIT_S)

        wanted = {"task-received", "task-started", "task-succeeded", "task-failed", "task-revoked"}
        eventually(lambda: wanted <= flower.types())
        flower.stop()
        assert SECRET not in json.dumps(flower.events)
        assert SECRET not in worker.text()
        assert "ValueError" in worker.text()
        assert "in fail" in worker.text()  # the place of the fault is there, its message is not
        with redis.Redis.from_url(redis_url) as store:
            stored = json.loads(store.get(f"celery-task-meta-{named.id}"))
        assert stored["result"] == SECRET
        assert SECRET not in json.dumps({name: value for name, value in stored.items() if name != "result"})
