"""Redis dies and comes back with its append-only file, under running calls."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from bot_client import CallError
from tests.support.figures import figure, sizes, spread
from tests.support.polling import aeventually
from tests.support.stack import Stack
from workers.stand_in import Fate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bot_client import Call, ModerationResult
    from workers.local_redis import Flavour

DEADLINE_S = 30.0
SLACK_S = 2.0
"""Of a machine that also starts things: the promise is deadline + 5 s."""


@pytest.fixture
def stack(
    tmp_path_factory: pytest.TempPathFactory, redis_flavour: Flavour, request: pytest.FixtureRequest
) -> Iterator[Stack]:
    """A stack of the test's own, whose Redis keeps its data."""
    starting = Stack(tmp_path_factory.mktemp("stack"), redis_flavour, appendonly=True)
    with starting as stack, stack.shown_on_failure(request.session):
        yield stack


async def end_of(call: Call[ModerationResult], opened: float) -> tuple[str, float]:
    """How a call ended, and after how long."""
    try:
        await call.result()
    except CallError as error:
        return type(error).__name__, time.monotonic() - opened
    return "answered", time.monotonic() - opened


@sizes("away_s", 4.0, 10.0)
@pytest.mark.timeout(240)
async def test_calls_and_workers_outlive_an_outage_of_redis(stack: Stack, away_s: float) -> None:
    for provider in stack.providers.values():
        provider.set_fate(Fate(latency_ms=(1000, 3000)))
    pids = [worker.pid for worker in stack.workers.values()]
    async with stack.client() as llm:
        opened = time.monotonic()
        calls = [await llm.submit("moderation", {"text": f"message {i}"}, deadline_s=DEADLINE_S) for i in range(50)]
        ends = asyncio.gather(*(end_of(call, opened) for call in calls))
        await aeventually(lambda: stack.running("ollama") == 16)
        stack.redis.kill()
        await asyncio.sleep(away_s)  # the outage is what is tested
        stack.redis.start()
        back = time.monotonic()
        ended = await asyncio.wait_for(ends, DEADLINE_S + 60)
        assert all(took <= DEADLINE_S + 5 + SLACK_S for _, took in ended), sorted(ended)
        answered = [took for how, took in ended if how == "answered"]
        figure(
            f"Redis killed for {away_s:.0f} s under 50 calls",
            f"{len(answered)} answered, {50 - len(answered)} failed; from opening {spread([t for _, t in ended])} "
            f"(limit {DEADLINE_S + 5:.0f} s)",
        )

        for queue in stack.providers:
            await llm.force_provider(queue, why="to see that its workers consume")

            async def consumed(queue: str = queue) -> bool:
                return (await llm.moderate("after", deadline_s=10)).provider == queue

            await aeventually(consumed, limit_s=60)
        figure("Redis back: both queues consumed again", f"within {time.monotonic() - back:.1f} s")
    assert [worker.pid for worker in stack.workers.values()] == pids
    assert all(worker.alive for worker in stack.workers.values())
