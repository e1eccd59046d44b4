"""A history that is too long for a model's window, with real workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.polling import aeventually
from understudy.window import fitting
from workers.stand_in import Fate
from workers.stand_in.ask import fingerprint_of

if TYPE_CHECKING:
    from tests.support.stack import Stack

LONG = "Some words about gardening. " * 150
"""About 1,100 tokens: three of them with their answers do not fit a window of 4,096."""


def prompts(stack: Stack, provider: str) -> list[str]:
    """The fingerprints of the prompts that a provider got, without probes."""
    records: list[dict[str, Any]] = stack.providers[provider].counts()["records"]
    return [record["fingerprint"] for record in records if record["kind"] != "probe"]


async def test_a_small_window_gets_the_newest_exchanges_and_a_large_one_all(stack: Stack, request: Any) -> None:
    system = {"role": "system", "content": "Be brief."}
    async with stack.client() as llm:
        chat = llm.conversation(request.node.name, system="Be brief.")
        for _ in range(4):
            assert (await chat.say(LONG)).provider == "ollama"
        before = await chat.history()
        assert len(before) == 8
        question = {"role": "user", "content": "And now?"}
        everything = [system, *before, question]
        trimmed = fitting(everything, 4_096)
        assert trimmed
        assert 3 <= len(trimmed) < len(everything)
        stack.ollama.clear_counts()
        stack.ollama.set_fate(Fate(status=500))
        outcome = await chat.say("And now?")
    assert outcome.provider == "openai"
    assert set(prompts(stack, "ollama")) == {fingerprint_of(trimmed)}
    assert prompts(stack, "openai") == [fingerprint_of(everything)]


async def test_newest_messages_that_fit_only_the_larger_window_go_there_at_once(stack: Stack, request: Any) -> None:
    async with stack.client() as llm:
        chat = llm.conversation(request.node.name)
        outcome = await chat.say(LONG * 5)
        assert [attempt.provider for attempt in outcome.attempts] == ["openai"]
        assert (await chat.say("Thanks.")).provider == "ollama"
    assert stack.counts("ollama")["total"] == 1


async def test_a_worker_that_gets_what_does_not_fit_moves_it_on_without_asking(stack: Stack) -> None:
    async with stack.client(understudy_ollama_context_window=100_000) as llm:  # a bot with other settings
        outcome = await llm.agent_turn([{"role": "user", "content": LONG * 5}])
    assert [(a.provider, a.what, a.requests) for a in outcome.attempts] == [
        ("ollama", "context_too_long", 0),
        ("openai", "answered", 1),
    ]
    assert stack.counts("ollama")["total"] == 0
    async with stack.look() as look:
        assert await look.breaker() == "closed"
    await aeventually(lambda: stack.running("openai") == 0)
