"""Moderations that fall back to the free moderation endpoint, in a whole installation whose budget is nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from bot_client import Violation
from tests.support.stack import Stack
from understudy.errors import BudgetExceeded
from workers.screening import MODEL
from workers.stand_in import Fate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from workers.local_redis import Flavour

OUT = Fate(status=500)
HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture(scope="module")
def module_stack(tmp_path_factory: pytest.TempPathFactory, redis_flavour: Flavour) -> Iterator[Stack]:
    settings = {"MODERATION_FALLBACK": "endpoint", "UNDERSTUDY_BUDGET_DAY_USD": "0"}
    folder = tmp_path_factory.mktemp("screening")
    with Stack(folder, redis_flavour, workers={"ollama,openai": 16}, settings=settings) as stack:
        yield stack


@pytest.fixture
async def stack(module_stack: Stack, request: pytest.FixtureRequest) -> AsyncIterator[Stack]:
    await module_stack.renew()
    with module_stack.shown_on_failure(request.session):
        yield module_stack


async def test_the_endpoint_answers_by_default_rules_and_costs_nothing(stack: Stack) -> None:
    stack.ollama.set_fate(OUT)
    async with stack.client() as llm:
        outcome = await llm.moderate("you are an idiot", user_id=7)
        clean = await llm.moderate("The meeting is at noon.", user_id=7)
        spent = await llm.spend(by="user")
    assert (outcome.provider, outcome.model, outcome.cost_microusd) == ("openai", MODEL, 0)
    assert (outcome.result.screened, outcome.result.violation) == (True, Violation.TOXIC)
    assert "harassment" in outcome.result.reason
    assert (outcome.result.helpful, outcome.result.quality_score) == (None, None)
    assert [attempt.what for attempt in outcome.attempts] == ["server_error", "answered"]
    assert (clean.result.screened, clean.result.violation, clean.result.action.value) == (True, None, "none")
    assert spent.microusd == 0


async def test_a_group_with_rules_of_its_own_and_other_kinds_stay_within_the_budget(stack: Stack) -> None:
    stack.ollama.set_fate(OUT)
    async with stack.client() as llm:
        # a pause of 2 s; the next one, of 4 s, does not fit any more
        asked = llm.moderate("hello", rules="No greetings.", deadline_s=6), llm.agent_turn(HELLO, deadline_s=6)
        ends = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(end) for end in ends] == [BudgetExceeded, BudgetExceeded]
    assert stack.counts("openai")["total"] == 0


async def test_the_free_provider_still_comes_first(stack: Stack) -> None:
    async with stack.client() as llm:
        outcome = await llm.moderate("you are an idiot")
    assert (outcome.provider, outcome.result.screened) == ("ollama", False)
    assert outcome.result.quality_score is not None


async def test_a_failing_endpoint_follows_the_failure_table(stack: Stack) -> None:
    stack.ollama.set_fate(OUT)
    stack.openai.set_fate(Fate(answer="wrong_schema", times=1))
    async with stack.client() as llm:
        outcome = await llm.moderate("hello there")
    assert (outcome.attempts[-1].what, outcome.attempts[-1].requests) == ("answered", 2)
    assert outcome.cost_microusd == 0
