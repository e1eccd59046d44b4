"""The same worker on RabbitMQ."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from celery.exceptions import TaskRevokedError

from tests.integration.celery_support.worker import APP, WorkerProcess, plain_client
from tests.support.polling import eventually

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.rabbitmq
LIMIT_S = 30


def test_tasks_run_and_a_running_one_can_be_revoked(tmp_path: Path, redis_url: str, rabbitmq_url: str) -> None:
    client = plain_client(redis_url, rabbitmq_url)
    with WorkerProcess(tmp_path, redis_url, broker_url=rabbitmq_url) as worker:
        results = [client.send_task(f"{APP}.echo", args=[number]) for number in range(20)]
        assert [result.get(timeout=LIMIT_S) for result in results] == list(range(20))
        running = client.send_task(f"{APP}.wait", args=[60])
        worker.marked("began")
        running.revoke(terminate=True)
        with pytest.raises(TaskRevokedError):
            running.get(timeout=LIMIT_S)
        worker.marked("cancelled terminated")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL])
def test_what_an_ending_worker_leaves_is_run_by_the_next_one(
    tmp_path: Path, redis_url: str, rabbitmq_url: str, number: int
) -> None:
    # The broker is shared, and the last worker is killed with the message in its hands.
    queue = f"ending-{number}"
    client = plain_client(redis_url, rabbitmq_url)
    with WorkerProcess(tmp_path, redis_url, broker_url=rabbitmq_url, queues=queue) as worker:
        client.send_task(f"{APP}.wait", args=[60], queue=queue)
        worker.marked("began")
        worker.process.signal(number)
        worker.ended()
    with WorkerProcess(tmp_path, redis_url, broker_url=rabbitmq_url, queues=queue, name="w2") as other:
        eventually(lambda: len([each for each in other.marks() if each.startswith("began")]) == 2)
