"""Flower's page while Redis is away: it says so in time, and goes on by itself."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
import redis as redis_sync

from tests.support.flower_process import ACT, API, FlowerProcess
from tests.support.polling import eventually
from tests.support.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workers.local_redis import Flavour

pytestmark = pytest.mark.timeout(240)
PLANTED = "a phrase that nobody but its writer may read"
UNDER_LOAD_S = 8.0
"""It is 2 s; a machine that does much else may take some more."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, redis_flavour: Flavour) -> Iterator[RedisServer]:
    """One that goes away."""
    server = RedisServer(tmp_path_factory.mktemp("redis"), redis_flavour)
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def flower(server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlowerProcess]:
    """On that server, without a worker."""
    environment = {"REDIS_URL": server.url(), "UNDERSTUDY_OPERATORS": "local", "OPENAI_API_KEY": "sk-made-up"}
    with FlowerProcess(tmp_path_factory.mktemp("flower"), environment) as running:
        yield running


def answers(flower: FlowerProcess) -> list[tuple[int, str]]:
    """What each route says, each in time."""
    visitor = flower.by()
    body = json.dumps({"action": "force", "provider": "ollama", "why": "x"})
    headers = {"Content_Type": "application/json", "X_XSRFToken": visitor.token()}
    told = []
    for method, path in (("GET", API), ("GET", f"{API}/call/x"), ("GET", f"{API}/cause/deadline"), ("POST", ACT)):
        began = time.monotonic()
        answer = visitor.ask(method, path, body if method == "POST" else None, **headers)
        assert time.monotonic() - began < UNDER_LOAD_S
        told.append((answer.status, answer.text))
    return told


def is_back(flower: FlowerProcess) -> bool:
    return flower.by().get(API).status == 200


def test_without_workers_the_page_shows_what_there_is(flower: FlowerProcess) -> None:
    seen = flower.by().overview()
    assert [row["name"] for row in seen["providers"]] == ["ollama", "openai"]
    assert [queue["workers"] for row in seen["providers"] for queue in row["queues"]] == [0, 0, 0, 0]
    assert [seen[name] for name in ("fallbacks", "causes", "jobs", "audit")] == [[], [], [], []]
    assert seen["money"]["budgets"] == [{"name": "day", "used_microusd": 0, "limit_microusd": 5_000_000}]
    assert flower.by().get(f"{API}/call/x").status == 404
    assert flower.by().get(f"{API}/cause/deadline").json()["total"] == 0


def test_redis_that_has_ended_is_named_and_comes_back(flower: FlowerProcess, server: RedisServer) -> None:
    server.kill()
    assert answers(flower) == [(503, '{"error":"Redis cannot be reached."}')] * 4
    assert flower.by().get("/providers").status == 200
    server.start()
    assert eventually(lambda: is_back(flower))
    assert flower.by().done("force", provider="ollama") == "ollama is forced for 30 min."


def test_redis_that_hangs_is_named_and_comes_back(flower: FlowerProcess, server: RedisServer) -> None:
    assert is_back(flower)
    server.pause()
    try:
        assert answers(flower) == [(503, '{"error":"Redis did not answer in time."}')] * 4
    finally:
        server.resume()
    assert eventually(lambda: is_back(flower))


def test_a_record_that_cannot_be_read_is_neither_shown_nor_logged(flower: FlowerProcess, server: RedisServer) -> None:
    assert eventually(lambda: is_back(flower))
    record = {"v": "1", "st": "D", "kind": "moderation", "request": PLANTED, "deadline": "1", "created": "1"}
    with redis_sync.Redis.from_url(server.url()) as redis:
        redis.hset("u:call:broken", mapping={**record, "outcome": f'{{"status": "{PLANTED}"}}'})
        redis.hset("u:call:newer", mapping={**record, "v": "99"})
    broken, newer = (flower.by().get(f"{API}/call/{call_id}") for call_id in ("broken", "newer"))
    assert (broken.status, broken.error) == (500, "Internal Server Error.")
    assert newer.status == 409
    assert "update the older side" in newer.error
    assert "GET /providers/api/call/broken failed: ValidationError" in flower.said()
    assert PLANTED not in broken.text + newer.text + flower.said()


def test_a_password_that_redis_refuses_is_named(
    tmp_path_factory: pytest.TempPathFactory, redis_flavour: Flavour, server: RedisServer
) -> None:
    other = RedisServer(tmp_path_factory.mktemp("locked"), redis_flavour, password="made-up")
    other.start()
    try:
        environment = {"REDIS_URL": f"redis://:wrong@127.0.0.1:{other.port}/0", "BROKER_URL": server.url()}
        with FlowerProcess(tmp_path_factory.mktemp("flower"), environment) as flower:
            answer = flower.by().get(API)
            assert (answer.status, answer.error) == (503, "Redis refused the user or password.")
    finally:
        other.kill()
