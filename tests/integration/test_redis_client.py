"""One URL, a working client: a server, a socket, sentinels, and what Celery gets for each."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from kombu import Connection
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from tests.support.polling import aeventually, eventually
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer
from understudy.redis_client import celery_url, redis_from
from understudy.settings import load_settings
from workers.leash import LeashedProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from workers.local_redis import Flavour


async def test_a_plain_url_gives_a_client_that_speaks_strings(redis_url: str) -> None:
    client = redis_from(load_settings(env_file=None, redis_url=redis_url))
    try:
        await client.set("key", "wörd")
        assert await client.get("key") == "wörd"
    finally:
        await client.aclose()


async def test_a_password_in_the_url_is_used(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, password="p@ss/word")
    server.start()
    try:
        port = server.url().rpartition(":")[2].partition("/")[0]
        client = redis_from(load_settings(env_file=None, redis_url=f"redis://:p%40ss%2Fword@127.0.0.1:{port}/0"))
        try:
            assert await client.ping()
        finally:
            await client.aclose()
    finally:
        server.stop()


async def test_more_commands_than_connections_wait_their_turn(redis_url: str) -> None:
    client = redis_from(load_settings(env_file=None, redis_url=redis_url), max_connections=3)
    try:
        assert len(await asyncio.gather(*(client.incr("n") for _ in range(200)))) == 200
        assert await client.get("n") == "200"
    finally:
        await client.aclose()


async def test_after_a_restart_of_the_server_the_next_command_works(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.start()
    client = redis_from(load_settings(env_file=None, redis_url=server.url()))
    try:
        await client.ping()
        server.restart()
        assert await client.ping()
    finally:
        await client.aclose()
        server.stop()


async def test_a_server_that_does_not_answer_is_given_up_and_its_command_not_repeated(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.start()
    client = redis_from(load_settings(env_file=None, redis_url=server.url()), reply_s=0.3)
    try:
        await client.set("n", 0)
        server.pause()
        with pytest.raises(RedisTimeoutError):
            await client.incr("n")
        server.resume()
        assert await client.incr("n") == 2
    finally:
        await client.aclose()
        server.stop()


async def test_a_server_that_is_not_there_is_a_connection_error() -> None:
    client = redis_from(load_settings(env_file=None, redis_url="redis://127.0.0.1:1/0"))
    with pytest.raises(RedisConnectionError):
        await client.ping()
    await client.aclose()


@pytest.fixture
def sentinel_url(tmp_path: Path, redis_flavour: Flavour) -> Iterator[str]:
    """The address of a sentinel that watches a server with a password under the name `main`."""
    server = RedisServer(tmp_path, redis_flavour, password="pw")
    server.start()
    port = free_port()
    config = tmp_path / "sentinel.conf"
    config.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\nrequirepass watch\n"
        f"sentinel monitor main 127.0.0.1 {server.port} 1\nsentinel auth-pass main pw\n"
    )
    sentinel = LeashedProcess([str(server.binary.path), str(config), "--sentinel"])
    yield f"sentinel://:pw@127.0.0.1:{port}/3"
    sentinel.stop()
    server.stop()


async def test_a_sentinel_is_asked_for_the_master(sentinel_url: str) -> None:
    settings = load_settings(
        env_file=None,
        redis_url=sentinel_url,
        understudy_sentinel_master="main",
        understudy_sentinel_password="watch",
    )
    client = redis_from(settings)

    async def write() -> bool:
        try:
            return bool(await client.set("key", "value"))
        except RedisError as error:
            raise AssertionError from error

    try:
        written: bool = await aeventually(write)
        assert written
        assert (await client.client_info())["db"] == 3
    finally:
        await client.aclose()


def test_kombu_takes_what_a_sentinel_url_becomes(sentinel_url: str) -> None:
    options = {"master_name": "main", "sentinel_kwargs": {"password": "watch"}}

    def send() -> bool:
        try:
            with Connection(celery_url(sentinel_url), transport_options=options) as connection:
                queue = connection.SimpleQueue("q")
                queue.put({"a": 1})
                return bool(queue.get(timeout=5).payload == {"a": 1})
        except (RedisError, OperationalError) as error:
            raise AssertionError from error

    eventually(send)


CELERY = [
    ("redis://:pw@host:6379/2", "redis://:pw@host:6379/2"),
    ("amqp://u:p@host//", "amqp://u:p@host//"),
    ("rediss://host:6380/0", "rediss://host:6380/0?ssl_cert_reqs=required"),
    ("rediss://host:6380/0?ssl_cert_reqs=CERT_NONE", "rediss://host:6380/0?ssl_cert_reqs=none"),
    ("unix:///run/redis.sock?db=3", "redis+socket:///run/redis.sock?virtual_host=3"),
    ("unix:///run/redis.sock", "redis+socket:///run/redis.sock"),
    ("sentinel://:pw@one:1;two/3", "sentinel://:pw@one:1/3;sentinel://:pw@two:26379/3"),
    ("sentinel://one;sentinel://two:2", "sentinel://one:26379/0;sentinel://two:2/0"),
]


@pytest.mark.parametrize(("url", "expected"), CELERY)
def test_celery_gets_the_url_in_its_own_form(url: str, expected: str) -> None:
    assert celery_url(url) == expected
