"""The primary refuses, hangs, or is out for a while and comes back."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.figures import SOAK, figure, sizes, spread
from tests.support.polling import aeventually
from tests.support.stack import Stack
from understudy.state.health import CLOSED, HALF_OPEN
from workers.stand_in import Fate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from bot_client import Call, ModerationResult, Outcome, Understudy
    from workers.local_redis import Flavour

LIMIT_S = 60.0
OLLAMA_TIMEOUT = 15 if SOAK else 2


@pytest.fixture(scope="module")
def quick_stack(tmp_path_factory: pytest.TempPathFactory, redis_flavour: Flavour) -> Iterator[Stack]:
    """A stack that gives its primary little time."""
    folder = tmp_path_factory.mktemp("stack")
    with Stack(folder, redis_flavour, OLLAMA_TIMEOUT=str(OLLAMA_TIMEOUT), UNDERSTUDY_COLD_START_S="0") as stack:
        yield stack


@pytest.fixture
async def stack(quick_stack: Stack, request: pytest.FixtureRequest) -> AsyncIterator[Stack]:
    """That stack, as new."""
    await quick_stack.renew()
    with quick_stack.shown_on_failure(request.session):
        yield quick_stack


def way(outcome: Outcome[Any]) -> list[tuple[str, str]]:
    """Who was asked, and what came of it."""
    return [(attempt.provider, attempt.what) for attempt in outcome.attempts]


async def timed(llm: Understudy, text: str) -> tuple[float, Outcome[Any]]:
    """One call, and its seconds as the caller sees them."""
    began = time.perf_counter()
    outcome = await asyncio.wait_for(llm.moderate(text), LIMIT_S)
    return time.perf_counter() - began, outcome


@sizes("number", 6, 200)
async def test_a_primary_that_refuses_costs_each_call_a_moment_at_most(stack: Stack, number: int) -> None:
    async with stack.client() as llm:
        await timed(llm, "the first one opens connections")
        await llm.force_provider("openai", why="to compare with")
        straight = [(await timed(llm, f"straight {i}"))[0] for i in range(number)]
        await llm.unforce()
        stack.ollama.set_fate(Fate(refuse=True))
        moved: list[float] = []
        for i in range(number):
            await llm.clear_health()  # the breaker would spare them the refusal
            took, outcome = await timed(llm, f"refused {i}")
            assert way(outcome) == [("ollama", "refused"), ("openai", "answered")]
            moved.append(took)
        await llm.clear_health()
        ways = [way((await timed(llm, f"opens {i}"))[1]) for i in range(6)]
    assert ways[0] == [("ollama", "refused"), ("openai", "answered")]
    assert ways[-1] == [("openai", "answered")]
    usual = sorted(straight)[number // 2]
    added = [(took - usual) * 1000 for took in moved]
    figure("primary refusing: added time of a call (limit 100 ms)", spread(added, "ms"))


async def test_a_primary_that_hangs_costs_three_calls_its_limit_and_the_others_nothing(stack: Stack) -> None:
    stack.ollama.set_fate(Fate(silence=True))
    async with stack.client() as llm:
        calls = [await timed(llm, f"message {i}") for i in range(3)]
        after = [await timed(llm, f"message {i}") for i in range(3, 9)]
    hung = [("ollama", "no_first_byte"), ("openai", "answered")]
    assert [way(outcome) for _, outcome in calls] == [hung] * 3
    assert [way(outcome) for _, outcome in after] == [[("openai", "answered")]] * 6
    assert stack.counts("ollama")["total"] == 3


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_figures_of_a_hanging_primary(stack: Stack) -> None:
    stack.ollama.set_fate(Fate(silence=True))
    async with stack.client() as llm:
        first = [(await timed(llm, f"message {i}"))[0] for i in range(3)]
        after = [(await timed(llm, f"message {i}"))[0] for i in range(20)]
    figure(f"primary hanging, limit {OLLAMA_TIMEOUT} s: the first three calls", spread(first))
    figure("primary hanging: the calls after the third", spread([took * 1000 for took in after], "ms"))


@sizes("fate, outage_s, pace_s", (Fate(status=503), 12.0, 0.5), (Fate(status=503), 60.0, 4.0))
@pytest.mark.timeout(180)
async def test_an_outage_costs_few_requests_and_ends_by_itself(
    stack: Stack, fate: Fate, outage_s: float, pace_s: float
) -> None:
    async with stack.client() as llm, stack.look() as look:
        stack.ollama.set_fate(fate)
        over = time.monotonic() + outage_s
        calls: list[Call[ModerationResult]] = []
        while time.monotonic() < over:
            calls.append(await llm.submit("moderation", {"text": f"message {len(calls)}"}))
            await asyncio.sleep(pace_s)  # the pace is part of what is tested
        outcomes = await asyncio.wait_for(asyncio.gather(*(call.result() for call in calls)), LIMIT_S)
        assert {outcome.provider for outcome in outcomes} == {"openai"}
        reached = stack.counts("ollama")["total"]
        assert 1 <= reached <= 6
        stack.ollama.set_fate(Fate())
        back = time.monotonic()

        async def half_open() -> bool:
            return await look.breaker() == HALF_OPEN

        await aeventually(half_open)
        took = time.monotonic() - back

        async def used() -> bool:  # a client may look at the breaker as it was a moment ago
            return way((await timed(llm, "one of the next"))[1]) == [("ollama", "answered")]

        await aeventually(used)
        for i in range(2):
            await timed(llm, f"closes it {i}")
        assert await look.breaker() == CLOSED
    figure(
        f"outage of {outage_s:.0f} s under a call each {pace_s} s",
        f"{len(calls)} calls, {reached} of their requests reached the primary (limit 6), half-open {took:.2f} s after "
        "its return (limit 3 s), then used",
    )
