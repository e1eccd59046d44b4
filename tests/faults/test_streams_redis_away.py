"""Redis goes away while answers are streamed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.figures import sizes
from tests.support.polling import aeventually
from tests.support.stack import Stack
from tests.support.watching import watch
from workers.stand_in import Fate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workers.local_redis import Flavour

ASKED = [{"role": "user", "content": "Tell me about lighthouses."}]


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory, redis_flavour: Flavour) -> Iterator[Stack]:
    """One whose Redis keeps its data."""
    with Stack(
        tmp_path_factory.mktemp("away"), redis_flavour, workers={"ollama,openai": 16}, appendonly=True
    ) as started:
        yield started


@sizes("away_s", 2.0, 10.0)
@pytest.mark.timeout(180)
async def test_what_is_said_while_redis_is_away_comes_when_it_is_back(stack: Stack, away_s: float) -> None:
    stack.ollama.set_fate(Fate(tokens=int(away_s * 50) + 200, drip_ms=20))
    async with stack.client() as llm:
        streams = [llm.agent_turn(ASKED, stream=True) for _ in range(3)]
        watching = [asyncio.create_task(watch(stream)) for stream in streams]
        await aeventually(lambda: all(stream.text for stream in streams))
        stack.redis.kill()
        await asyncio.sleep(away_s)
        stack.redis.start()
        watched = await asyncio.gather(*watching)
    assert stack.requests() == 3, stack.logs()
    for one in watched:
        assert one.is_whole
        assert one.outcome.provider == "ollama"
        assert one.types == ["started", "delta", "done"], "it began anew"
