"""The pool on real worker processes: limits, terminate, and every way to shut down."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from celery.exceptions import SoftTimeLimitExceeded, TaskRevokedError, TimeLimitExceeded
from celery.result import AsyncResult

from tests.integration.celery_support.worker import APP, WorkerProcess, plain_client
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from celery import Celery

LIMIT_S = 30


@pytest.fixture
def client(redis_url: str) -> Iterator[Celery]:
    client = plain_client(redis_url)
    yield client
    client.close()


def send(client: Celery, task: str, *args: object, **options: object) -> AsyncResult:
    return client.send_task(f"{APP}.{task}", args=args, **options)


def test_the_plain_command_runs_this_pool(tmp_path: Path, redis_url: str, client: Celery) -> None:
    with WorkerProcess(tmp_path, redis_url, concurrency=3) as worker:
        stats = client.control.inspect(timeout=5).stats()["w1@test"]["pool"]
        assert stats["implementation"] == "workers.pool:TaskPool"
        assert stats["max-concurrency"] == 3
        assert send(client, "echo", 7).get(timeout=LIMIT_S) == 7
        assert worker.marks()[:2] == ["start True", "consuming q 3"]


def test_a_soft_limit_cancels_the_coroutine_and_fails_the_task(tmp_path: Path, redis_url: str, client: Celery) -> None:
    with WorkerProcess(tmp_path, redis_url) as worker:
        with pytest.raises(SoftTimeLimitExceeded):
            send(client, "wait", 60, soft_time_limit=0.3).get(timeout=LIMIT_S)
        assert "cancelled soft_limit" in worker.marks()
        assert send(client, "wait", 60, "partial", soft_time_limit=0.3).get(timeout=LIMIT_S) == "partial"


def test_a_hard_limit_cancels_the_coroutine_and_fails_the_task(tmp_path: Path, redis_url: str, client: Celery) -> None:
    with WorkerProcess(tmp_path, redis_url) as worker:
        with pytest.raises(TimeLimitExceeded):
            send(client, "wait", 60, time_limit=0.3).get(timeout=LIMIT_S)
        assert "cancelled hard_limit" in worker.marks()


@pytest.mark.parametrize("task", ["deaf", "block"])
def test_a_hard_limit_fails_also_a_task_that_nobody_can_cancel(
    tmp_path: Path, redis_url: str, client: Celery, task: str
) -> None:
    with WorkerProcess(tmp_path, redis_url), pytest.raises(TimeLimitExceeded):
        send(client, task, 60, time_limit=0.3).get(timeout=LIMIT_S)


def test_revoke_with_terminate_cancels_a_running_task(tmp_path: Path, redis_url: str, client: Celery) -> None:
    with WorkerProcess(tmp_path, redis_url) as worker:
        result = send(client, "wait", 60, "too late")
        worker.marked("began")
        result.revoke(terminate=True)
        with pytest.raises(TaskRevokedError):
            result.get(timeout=LIMIT_S)
        worker.marked("cancelled terminated")
        assert worker.marks().index(f"revoked {result.id}") < worker.marks().index("cancelled terminated")
        assert send(client, "echo", 1).get(timeout=LIMIT_S) == 1
        assert AsyncResult(result.id, app=client).state == "REVOKED"


def test_revoke_refuses_a_task_that_has_not_begun(tmp_path: Path, redis_url: str, client: Celery) -> None:
    with WorkerProcess(tmp_path, redis_url, concurrency=1) as worker:
        result = client.send_task(f"{APP}.echo", args=["unseen"], task_id="revoked-before")
        assert result.get(timeout=LIMIT_S) == "unseen"
        client.control.revoke("not-yet-sent")
        worker.marked("revoked not-yet-sent")
        late = client.send_task(f"{APP}.echo", args=[1], task_id="not-yet-sent")
        with pytest.raises(TaskRevokedError):
            late.get(timeout=LIMIT_S)


def test_a_revoked_id_of_a_bots_call_is_left_to_the_ledger(tmp_path: Path, redis_url: str, client: Celery) -> None:
    with WorkerProcess(tmp_path, redis_url) as worker:
        eventually(lambda: client.control.ping(timeout=1))  # "ready" is said before broadcasts are listened to
        client.control.revoke("opened-anew")
        worker.marked("revoked opened-anew")
        client.send_task(f"{APP}.echo", kwargs={"dispatch": {"v": 1, "sent": 1}}, task_id="opened-anew")
        eventually(lambda: AsyncResult("opened-anew", app=client).state == "SUCCESS")


def test_sigterm_lets_running_tasks_end_within_the_grace(tmp_path: Path, redis_url: str, client: Celery) -> None:
    with WorkerProcess(tmp_path, redis_url, UNDERSTUDY_SHUTDOWN_GRACE_S="20") as worker:
        running = send(client, "wait", 2)
        worker.marked("began")
        worker.process.signal(signal.SIGTERM)
        assert running.get(timeout=LIMIT_S) == "slept"
        assert worker.ended() == 0
        marks = worker.marks()
        assert marks[-1] == "stop"
        assert {"stopping", "consumer stopped"} <= set(marks)
        assert "cancelled shutdown" not in worker.marks()


def test_sigterm_takes_no_new_work(tmp_path: Path, redis_url: str, client: Celery) -> None:
    with WorkerProcess(tmp_path, redis_url, UNDERSTUDY_SHUTDOWN_GRACE_S="3") as worker:
        running = send(client, "wait", 2)
        worker.marked("began")
        worker.process.signal(signal.SIGTERM)
        worker.marked("consumer stopped")
        late = send(client, "echo", 1)
        assert running.get(timeout=LIMIT_S) == "slept"
        assert worker.ended() == 0
        assert late.state == "PENDING"
        with WorkerProcess(tmp_path, redis_url, name="w2"):
            assert late.get(timeout=LIMIT_S) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_at_a_shutdown_a_call_can_be_handed_back(tmp_path: Path, redis_url: str, client: Celery, number: int) -> None:
    with WorkerProcess(tmp_path, redis_url) as worker:
        running = send(client, "wait", 60, "handed back")
        worker.marked("began")
        worker.process.signal(number)
        assert worker.ended() == 0
        assert "cancelled shutdown" in worker.marks()
        assert running.get(timeout=LIMIT_S) == "handed back"
        with WorkerProcess(tmp_path, redis_url, name="w2") as other:
            assert send(client, "echo", 1).get(timeout=LIMIT_S) == 1
            assert [each for each in other.marks() if each.startswith("began")] == ["began 60"]


@pytest.mark.parametrize(
    ("number", "task", "conf"),
    [
        (signal.SIGTERM, "wait", ""),
        (signal.SIGTERM, "block", ""),
        (signal.SIGTERM, "deaf", ""),
        (signal.SIGQUIT, "wait", ""),
        (signal.SIGQUIT, "wait", "worker_soft_shutdown_timeout=1"),
    ],
)
def test_what_a_shutdown_aborts_is_run_by_the_next_worker(
    tmp_path: Path, redis_url: str, client: Celery, number: int, task: str, conf: str
) -> None:
    with WorkerProcess(tmp_path, redis_url, conf=conf) as worker:
        send(client, task, 60)
        worker.marked("began")
        worker.process.signal(number)
        worker.ended()
    with WorkerProcess(tmp_path, redis_url, name="w2") as other:
        eventually(lambda: len([each for each in other.marks() if each.startswith("began")]) == 2)
