"""The whole system for tests from outside: plain Celery callers, and RabbitMQ as broker."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.support.plain_parts import PlainCaller
from tests.support.stack import Stack
from workers.chat import Chat

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.support.rabbitmq_server import RabbitMQServer
    from workers.local_redis import Flavour

SETTINGS = {
    "UNDERSTUDY_SHUTDOWN_GRACE_S": "1",
    "OLLAMA_TIMEOUT": "40",
    "UNDERSTUDY_LOG_LEVEL": "DEBUG",
    "UNDERSTUDY_TOOLS": "tests.support.sample_tools",
}


@pytest.fixture(scope="session")
def redis_stack(tmp_path_factory: pytest.TempPathFactory, redis_flavour: Flavour) -> Iterator[Stack]:
    """One stack for the tests of this process, with Redis as broker."""
    with Stack(tmp_path_factory.mktemp("stack"), redis_flavour, settings=SETTINGS) as stack:
        warm(stack)
        yield stack


def warm(stack: Stack) -> None:
    """Let each worker answer once: while all start at the same time, its first call can take seconds, and move on."""

    async def ask() -> None:
        async with stack.client() as llm:
            for name in stack.workers:
                await llm.moderate("hello", only=name, deadline_s=120)

    with ThreadPoolExecutor(1) as thread:  # this one has a loop of its own
        thread.submit(asyncio.run, ask()).result()


@pytest.fixture
async def stack(redis_stack: Stack, request: pytest.FixtureRequest) -> AsyncIterator[Stack]:
    """That stack, as new: two workers of 16, `ollama` and `openai`."""
    await redis_stack.renew()
    with redis_stack.shown_on_failure(request.session):
        yield redis_stack


@pytest.fixture(scope="session")
def callers(redis_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlainCaller]:
    """One plain caller with its worker, for the tests of this process."""
    url = redis_stack.redis.url()
    with PlainCaller(tmp_path_factory.mktemp("bot"), url, url) as caller:
        yield caller


@pytest.fixture
def bot(stack: Stack, callers: PlainCaller) -> PlainCaller:
    """The plain caller of a stack that is as new."""
    return callers


@pytest.fixture(scope="session")
def rabbitmq_stack(
    tmp_path_factory: pytest.TempPathFactory, redis_flavour: Flavour, rabbitmq_server: RabbitMQServer
) -> Iterator[Stack]:
    """One stack for the tests of this process, with RabbitMQ as broker and Redis for state."""
    directory = tmp_path_factory.mktemp("rabbitmq-stack")
    with Stack(directory, redis_flavour, BROKER_URL=rabbitmq_server.url, settings=SETTINGS) as stack:
        warm(stack)
        yield stack


@pytest.fixture
async def rabbit(rabbitmq_stack: Stack, request: pytest.FixtureRequest) -> AsyncIterator[Stack]:
    """That stack, as new."""
    await rabbitmq_stack.renew()
    with rabbitmq_stack.shown_on_failure(request.session):
        yield rabbitmq_stack


@pytest.fixture
async def chat() -> AsyncIterator[Chat]:
    """The connections to providers."""
    chat = Chat()
    yield chat
    await chat.close()
