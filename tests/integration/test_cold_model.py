"""A local model that has to be loaded first: it is waited for, and loaded once."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.polling import aeventually
from tests.support.stack import Stack
from tests.support.watching import watch
from understudy.state.view import STALE_S
from workers.stand_in import Fate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from workers.local_redis import Flavour

ASKED = [{"role": "user", "content": "Tell me about lighthouses."}]
LIMIT_S, COLD_S = 1.0, 7.0


@pytest.fixture(scope="module")
def cold_stack(tmp_path_factory: pytest.TempPathFactory, redis_flavour: Flavour) -> Iterator[Stack]:
    more = {"OLLAMA_TIMEOUT": str(LIMIT_S), "UNDERSTUDY_COLD_START_S": str(COLD_S)}
    with Stack(tmp_path_factory.mktemp("cold"), redis_flavour, workers={"ollama,openai": 16}, settings=more) as stack:
        yield stack


@pytest.fixture
async def cold(cold_stack: Stack, request: pytest.FixtureRequest) -> AsyncIterator[Stack]:
    """A stack whose local provider nobody has asked yet."""
    await cold_stack.renew()
    async with cold_stack.look() as look:
        await look.redis.delete(look.keys.breaker("ollama", "llama3.2"))
    forgotten = time.monotonic()
    await aeventually(lambda: time.monotonic() - forgotten > STALE_S)  # a worker's view may be as old as that
    with cold_stack.shown_on_failure(request.session):
        yield cold_stack


def loads(stack: Stack) -> int:
    return int(stack.counts("ollama")["loads"])


async def test_a_model_that_loads_for_longer_than_a_request_may_take_is_waited_for(cold: Stack) -> None:
    cold.ollama.set_fate(Fate(cold_ms=int(LIMIT_S * 2000)))
    async with cold.client() as llm:
        watched = await watch(llm.agent_turn(ASKED, stream=True))
    assert watched.outcome.provider == "ollama"
    assert watched.types == ["started", "delta", "done"]
    assert loads(cold) == 1


async def test_calls_that_cannot_wait_fall_back_while_one_probe_loads_the_model(cold: Stack) -> None:
    cold.ollama.set_fate(Fate(cold_ms=int(COLD_S * 900)))
    async with cold.client() as llm:
        await llm.moderate("Hello", only="openai")  # its worker's first call takes longer than the others
        outcomes = await asyncio.gather(*(llm.moderate(f"Hello {n}", deadline_s=6) for n in range(4)))
        assert [outcome.provider for outcome in outcomes] == ["openai"] * 4
        assert all(outcome.attempts[0].what in ("cold_start", "waited") for outcome in outcomes)
        await aeventually(lambda: llm_is_back(cold), limit_s=30)
        # each call that left handed the loading on to the next, and the last one to the patient probe, which ended it
        assert loads(cold) <= len(outcomes) + 1
        assert (await llm.moderate("Hello again")).provider == "ollama"


async def test_once_it_has_answered_its_limit_is_the_usual_one(cold: Stack) -> None:
    async with cold.client() as llm:
        assert (await llm.agent_turn(ASKED)).provider == "ollama"
        answered = time.monotonic()
        await aeventually(lambda: time.monotonic() - answered > STALE_S)  # a worker's view may be as old as that
        cold.ollama.set_fate(Fate(silence=True))
        outcome = await llm.agent_turn(ASKED)
    assert [attempt.what for attempt in outcome.attempts] == ["no_first_byte", "answered"]


async def llm_is_back(stack: Stack) -> bool:
    async with stack.look() as look:
        return await look.breaker() != "open"
