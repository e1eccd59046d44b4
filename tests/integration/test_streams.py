"""Streamed turns through real workers: what a bot shows is what the outcome holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bot_client import Delta
from tests.support.watching import watch
from workers.stand_in import Fate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bot_client import Understudy
    from tests.support.stack import Stack

ASKED = [{"role": "user", "content": "Tell me about lighthouses."}]
LONG = Fate(tokens=60, drip_ms=10)


@pytest.fixture
async def llm(stack: Stack) -> AsyncIterator[Understudy]:
    async with stack.client() as client:
        yield client


@pytest.mark.parametrize("provider", ["ollama", "openai"])
async def test_deltas_add_up_to_the_answer_at_each_provider(stack: Stack, llm: Understudy, provider: str) -> None:
    stack.providers[provider].set_fate(LONG)
    if provider == "openai":
        stack.ollama.set_fate(Fate(status=401))
    watched = await watch(llm.agent_turn(ASKED, stream=True))
    assert watched.is_whole
    assert watched.outcome.provider == provider
    assert watched.types == [*["started"] * len(watched.providers), "delta", "done"]
    assert sum(isinstance(event, Delta) for event in watched.events) > 5, "it came in one piece"


@pytest.mark.parametrize(
    "fate", [Fate(no_done=True, tokens=20), Fate(no_usage=True, tokens=20)], ids=["no [DONE]", "no usage"]
)
async def test_a_stream_with_a_missing_end_is_whole(stack: Stack, llm: Understudy, fate: Fate) -> None:
    stack.ollama.set_fate(fate)
    watched = await watch(llm.agent_turn(ASKED, stream=True))
    assert watched.is_whole
    assert watched.outcome.provider == "ollama"


@pytest.mark.parametrize(
    "fate", [Fate(cut_after=9, tokens=40), Fate(malformed_after=9, tokens=40)], ids=["cut", "malformed"]
)
async def test_texts_of_two_providers_are_never_joined(stack: Stack, llm: Understudy, fate: Fate) -> None:
    stack.ollama.set_fate(Fate(**{**fate.to_json(), "drip_ms": 10}))
    watched = await watch(llm.agent_turn(ASKED, stream=True))
    assert watched.types == ["started", "delta", "restarted", "started", "delta", "done"]
    assert [(restart.provider, restart.why) for restart in watched.restarts] == [("openai", "cut")]
    assert watched.is_whole
    assert watched.outcome.provider == "openai"


async def test_an_answer_cut_off_at_the_token_limit_begins_anew_at_the_same_provider(
    stack: Stack, llm: Understudy
) -> None:
    stack.ollama.set_fate(Fate(answer="length", needs_tokens=2000, drip_ms=10))
    watched = await watch(llm.agent_turn(ASKED, stream=True))
    assert watched.types == ["started", "delta", "restarted", "delta", "done"]
    assert [(restart.provider, restart.why) for restart in watched.restarts] == [("ollama", "token_limit")]
    assert watched.is_whole
    assert watched.outcome.provider == "ollama"
