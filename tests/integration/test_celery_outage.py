"""Redis goes away, while tasks run and while nothing does; the workers stay, and consume again."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from celery.result import AsyncResult

from tests.integration.celery_support.worker import APP, WorkerProcess, plain_client
from tests.support.polling import eventually
from tests.support.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from workers.local_redis import Flavour

LIMIT_S = 60


@pytest.fixture
def server(tmp_path: Path, redis_flavour: Flavour) -> Iterator[RedisServer]:
    """A server of the test's own, which keeps its data over a restart."""
    server = RedisServer(tmp_path / "redis", redis_flavour, appendonly=True)
    server.start()
    yield server
    server.stop()


def take_away(server: RedisServer, how: str) -> None:
    if how == "killed":
        server.kill()
    else:
        server.pause()


def give_back(server: RedisServer, how: str) -> None:
    if how == "killed":
        server.start()
    else:
        server.resume()


def noticed(worker: WorkerProcess) -> bool:
    return "Connection to broker lost" in worker.text()


@pytest.mark.parametrize("how", ["killed", "paused"])
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_a_worker_outlives_an_outage_of_redis(tmp_path: Path, server: RedisServer, how: str, busy: bool) -> None:
    client = plain_client(server.url())
    with WorkerProcess(tmp_path, server.url(), level="INFO") as worker:
        # Only ids: the client's results would try to reach the server that is gone.
        running = [client.send_task(f"{APP}.wait", args=[2]).id for _ in range(3)] if busy else []
        if busy:
            eventually(lambda: len([each for each in worker.marks() if each.startswith("began")]) == 3)
        take_away(server, how)
        eventually(lambda: noticed(worker), limit_s=LIMIT_S)
        assert worker.process.alive
        give_back(server, how)
        client = plain_client(server.url())
        eventually(lambda: worker.marks().count("consuming q 4") >= 2, limit_s=LIMIT_S)
        for id_ in running:
            assert AsyncResult(id_, app=client).get(timeout=LIMIT_S) == "slept"
        results = [client.send_task(f"{APP}.echo", args=[number]) for number in range(8)]
        assert [result.get(timeout=LIMIT_S) for result in results] == list(range(8))
        assert worker.process.alive


@pytest.mark.parametrize("how", ["killed", "paused"])
def test_sigterm_ends_a_worker_during_an_outage(tmp_path: Path, server: RedisServer, how: str) -> None:
    client = plain_client(server.url())
    with WorkerProcess(tmp_path, server.url(), level="INFO") as worker:
        client.send_task(f"{APP}.wait", args=[60])
        worker.marked("began")
        take_away(server, how)
        if how == "killed":
            eventually(lambda: noticed(worker), limit_s=LIMIT_S)
        worker.process.signal(signal.SIGTERM)
        worker.ended(limit_s=LIMIT_S)
        give_back(server, how)


def test_a_worker_starts_while_redis_is_away(tmp_path: Path, server: RedisServer) -> None:
    server.kill()
    worker = WorkerProcess(tmp_path, server.url(), level="INFO")
    try:
        eventually(lambda: "Cannot connect" in worker.text())
        server.start()
        client = plain_client(server.url())
        assert client.send_task(f"{APP}.echo", args=[1]).get(timeout=LIMIT_S) == 1
    finally:
        worker.process.kill()
