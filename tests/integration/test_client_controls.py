"""What an operator reads and steers through a client; run over the real one and over the one in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bot_client import InvalidRequest
from tests.support.client_world import KINDS_OF_CLIENT, World, world_of
from tests.support.clients import client_of
from understudy.state.audit import Audit
from understudy.state.keys import Keys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis.asyncio import Redis


@pytest.fixture(params=KINDS_OF_CLIENT)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with world_of(request) as made:
        yield made


async def test_an_operator_reads_and_steers_the_providers(world: World) -> None:
    free, paid = await world.llm.provider_status()
    assert [(s.name, s.paid, s.breaker, s.forced) for s in (free, paid)] == [
        ("ollama", False, "closed", None),
        ("openai", True, "closed", None),
    ]
    await world.llm.force_provider("openai", why="ollama is being updated", who="ann", for_s=60)
    forced = (await world.llm.provider_status())[1].forced
    assert forced is not None
    assert (forced.who, forced.why) == ("ann", "ollama is being updated")
    assert (await world.llm.moderate("x")).provider == "openai"
    assert await world.llm.unforce()
    assert not await world.llm.unforce()
    assert (await world.llm.moderate("x")).provider == "ollama"
    await world.llm.clear_health("ollama")
    await world.llm.clear_health()


async def test_what_a_bot_decides_stands_in_the_log_of_operators(redis: Redis, redis_url: str) -> None:
    async with client_of(redis_url) as llm:
        await llm.force_provider("openai", why="ollama is being updated", who="ann", for_s=60)
        await llm.unforce()
        await llm.clear_health("ollama")
    entries = await Audit(redis, Keys("u:")).entries()
    assert [(entry.who, entry.what, entry.why) for entry in entries] == [
        ("bot", "clear ollama", "not said"),
        ("bot", "unforce", "not said"),
        ("ann", "force openai 1m", "ollama is being updated"),
    ]


async def test_a_wrong_control_is_refused_by_name(world: World) -> None:
    with pytest.raises(InvalidRequest, match="force: name is not a provider of the settings; known are ollama, openai"):
        await world.llm.force_provider("mistral", why="x")
    with pytest.raises(InvalidRequest, match="force: why"):
        await world.llm.force_provider("openai", why=" ")
    with pytest.raises(InvalidRequest, match=r"for_s is 0\.5; 1 to 86400"):
        await world.llm.force_provider("openai", why="x", for_s=0.5)
    with pytest.raises(InvalidRequest, match="clear: name"):
        await world.llm.clear_health("mistral")


async def test_spend_never_stays_with_the_free_provider(world: World) -> None:
    await world.llm.force_provider("openai", why="to see")
    assert (await world.llm.moderate("x", spend="never")).provider == "ollama"
    assert (await world.llm.moderate("x", local_only=True)).provider == "ollama"
