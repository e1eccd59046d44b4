"""What a whole installation charged, as its bot and its operator see it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.command_line import CommandLine
from tests.support.stack import PRICE
from understudy.state.reconcile import reconcile
from workers.stand_in import Fate

if TYPE_CHECKING:
    from pathlib import Path

    from bot_client import Outcome
    from tests.support.stack import Stack

OUT = Fate(status=500)


@pytest.fixture
def cli(tmp_path: Path, stack: Stack) -> CommandLine:
    return CommandLine(tmp_path, stack.redis.url(), **stack.environment)


async def test_an_outage_is_told_by_user_chat_and_kind_to_the_micro_dollar(stack: Stack, cli: CommandLine) -> None:
    stack.ollama.set_fate(OUT)
    async with stack.client() as llm:
        asked = [llm.moderate(f"message {i}", user_id="seen-user", chat_id="-100200") for i in range(5)]
        named = llm.name_thread("Backups of photos", user_id="seen-other")
        outcomes: list[Outcome[Any]] = [*await asyncio.gather(*asked), await named]
        by_user = {row.name: row for row in (await llm.spend(by="user")).rows}
        by_chat = {row.name: row for row in (await llm.spend(by="chat")).rows}
        everything = await llm.spend(by="day")
    assert {outcome.provider for outcome in outcomes} == {"openai"}
    costs = [outcome.cost_microusd for outcome in outcomes]
    assert all(cost > 0 for cost in costs)
    assert (by_user["seen-user"].microusd, by_user["seen-user"].requests) == (sum(costs[:5]), 5)
    assert (by_user["seen-other"].microusd, by_user["seen-other"].requests) == (costs[5], 1)
    assert by_chat["-100200"].microusd == sum(costs[:5])
    assert everything.microusd >= sum(costs)
    of_prompt, of_answer = float(str(PRICE["input"])), float(str(PRICE["output"]))
    for outcome in outcomes:
        tokens = outcome.usage
        assert tokens.prompt_tokens is not None
        assert tokens.completion_tokens is not None
        exact = tokens.prompt_tokens * of_prompt + tokens.completion_tokens * of_answer
        assert 0 <= round(outcome.cost_microusd - exact, 6) < 1
    ran = await cli.run("spend", "--by", "kind", "--json")
    assert {row["name"] for row in ran.json["rows"]} >= {"moderation", "thread_naming"}
    assert sum(row["microusd"] for row in ran.json["rows"]) == ran.json["microusd"]


async def test_the_totals_agree_with_the_records(stack: Stack) -> None:
    stack.ollama.set_fate(OUT)
    async with stack.client() as llm:
        await asyncio.gather(*(llm.moderate(f"another {i}", user_id="seen-user") for i in range(20)))
    async with stack.look() as look:
        found = await reconcile(look.redis, look.keys)
    assert found.sum_requests >= 20
    assert found.agrees
