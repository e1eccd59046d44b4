"""Which models a request's newest messages fit, as the client sees it before anything is queued."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from bot_client import InvalidRequest
from bot_client.policy import policy_of, require_provider
from bot_client.testing import FakeUnderstudy
from bot_client.testing.fake import PROVIDERS
from understudy.contracts import KINDS
from understudy.contracts.agent_turn import AgentTurnRequest
from understudy.contracts.call import CallOptions, Spend
from workers.failures import ProviderFailure
from workers.fitting import fitted
from workers.kind_work import Prompt

if TYPE_CHECKING:
    from understudy.providers import Provider

SMALL, LARGE = (replace(provider, context_window=n) for provider, n in zip(PROVIDERS, (4_096, 128_000), strict=True))
TURN = KINDS["agent_turn"]


def request(*texts: str, **more: Any) -> AgentTurnRequest:
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]
    return AgentTurnRequest.model_validate({"messages": messages, **more})


def takers(request: AgentTurnRequest, options: CallOptions | None = None) -> list[str]:
    """Who may be asked."""
    policy = policy_of(TURN, options or CallOptions(), request)
    return [provider.name for provider in (SMALL, LARGE) if policy.allows(provider)]


LONG = "word " * 5_000
OBJECT = {"type": "object", "properties": {}}
TOOLS = [{"name": f"look{i}", "description": "!" * 4_000, "parameters": OBJECT} for i in range(3)]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (request("hi"), ["ollama", "openai"]),
        (request(LONG, LONG, "hi"), ["ollama", "openai"]),
        (request("hi", "hi", LONG), ["openai"]),
        (request("hi", system=LONG[:30_000]), ["openai"]),
        (request("hi", tools=TOOLS), ["openai"]),
        (request("w " * 7_600), ["ollama", "openai"]),
        (request("w " * 7_700), ["openai"]),
        (request("w " * 7_700, max_tokens=50), ["ollama", "openai"]),
    ],
)
def test_a_history_that_can_be_trimmed_shuts_nobody_out_and_newest_messages_that_do_not_fit_do(
    asked: AgentTurnRequest, expected: list[str]
) -> None:
    assert takers(asked) == expected


@pytest.mark.parametrize(
    ("providers", "options"), [((SMALL,), CallOptions()), ((SMALL, LARGE), CallOptions(spend=Spend.NEVER))]
)
def test_what_fits_no_model_that_may_be_asked_is_refused_with_both_figures(
    providers: tuple[Provider, ...], options: CallOptions
) -> None:
    policy = policy_of(TURN, options, request(LONG))
    with pytest.raises(InvalidRequest) as refused:
        require_provider(providers, policy)
    assert str(refused.value) == (
        "agent_turn: system and the newest messages take about 6,510 tokens with the answer, and the largest context"
        " window of the providers that may answer is 4,096 tokens."
    )


def test_other_kinds_are_not_estimated() -> None:
    moderation = KINDS["moderation"]
    policy = policy_of(moderation, CallOptions(), moderation.parse({"text": "敏" * 8_000}))
    assert policy.prompt_tokens == 0


async def test_the_client_in_memory_refuses_it_too_and_keeps_nothing_of_it() -> None:
    llm = FakeUnderstudy([SMALL])
    chat = llm.conversation("chat")
    with pytest.raises(InvalidRequest, match=r"the largest context window .* is 4,096 tokens"):
        await chat.say(LONG)
    assert llm.calls == []
    assert (await chat.say("hi")).result.text
    assert len(await chat.history()) == 2


def test_a_prompt_that_may_be_trimmed_is_and_another_stays_as_it_is() -> None:
    messages = [
        {"role": "user", "content": LONG},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": "b"},
    ]
    assert fitted(Prompt(messages, trims=True), SMALL, None).messages == messages[-1:]
    assert fitted(Prompt(messages, trims=True), LARGE, None).messages == messages
    assert fitted(Prompt(messages), SMALL, None).messages == messages


def test_a_prompt_whose_newest_exchange_does_not_fit_is_not_sent_and_names_the_window() -> None:
    with pytest.raises(ProviderFailure, match="longer than the window of 4,096 tokens") as failure:
        fitted(Prompt([{"role": "user", "content": LONG}], trims=True), SMALL, None)
    assert (failure.value.row.name, failure.value.requests) == ("context_too_long", 0)
