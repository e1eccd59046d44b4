"""`understudy doctor`: what it finds on a real Redis and at providers that are really there, or are not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from redis.asyncio import Redis

from tests.support.command_line import NOWHERE, CommandLine, announce
from tests.support.ledger import Drive
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer
from workers.stand_in import Fate, StandIn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from workers.local_redis import Flavour

PASSWORD = "hunter2-of-redis"
KEY = "sk-that-nobody-may-see"


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    async with StandIn(model="m") as stand_in:
        yield stand_in


@pytest.fixture
def cli(tmp_path: Path, redis_url: str, stand_in: StandIn) -> CommandLine:
    return CommandLine(
        tmp_path, redis_url, OLLAMA_URL=stand_in.base_url, OPENAI_BASE_URL=stand_in.base_url, OPENAI_API_KEY=KEY
    )


@pytest.fixture
def strict_server(tmp_path: Path, redis_flavour: Flavour) -> Iterator[RedisServer]:
    """With a password and an append-only file, as in production."""
    folder = tmp_path / "redis"
    folder.mkdir()
    server = RedisServer(folder, redis_flavour, appendonly=True, password=PASSWORD)
    server.start()
    yield server
    server.stop()


async def healthy(redis: Redis) -> None:
    """Workers on both queues, and a reconciler that ticks."""
    drive = Drive(redis, "u:")
    await announce(drive, "ollama", "openai")
    await drive.ledger.due("w1", ["ollama", "openai"])


def found(ran: Any) -> dict[str, tuple[bool, str, str]]:
    return {row["name"]: (row["ok"], row["detail"], row["hint"]) for row in ran.json["checks"]}


async def test_where_all_is_well_every_check_is_ok_and_the_status_is_0(
    cli: CommandLine, strict_server: RedisServer
) -> None:
    cli.env["REDIS_URL"] = strict_server.url()
    async with Redis.from_url(strict_server.url(), decode_responses=True) as redis:
        await healthy(redis)
    ran = await cli.run("doctor", "--json")
    assert [row for row in ran.json["checks"] if not row["ok"]] == []
    assert (ran.status, ran.json["ok"]) == (0, True)
    assert set(found(ran)) >= {
        "versions", "settings", "redis", "redis version", "redis role", "redis eviction", "redis persistence",
        "redis clock", "redis latency", "broker", "queue ollama", "queue openai", "reconciler", "worker versions",
        "endpoint ollama", "key openai", "model openai",
    }  # fmt: skip
    human = await cli.run("doctor")
    assert human.status == 0
    assert human.out.splitlines()[-1].endswith("checks, 0 failed")
    for text in (ran.out, human.out):
        assert PASSWORD not in text
        assert KEY not in text


async def test_it_changes_nothing_in_redis(cli: CommandLine, redis: Redis) -> None:
    await healthy(redis)
    before = {key: await redis.dump(key) for key in await redis.keys()}
    await cli.run("doctor")
    after = {key: await redis.dump(key) for key in await redis.keys()}
    # a key that runs out meanwhile is not the doctor's doing
    assert after.items() <= before.items()


async def test_a_queue_without_workers_fails_and_says_how_to_start_one(cli: CommandLine, redis: Redis) -> None:
    drive = Drive(redis, "u:")
    await announce(drive, "openai", version="0.0.9")
    await drive.open("c1")
    ran = await cli.run("doctor", "--json")
    checks = found(ran)
    assert ran.status == 1
    assert checks["queue ollama"][0] is False
    assert "no worker consumes it; 1 call waiting" in checks["queue ollama"][1]
    assert checks["queue ollama"][2] == "Start one: celery -A workers worker -Q ollama"
    assert checks["queue openai"][0] is True
    assert checks["reconciler"][:2] == (False, "it has never run")
    assert "0.0.9" in checks["worker versions"][1]


async def test_a_redis_that_may_forget_calls_fails(cli: CommandLine, redis: Redis) -> None:
    policy = await redis.config_get("maxmemory-policy")
    await redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        checks = found(await cli.run("doctor", "--json"))
    finally:
        await redis.config_set("maxmemory-policy", str(policy["maxmemory-policy"]))
    assert checks["redis eviction"][0] is False
    assert "noeviction" in checks["redis eviction"][2]
    assert checks["redis persistence"][0] is False
    assert "appendonly yes" in checks["redis persistence"][2]


async def test_without_redis_what_cannot_be_looked_at_has_failed_too(cli: CommandLine) -> None:
    cli.env["REDIS_URL"] = f"redis://:{PASSWORD}@127.0.0.1:{free_port()}/0"
    ran = await cli.run("doctor", "--json")
    checks = found(ran)
    assert ran.status == 1
    assert checks["redis"][0] is False
    assert "cannot be reached" in checks["redis"][1]
    assert checks["redis persistence"][0] is False
    assert checks["endpoint ollama"][0] is True
    assert PASSWORD not in ran.out + ran.err


async def test_a_wrong_password_is_told_apart_from_a_redis_that_is_away(
    cli: CommandLine, strict_server: RedisServer
) -> None:
    cli.env["REDIS_URL"] = strict_server.url().replace(PASSWORD, "another")
    checks = found(await cli.run("doctor", "--json"))
    assert "refused the user or password" in checks["redis"][1]


async def test_a_wrong_setting_is_the_one_failed_check(cli: CommandLine) -> None:
    cli.env |= {"OLLAMA_TIMEOUT": "soon", "OPENAI_API_KEY": KEY + " \t with a space"}
    ran = await cli.run("doctor", "--json")
    assert ran.status == 1
    name, ok, detail = (ran.json["checks"][-1][field] for field in ("name", "ok", "detail"))
    assert (name, ok) == ("settings", False)
    assert "OLLAMA_TIMEOUT is 'soon'" in detail
    assert KEY not in ran.out
    ran = await cli.run("status")
    assert ran.status == 2
    assert "OLLAMA_TIMEOUT is 'soon'" in ran.err
    assert KEY not in ran.err


async def test_a_broker_of_its_own_is_looked_at(cli: CommandLine) -> None:
    for url in (f"redis://127.0.0.1:{free_port()}/1", f"amqp://guest:{PASSWORD}@127.0.0.1:{free_port()}//"):
        cli.env["BROKER_URL"] = url
        ran = await cli.run("doctor", "--json")
        assert found(ran)["broker"][0] is False
        assert "cannot be reached" in found(ran)["broker"][1]
        assert PASSWORD not in ran.out


async def test_the_broker_on_another_database_answers(cli: CommandLine, redis_url: str) -> None:
    cli.env["BROKER_URL"] = redis_url.rsplit("/", 1)[0] + "/1"
    assert found(await cli.run("doctor", "--json"))["broker"][0] is True


async def test_a_provider_that_is_away_or_lacks_the_model_fails(cli: CommandLine, stand_in: StandIn) -> None:
    cli.env["OPENAI_BASE_URL"] = NOWHERE
    await stand_in.set_fate(Fate(model_missing=True))
    checks = found(await cli.run("doctor", "--json"))
    assert checks["endpoint openai"][:2] == (False, f"{NOWHERE}: connection refused")
    assert checks["endpoint ollama"][0] is True
    assert checks["model ollama"][:2] == (False, "m is missing")
    assert "ollama pull m" in checks["model ollama"][2]


async def test_a_missing_key_is_a_note_and_no_failure(cli: CommandLine) -> None:
    cli.env["OPENAI_API_KEY"] = ""
    ok, detail, hint = found(await cli.run("doctor", "--json"))["settings"]
    assert ok
    assert "openai" not in detail
    assert hint == "The paid provider openai is absent: OPENAI_API_KEY is not set."


async def serve(answer: bytes) -> tuple[asyncio.Server, str, list[bytes]]:
    """A server that says one thing, and remembers what it was asked."""
    asked: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", asked


async def test_a_refused_key_fails_without_showing_what_the_provider_wrote(cli: CommandLine) -> None:
    body = f'{{"error":"bad key {KEY}"}}'.encode()
    head = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: %d\r\n\r\n" % len(body)
    server, url, asked = await serve(head + body)
    async with server:
        cli.env["OPENAI_BASE_URL"] = url
        ran = await cli.run("doctor", "--json")
    assert found(ran)["key openai"][:2] == (False, "set; refused (401)")
    assert asked[0].startswith(b"GET /v1/models ")
    assert f"Authorization: Bearer {KEY}".encode() in asked[0]
    assert KEY not in ran.out


async def test_the_key_does_not_follow_a_redirect(cli: CommandLine) -> None:
    other, elsewhere, asked = await serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    location = elsewhere.encode()
    server, url, _ = await serve(b"HTTP/1.1 307 Moved\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n")
    async with server, other:
        cli.env["OPENAI_BASE_URL"] = url
        checks = found(await cli.run("doctor", "--json"))
    assert asked == []
    assert "not known (answer 307)" in checks["model openai"][1]


async def test_a_server_that_never_ends_its_answer_is_not_waited_for(cli: CommandLine) -> None:
    never = asyncio.Event()

    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not never.is_set():
            writer.write(b" ")
            await asyncio.sleep(0.5)

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    try:
        cli.env["OPENAI_BASE_URL"] = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        checks = found(await cli.run("doctor", "--json"))
    finally:
        never.set()
        server.close()
    assert "no answer in time" in checks["endpoint openai"][1]
