"""Tools on the wire: how a stand-in calls them, what a refusal of tools means, and how long it is remembered."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.chat_parts import Ask, provider_at
from workers import chat as chat_module
from workers.chat import Chat
from workers.chat_dialect import rejects_tools
from workers.failures import ProviderFailure
from workers.kind_work import Prompt
from workers.stand_in import Fate, StandIn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from workers.chat_reply import Reply

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}},
    },
}
CLOCK = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object"}}}
USER = {"role": "user", "content": "hello"}


@pytest.fixture
async def stand_in() -> AsyncIterator[StandIn]:
    stand_in = StandIn("ollama")
    await stand_in.start()
    yield stand_in
    await stand_in.stop()


@pytest.fixture
async def chat() -> AsyncIterator[Chat]:
    chat = Chat()
    yield chat
    await chat.close()


async def ask(chat: Chat, stand_in: StandIn, *more: dict[str, Any], tools: Any = (WEATHER, CLOCK)) -> Reply:
    """One request with these tools, after these messages."""
    prompt = Prompt([USER, *more])
    return await chat.complete(provider_at(stand_in.base_url), prompt, timeout_s=20, tools=list(tools) or None)


@pytest.mark.parametrize(
    ("style", "finish"), [("split", "tool_calls"), ("whole", "tool_calls"), ("whole_stop", "stop")]
)
async def test_calls_come_whole_however_they_are_streamed(
    chat: Chat, stand_in: StandIn, style: str, finish: str
) -> None:
    await stand_in.set_fate(Fate(tool_names="weather,clock", tool_style=style, tool_text="One moment."))
    reply = await ask(chat, stand_in)
    assert (reply.text, reply.finish_reason) == ("One moment.", finish)
    calls = [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in reply.tool_calls]
    assert calls == [("weather", {"city": "some city", "days": 1}), ("clock", {})]


async def test_after_its_rounds_it_answers_with_what_the_tools_said(chat: Chat, stand_in: StandIn) -> None:
    first = await ask(chat, stand_in)
    assert [call["function"]["name"] for call in first.tool_calls] == ["weather"]
    called = {"role": "assistant", "tool_calls": list(first.tool_calls)}
    result = {"role": "tool", "tool_call_id": first.tool_calls[0]["id"], "content": "rain"}
    second = await ask(chat, stand_in, called, result)
    assert (second.tool_calls, second.text) == ((), "(stand-in) The tools said: rain")
    assert (await ask(chat, stand_in, tools=())).tool_calls == ()


async def test_a_history_that_a_provider_would_refuse_is_refused(chat: Chat, stand_in: StandIn) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": "{"}}
    result = {"role": "tool", "tool_call_id": "c1", "content": "x"}
    for bad in ([result], [{"role": "assistant", "tool_calls": [call]}, result]):
        with pytest.raises(ProviderFailure) as caught:
            await ask(chat, stand_in, *bad)
        assert caught.value.row.name == "bad_request"


async def test_a_model_that_refused_tools_is_not_offered_any_for_a_while(
    chat: Chat, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stand_in.set_fate(Fate(no_tools=True))
    requests = []
    for _ in range(2):
        with pytest.raises(ProviderFailure) as caught:
            await ask(chat, stand_in)
        requests.append((caught.value.row.name, caught.value.requests))
    assert requests == [("no_tools", 1), ("no_tools", 0)]
    assert (await chat.complete(provider_at(stand_in.base_url), Ask(), timeout_s=20)).text
    monkeypatch.setattr(chat_module, "TOOLLESS_S", 0.0)
    later = Chat()
    for _ in range(2):
        with pytest.raises(ProviderFailure) as caught:
            await ask(later, stand_in)
        assert caught.value.requests == 1
    await later.close()


@pytest.mark.parametrize(
    ("param", "message"),
    [
        ("tools", "Unsupported parameter."),
        ("tool_choice", ""),
        (None, "registry.ollama.ai/library/gemma:2b does not support tools"),
        (None, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'),
        (None, "tools param requires --jinja flag"),
        (None, "No endpoints found that support tool use."),
        (None, "Unrecognized request argument supplied: tools"),
        (None, "Extra inputs are not permitted: tools"),
        (None, "This model doesn't support function calling."),
    ],
)
def test_servers_say_in_many_ways_that_a_model_takes_no_tools(param: str | None, message: str) -> None:
    assert rejects_tools({"tools": [CLOCK]}, param, message)
    assert not rejects_tools({}, param, message)


@pytest.mark.parametrize(
    ("param", "message"),
    [
        ("tools[0].function.parameters", "Unsupported keyword."),
        ("messages", "does not support tools"),
        (None, "Invalid schema for function 'x': 'text' is not supported."),
        (None, "tools.0.function.parameters: unknown keyword in tools"),
        (None, "An assistant message with 'tool_calls' must be followed by tool messages; some did not have any"),
        (None, "unexpected `tool_use_id` found in `tool_result` blocks"),
        (None, "temperature is not supported"),
    ],
)
def test_that_one_tool_is_wrong_says_nothing_of_the_model(param: str | None, message: str) -> None:
    assert not rejects_tools({"tools": [CLOCK]}, param, message)
