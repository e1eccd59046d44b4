"""The servers that tests run on, what happens when a machine lacks one, and that nothing is left running."""

from __future__ import annotations

import os
import shutil
import uuid
from typing import TYPE_CHECKING, cast

import pytest
import redis as redis_sync
import redis.asyncio as redis_asyncio

from tests.support.leftovers import MARK, leftovers
from tests.support.polling import eventually
from tests.support.rabbitmq_server import RabbitMQServer, find_rabbitmq
from tests.support.redis_server import RedisServer
from tests.support.warm import stop_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from workers.local_redis import Flavour

# What a marked test needs on the machine, and whether it is there.
NEEDS: dict[str, tuple[str, Callable[[], bool]]] = {
    "rabbitmq": ("rabbitmq-server", lambda: find_rabbitmq() is not None),
    "redis_server": ("redis-server", lambda: shutil.which("redis-server") is not None),
    "chromium": ("chromium", lambda: shutil.which("chromium") is not None),
}


def _missing(marker: str) -> None:
    """Skip on a laptop that lacks a server; fail in CI, where a skipped test would be a promise unchecked."""
    package, installed = NEEDS[marker]
    if installed():
        return
    if os.environ.get("CI"):
        pytest.fail(f"{package} is not installed, and in CI it must be", pytrace=False)
    pytest.skip(f"{package} is not installed")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests at full size unless they are asked for."""
    if os.environ.get("UNDERSTUDY_SOAK") != "1":
        large = [item for item in items if item.get_closest_marker("soak")]
        items[:] = [item for item in items if item not in large]
        config.hook.pytest_deselected(items=large)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip or fail a test whose server is not installed, before any fixture is made."""
    for marker in NEEDS:
        if item.get_closest_marker(marker):
            _missing(marker)


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_left_running() -> Iterator[None]:
    """After the last test of this process, none of the processes that the tests started is alive."""
    os.environ[MARK] = uuid.uuid4().hex
    yield
    stop_all()

    def none_left() -> bool:
        assert leftovers() == []
        return True

    eventually(none_left)


@pytest.fixture(scope="session")
def redis_flavour() -> Flavour:
    """Which server the run is on: UNDERSTUDY_TEST_REDIS is `valkey` (the default) or `redis`."""
    flavour = os.environ.get("UNDERSTUDY_TEST_REDIS", "valkey")
    if flavour not in ("valkey", "redis"):
        pytest.exit(f"UNDERSTUDY_TEST_REDIS is {flavour!r}; it may be valkey or redis", returncode=2)
    if flavour == "redis":
        _missing("redis_server")
    return cast("Flavour", flavour)


@pytest.fixture(scope="session")
def redis_server(redis_flavour: Flavour, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server shared by the tests of this process; one that a test kills or pauses must be the test's own."""
    server = RedisServer(tmp_path_factory.mktemp("redis"), redis_flavour)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The address of an empty database."""
    with redis_sync.Redis.from_url(redis_server.url()) as client:
        client.flushall()
    return redis_server.url()


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[redis_asyncio.Redis]:
    """A client of an empty database, giving strings."""
    client = redis_asyncio.Redis.from_url(redis_url, decode_responses=True)
    yield client
    await client.aclose()


@pytest.fixture(scope="session")
def rabbitmq_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQServer]:
    """A RabbitMQ node shared by the tests of this process; a test that uses it is marked `rabbitmq`."""
    _missing("rabbitmq")
    server = RabbitMQServer(tmp_path_factory.mktemp("rabbitmq"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def rabbitmq_url(rabbitmq_server: RabbitMQServer) -> str:
    """The address of that node."""
    return rabbitmq_server.url
