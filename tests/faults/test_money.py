"""Money under faults: never more than the budget, never less on the books than what was asked for."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.figures import figure, sizes
from tests.support.money import reservation
from tests.support.polling import aeventually
from tests.support.stack import MODELS, Stack
from tests.support.worker import Worker
from understudy.contracts.call import Outcome
from understudy.errors import BudgetExceeded
from understudy.pricing import cost_microusd, price_of
from workers.stand_in import Fate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bot_client import Call, ModerationResult
    from tests.support.stack import Look
    from understudy.contracts.call import Usage
    from workers.local_redis import Flavour


def answer_cost(stack: Stack, usage: Usage) -> int:
    """What the stand-in's answer costs by its own word."""
    price = price_of(MODELS["openai"], stack.settings)
    assert price is not None
    return cost_microusd(price, usage)


def message(n: int) -> str:
    return f"hello {n:03d}"


REQUEST = f'{{"text":"{message(0)}"}}'


def crew(stack: Stack, size: int, concurrency: int) -> None:
    """More workers of the paid provider, each a process of its own; those that stand are kept."""
    for n in range(size):
        name = f"openai-{n}"
        if name not in stack.workers:
            stack.workers[name] = Worker(stack.directory, name, "openai", concurrency, stack.environment)
            stack.workers[name].start()


async def day_total(look: Look) -> dict[str, int]:
    """What today was charged, by field."""
    keys = [key async for key in look.redis.scan_iter(f"{look.keys.prefix}spend:day:*")]
    found = Counter[str]()
    for key in keys:
        row: Any = await look.redis.hgetall(key)
        found.update({name: int(value) for name, value in row.items()})
    return found


async def forget_spend(look: Look) -> None:
    for key in [key async for key in look.redis.scan_iter(f"{look.keys.prefix}spend:*")]:
        await look.redis.delete(key)


async def charged_to(look: Look, calls: Sequence[Call[ModerationResult]]) -> int:
    """What stands in the calls' own records."""
    return sum([sum((await look.record(call.id)).charges.values()) for call in calls])


@pytest.fixture(scope="module")
def small_budget(tmp_path_factory: pytest.TempPathFactory, redis_flavour: Flavour) -> Iterator[Stack]:
    directory = tmp_path_factory.mktemp("budget")
    with Stack(directory, redis_flavour, workers={"ollama": 50}, UNDERSTUDY_BUDGET_DAY_USD="0.005") as stack:
        yield stack


@sizes("workers,times", (2, 1), (12, 20))
async def test_a_budget_for_five_calls_pays_for_five_of_fifty_at_once(
    small_budget: Stack, workers: int, times: int
) -> None:
    stack, budget = small_budget, 5_000
    crew(stack, workers, 16)
    for _ in range(times):
        await stack.renew()
        stack.ollama.set_fate(Fate(refuse=True))
        stack.openai.set_fate(Fate(no_usage=True))  # each costs what was reserved for it
        async with stack.client() as llm, stack.look() as look:
            await forget_spend(look)
            each = await reservation(look.redis, "moderation", REQUEST, stack.settings)
            assert budget // each == 5
            calls = [await llm.submit("moderation", {"text": message(n)}, deadline_s=6) for n in range(50)]
            ends = await asyncio.gather(*(call.result() for call in calls), return_exceptions=True)
            total = await day_total(look)
            assert await charged_to(look, calls) == total["total"] == 5 * each
        paid = [end for end in ends if isinstance(end, Outcome)]
        denied = [end for end in ends if isinstance(end, BudgetExceeded)]
        assert (len(paid), len(denied), stack.counts("openai")["total"]) == (5, 45, 5)
        assert {end.cost_microusd for end in paid} == {each}
        assert all("the budget of the day has no room for it" in str(end) for end in denied)
    figure(f"a budget for 5 calls, 50 at once over {workers} workers, {times} times", "5 paid and 45 refused each time")


async def test_an_operators_choice_does_not_get_around_a_budget(small_budget: Stack) -> None:
    stack = small_budget
    crew(stack, 1, 16)
    await stack.renew()
    async with stack.client() as llm, stack.look() as look:
        await forget_spend(look)
        seconds, _ = await look.redis.time()
        today = f"{datetime.fromtimestamp(int(seconds), UTC):%Y%m%d}"
        await look.redis.hset(look.keys.spend_day(today), "total", "5000")
        await llm.force_provider("openai", why="a test", for_s=60)
        try:
            outcome = await llm.moderate("forced, and yet not paid for")
        finally:
            await llm.unforce()
            await forget_spend(look)
    assert (outcome.provider, outcome.cost_microusd) == ("ollama", 0)
    assert [attempt.what for attempt in outcome.attempts] == ["budget", "answered"]
    assert stack.counts("openai")["total"] == 0


@pytest.fixture(scope="module")
def no_budget(tmp_path_factory: pytest.TempPathFactory, redis_flavour: Flavour) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("kills"), redis_flavour, workers={"ollama": 16}, appendonly=True) as stack:
        yield stack


@sizes("kills,rounds", (2, 1), (5, 10))
async def test_a_worker_killed_between_answer_and_settlement_is_never_under_charged(
    no_budget: Stack, kills: int, rounds: int
) -> None:
    stack, answered, total, each, cost = no_budget, 0, 0, 0, 0
    crew(stack, kills, 1)
    async with stack.look() as look:
        await forget_spend(look)
    for _ in range(rounds):
        await stack.renew()
        stack.ollama.set_fate(Fate(refuse=True))
        stack.openai.set_fate(Fate(latency_ms=3_000))
        async with stack.client() as llm, stack.look() as look:
            each = await reservation(look.redis, "moderation", REQUEST, stack.settings)
            calls = [await llm.submit("moderation", {"text": message(n)}, deadline_s=60) for n in range(kills)]
            await aeventually(lambda: stack.running("openai") == kills)
            crew_of = [stack.workers[f"openai-{n}"] for n in range(kills)]
            for worker in crew_of:
                worker.freeze()
            # the answers reach the workers' machine, and nobody there tells the ledger
            await aeventually(lambda: stack.counts("openai")["outcomes"].get("answered", 0) == kills)
            for worker in crew_of:
                worker.kill()
            for worker in crew_of:
                worker.start()
            outcomes = await asyncio.wait_for(asyncio.gather(*(call.result() for call in calls)), 90)
            cost = answer_cost(stack, outcomes[0].usage)
            assert [outcome.cost_microusd for outcome in outcomes] == [each + cost] * kills
            answered += stack.counts("openai")["outcomes"]["answered"]
            total = (await day_total(look))["total"]
    assert answered == 2 * kills * rounds
    assert answered * cost <= total <= answered * cost + kills * rounds * each
    figure(
        f"{kills * rounds} workers killed between answer and settlement",
        f"stand-in {answered * cost} micro-dollars, books {total}, that is {each - cost} more a kill",
    )


async def test_without_redis_no_paid_request_is_begun_and_free_attempts_that_run_finish(no_budget: Stack) -> None:
    stack = no_budget
    crew(stack, 1, 1)
    await stack.renew()
    stack.ollama.set_fate(Fate(latency_ms=2_000))
    async with stack.client() as llm:
        calls = [await llm.submit("moderation", {"text": message(n)}, deadline_s=60) for n in range(4)]
        await aeventually(lambda: stack.running("ollama") == 4)
        stack.redis.pause()
        try:
            await aeventually(lambda: stack.counts("ollama")["outcomes"].get("answered", 0) == 4)
            assert stack.counts("openai")["total"] == 0
        finally:
            stack.redis.resume()
        outcomes = await asyncio.wait_for(asyncio.gather(*(call.result() for call in calls)), 60)
    assert {(outcome.provider, outcome.cost_microusd) for outcome in outcomes} == {("ollama", 0)}
    assert (stack.counts("ollama")["total"], stack.counts("openai")["total"]) == (4, 0)


async def test_without_redis_a_paid_answer_that_cannot_be_used_is_not_asked_for_again(no_budget: Stack) -> None:
    stack = no_budget
    crew(stack, 1, 1)
    await stack.renew()
    stack.ollama.set_fate(Fate(refuse=True))
    stack.openai.set_fate(Fate(latency_ms=1_000, answer="not_json", times=1))
    async with stack.client() as llm:
        call = await llm.submit("moderation", {"text": message(0)}, deadline_s=60)
        await aeventually(lambda: stack.running("openai") == 1)
        stack.redis.kill()
        try:
            await aeventually(lambda: stack.counts("openai")["outcomes"].get("not_json", 0) == 1)
            await aeventually(lambda: "the ledger is out of reach" in stack.workers["openai-0"].tail())
            assert stack.counts("openai")["total"] == 1
        finally:
            stack.redis.start()
        outcome = await asyncio.wait_for(call.result(), 60)
    first = next(attempt for attempt in outcome.attempts if attempt.provider == "openai")
    assert (first.what, first.requests) == ("not_json", 1)
    assert 0 < first.cost_microusd < outcome.cost_microusd
