"""A provider or a worker that goes in the middle of an answer: the next one answers whole."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import pytest

from bot_client import Delta
from tests.support.figures import figure, sizes, spread
from tests.support.stack import Stack
from tests.support.watching import watch
from workers.stand_in import Fate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.support.watching import Watched
    from workers.local_redis import Flavour

ASKED = [{"role": "user", "content": "Tell me about lighthouses."}]
TOKENS, LIMIT_S = 40, 0.6
WHY = {"cut_after": "cut", "malformed_after": "cut", "stall_after": "stalled", "silence": "no_first_byte"}


@pytest.fixture(scope="module")
def quick_stack(tmp_path_factory: pytest.TempPathFactory, redis_flavour: Flavour) -> Iterator[Stack]:
    more = {"OLLAMA_TIMEOUT": str(LIMIT_S), "UNDERSTUDY_COLD_START_S": "0"}
    with Stack(tmp_path_factory.mktemp("streams"), redis_flavour, settings=more) as stack:
        yield stack


@pytest.fixture
async def stack(quick_stack: Stack, request: pytest.FixtureRequest) -> AsyncIterator[Stack]:
    """A stack whose primary is soon given up."""
    await quick_stack.renew()
    with quick_stack.shown_on_failure(request.session):
        yield quick_stack


@sizes("places", 12, 100)
@pytest.mark.timeout(600)
async def test_a_primary_that_breaks_anywhere_in_an_answer_is_followed_by_one_whole_answer(
    stack: Stack, places: int
) -> None:
    draw, took = random.Random(7), []
    stack.openai.set_fate(Fate(tokens=TOKENS, drip_ms=1))
    async with stack.client() as llm, stack.look() as look:
        primary = next(provider for provider in look.health.providers if provider.name == "ollama")
        for number in range(places):
            fault = list(WHY)[number % len(WHY)]
            place = True if fault == "silence" else draw.randrange(TOKENS)
            stack.ollama.set_fate(Fate.from_json({"tokens": TOKENS, "drip_ms": 1, fault: place}))
            await look.health.clear(primary)
            began = time.monotonic()
            watched = await watch(llm.agent_turn(ASKED, stream=True))
            took.append(time.monotonic() - began)
            broke_off = f"{fault} at {place}"
            assert watched.is_whole, broke_off
            assert [attempt.what for attempt in watched.outcome.attempts] == [WHY[fault], "answered"], broke_off
            assert watched.providers == ["ollama", "openai"], broke_off
            assert [restart.why for restart in watched.restarts] == [WHY[fault]] * was_shown(watched), broke_off
    figure(
        f"a primary that breaks at {places} places of an answer, limit {LIMIT_S} s, until the whole one", spread(took)
    )


async def test_a_worker_killed_in_mid_stream_leaves_a_whole_answer_to_the_fallback(stack: Stack) -> None:
    stack.ollama.set_fate(Fate(tokens=400, drip_ms=100))
    killed = 0.0

    def kill(watched: Watched) -> None:
        nonlocal killed
        if not killed and sum(isinstance(event, Delta) for event in watched.events) == 5:
            stack.workers["ollama"].kill()
            killed = time.monotonic()

    async with stack.client() as llm:
        watched = await watch(llm.agent_turn(ASKED, stream=True), kill)
    figure("a worker killed in mid-stream, until the whole answer", f"{time.monotonic() - killed:.1f} s")
    assert watched.is_whole
    assert watched.outcome.provider == "openai"
    assert [restart.why for restart in watched.restarts] == ["worker_lost"]


def was_shown(watched: Watched) -> bool:
    """Whether text of the primary was shown."""
    second = [event.type for event in watched.events].index("started", 1)
    return any(isinstance(event, Delta) for event in watched.events[:second])
