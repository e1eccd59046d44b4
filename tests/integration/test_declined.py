"""What comes of a provider that declines to answer, by an error or in its answer: no other is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from understudy.errors import AllProvidersFailed
from workers.stand_in import Fate
from workers.stand_in.fate import Answer

if TYPE_CHECKING:
    from tests.support.stack import Stack

DECLINES = [
    pytest.param(Fate(code="content_filter"), "content_filter", id="an error of a content filter"),
    pytest.param(Fate(answer=Answer.CONTENT_FILTER), "content_filter", id="an answer stopped by a content filter"),
    pytest.param(Fate(answer=Answer.REFUSAL), "refusal", id="a refusal"),
]


@pytest.mark.parametrize(("fate", "row"), DECLINES)
async def test_a_message_that_is_not_judged_needs_review(stack: Stack, fate: Fate, row: str) -> None:
    stack.ollama.set_fate(fate)
    async with stack.client() as llm:
        outcome = await llm.moderate("hello")
    assert outcome.result is not None
    assert outcome.result.needs_review
    assert outcome.provider == "ollama"
    assert stack.counts("openai")["total"] == 0


@pytest.mark.parametrize(("fate", "row"), DECLINES)
async def test_a_thread_gets_a_name_made_from_its_message(stack: Stack, fate: Fate, row: str) -> None:
    stack.ollama.set_fate(fate)
    async with stack.client() as llm:
        outcome = await llm.name_thread("Backups of photos")
    assert outcome.degraded
    assert outcome.reason == "rejected"
    assert [attempt.what for attempt in outcome.attempts] == [row]
    assert stack.counts("openai")["total"] == 0


@pytest.mark.parametrize(("fate", "row"), DECLINES)
async def test_an_agent_turn_fails_as_rejected(stack: Stack, fate: Fate, row: str) -> None:
    stack.ollama.set_fate(fate)
    async with stack.client() as llm:
        with pytest.raises(AllProvidersFailed) as failed:
            await llm.agent_turn([{"role": "user", "content": "hello"}])
    assert failed.value.outcome is not None
    assert failed.value.outcome["reason"] == "rejected"
    assert [attempt["what"] for attempt in failed.value.attempts] == [row]
    assert stack.counts("openai")["total"] == 0
