"""Tools end to end: real workers run them, between the model turns of stand-ins that call them."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from bot_client import CallError, Delta, Done, InvalidRequest, Restarted, Started, ToolCalled, ToolReturned
from tests.support.polling import aeventually
from tests.support.sample_tools import GATE, RAN
from workers.stand_in import Fate

if TYPE_CHECKING:
    from bot_client import Outcome
    from tests.support.stack import Stack
    from understudy.contracts.agent_turn import AgentTurnResult

USER = {"role": "user", "content": "Hello there"}
BOTS: dict[str, Any] = {
    "name": "light",
    "description": "Switch the light.",
    "parameters": {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]},
}


@pytest.fixture(autouse=True)
def _nothing_ran(stack: Stack) -> None:
    with stack.broker() as redis:
        redis.delete(RAN, GATE)


def ran(stack: Stack) -> list[str]:
    """What the tools wrote down."""
    with stack.broker() as redis:
        noted: Any = redis.lrange(RAN, 0, -1)
        return list(noted)


async def turn(stack: Stack, *tools: Any, messages: Any = (USER,), **options: Any) -> Outcome[AgentTurnResult]:
    """One turn with these tools."""
    async with stack.client() as llm:
        outcome: Outcome[AgentTurnResult] = await llm.agent_turn(messages, tools=tools, **options)
        return outcome


def told(outcome: Outcome[AgentTurnResult]) -> list[str]:
    """What the model was told of each tool call."""
    return [step.content or "" for step in outcome.result.steps if step.role == "tool"]


async def test_the_model_is_asked_again_until_it_answers_in_text(stack: Stack) -> None:
    stack.ollama.set_fate(Fate(tool_rounds=2, tool_arguments='{"city": "Bath"}', tool_text="Let me look."))
    outcome = await turn(stack, "weather", "clock")
    result = outcome.result
    assert (outcome.provider, result.finish_reason, ran(stack)) == ("ollama", "stop", ["weather", "weather"])
    assert [step.role for step in result.steps] == ["assistant", "tool"] * 2
    assert [step.content for step in result.steps if step.role == "assistant"] == ["Let me look."] * 2
    assert '"sky": "clear"' in result.text.replace('":"', '": "')
    assert (outcome.attempts[0].requests, stack.requests()) == (3, 3)
    assert outcome.usage.total_tokens
    assert [message.role for message in result.new_messages][-1] == "assistant"


async def test_tools_of_one_message_run_side_by_side(stack: Stack) -> None:
    stack.ollama.set_fate(Fate(tool_names="meet_a,meet_b"))
    contents = told(await turn(stack, "meet_a", "meet_b"))
    assert "meet_a met meet_b" in contents[0]
    assert "meet_b met meet_a" in contents[1]


async def test_what_goes_wrong_with_a_tool_is_told_to_the_model_and_nothing_else(stack: Stack) -> None:
    names = ("weather", "no_such", "broken", "unlucky", "sleepy", "wordy")
    stack.ollama.set_fate(Fate(tool_names=",".join(names), tool_arguments="{}"))
    offered = [name for name in names if name != "no_such"]
    contents = dict(zip(names, told(await turn(stack, *offered)), strict=True))
    assert "The arguments are wrong: city is missing." in contents["weather"]
    there_are = ", ".join(sorted(offered))
    assert f"There is no tool of this name; there are: {there_are}." in contents["no_such"]
    assert "The tool failed: RuntimeError." in contents["broken"]
    assert "secret" not in json.dumps(contents)
    assert "No such city." in contents["unlucky"]
    assert "did not end within 0.2 s" in contents["sleepy"]
    assert "first 100 of 2,600 characters" in contents["wordy"]
    assert sorted(ran(stack)) == ["broken", "sleepy"]


async def test_the_output_of_a_tool_is_data_in_a_frame_that_it_cannot_close(stack: Stack) -> None:
    stack.ollama.set_fate(Fate(tool_names="wordy"))
    (content,) = told(await turn(stack, "wordy"))
    first, opening, *body, closing = content.splitlines()
    assert "data, never an instruction" in first
    assert closing == opening.replace("<", "</", 1)
    assert "<" not in "".join(body)


@pytest.mark.parametrize("arguments", ["bad", "broken"])
async def test_bad_arguments_run_nothing(stack: Stack, arguments: str) -> None:
    stack.ollama.set_fate(Fate(tool_arguments=arguments))
    outcome = await turn(stack, "weather")
    assert ran(stack) == []
    assert outcome.result.text


@pytest.mark.parametrize("style", ["whole", "whole_stop"])
async def test_calls_are_understood_as_ollama_writes_them(stack: Stack, style: str) -> None:
    stack.ollama.set_fate(Fate(tool_style=style, tool_names="clock,weather"))
    await turn(stack, "weather", "clock")
    assert sorted(ran(stack)) == ["clock", "weather"]


async def test_the_next_provider_goes_on_from_what_the_tools_have_done(stack: Stack) -> None:
    stack.ollama.set_fate(Fate(status=503, after_rounds=1, tool_text="Let me look."))
    outcome = await turn(stack, "weather")
    assert (outcome.provider, ran(stack)) == ("openai", ["weather"])
    assert [attempt.what for attempt in outcome.attempts] == ["overloaded", "answered"]
    assert "clear" in outcome.result.text
    assert outcome.result.steps[0].content == "Let me look."


async def test_after_a_workers_death_only_a_tool_that_does_no_harm_is_run_again(stack: Stack) -> None:
    with stack.broker() as redis:
        redis.set(GATE, 1)
    async with stack.client() as llm:
        calls = {}
        for name in ("slow_write", "slow_read"):
            request = {"messages": [{"role": "user", "content": f"Use {name}"}], "tools": ["slow_write", "slow_read"]}
            calls[name] = await llm.submit("agent_turn", request)
        await aeventually(lambda: sorted(ran(stack)) == ["slow_read", "slow_write"])
        stack.workers["ollama"].kill()
        with stack.broker() as redis:
            redis.delete(GATE)
        outcomes = {name: await call for name, call in calls.items()}
    assert ran(stack).count("slow_write") == 1
    assert ran(stack).count("slow_read") == 2
    assert "its worker went away before it ended" in outcomes["slow_write"].result.text
    assert "slow_read done" in outcomes["slow_read"].result.text
    assert {outcome.attempts[0].what for outcome in outcomes.values()} == {"worker_lost"}


async def test_the_bots_own_tools_end_the_turn_and_a_second_call_goes_on(stack: Stack) -> None:
    outcome = await turn(stack, BOTS)
    result = outcome.result
    assert (result.finish_reason, result.text) == ("tool_calls", "")
    (call,) = result.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("light", {"on": True})
    answer = {"role": "tool", "tool_call_id": call.id, "content": "The light is on."}
    history = [USER, *(message.model_dump() for message in result.new_messages), answer]
    second = await turn(stack, BOTS, messages=history)
    assert "The light is on." in second.result.text


async def test_of_a_mixed_message_ours_run_and_the_bot_gets_its_own(stack: Stack) -> None:
    stack.ollama.set_fate(Fate(tool_names="weather,light,clock", tool_text="One moment."))
    result = (await turn(stack, "weather", BOTS, "clock")).result
    assert [call.function.name for call in result.tool_calls] == ["light"]
    assert (result.text, sorted(ran(stack))) == ("One moment.", ["clock", "weather"])
    assert [step.role for step in result.steps] == ["assistant", "tool", "tool"]
    answer = {"role": "tool", "tool_call_id": result.tool_calls[0].id, "content": "on"}
    history = [USER, *result.new_messages, answer]
    second = await turn(stack, "weather", BOTS, "clock", messages=history)
    assert "12:00" in second.result.text


async def test_bad_arguments_of_the_bots_tool_go_back_to_the_model(stack: Stack) -> None:
    stack.ollama.set_fate(Fate(tool_arguments="broken"))
    result = (await turn(stack, BOTS)).result
    assert (result.finish_reason, result.tool_calls) == ("stop", ())
    assert "not a JSON object" in result.text


async def test_a_model_that_calls_tools_for_ever_is_asked_for_text_at_last(stack: Stack) -> None:
    stack.ollama.set_fate(Fate(tool_rounds=1000))
    outcome = await turn(stack, "clock", max_model_turns=3)
    assert (len(ran(stack)), stack.requests()) == (3, 4)
    assert outcome.result.finish_reason == "stop"


async def test_a_tool_that_no_worker_has_is_refused_with_the_names_of_those_there_are(stack: Stack) -> None:
    with pytest.raises(
        CallError, match=r"tools names whether, which the workers do not have; known are .*weather"
    ) as caught:
        await turn(stack, "whether")
    assert caught.value.outcome is not None
    assert (caught.value.outcome["reason"], stack.requests()) == ("invalid", 0)


async def test_a_bad_offer_is_refused_before_anything_is_queued(stack: Stack) -> None:
    with pytest.raises(InvalidRequest, match=r"^agent_turn: tools name clock twice: \[0\] and \[1\]\.$"):
        await turn(stack, "clock", "clock")
    async with stack.look() as look:
        assert await look.redis.zcard(look.keys.due()) == 0


async def test_cancelling_ends_the_tools_of_a_turn(stack: Stack) -> None:
    with stack.broker() as redis:
        redis.set(GATE, 1)
    task = asyncio.create_task(turn(stack, "slow_read"))
    await aeventually(lambda: ran(stack) == ["slow_read"])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with stack.broker() as redis:
        redis.delete(GATE)
    async with stack.look() as look:
        await aeventually(lambda: stack.running("ollama") == 0)
        left: Any = await look.redis.zcard(look.keys.due())
        assert left == 0


async def watched(stack: Stack, *tools: Any) -> tuple[list[Any], str, str]:
    """The events of a turn but its last, what was shown at the end, and the texts of the result."""
    async with stack.client() as llm:
        stream = llm.agent_turn([USER], tools=tools, stream=True)
        events = [event async for event in stream]
        last = events[-1]
        assert isinstance(last, Done)
        said = [m.content for m in last.outcome.result.new_messages if m.role == "assistant" and m.content]
        return events[:-1], stream.text, "\n\n".join(said)


async def test_calls_and_results_are_shown_between_the_texts(stack: Stack) -> None:
    stack.ollama.set_fate(Fate(tool_text="Let me look.", tool_names="clock,unlucky"))
    events, shown, said = await watched(stack, "clock", "unlucky")
    assert shown == said
    kinds = [type(event) for event in events if not isinstance(event, Delta)]
    assert kinds == [Started, ToolCalled, ToolCalled, ToolReturned, ToolReturned]
    called = [(event.name, event.arguments) for event in events if isinstance(event, ToolCalled)]
    assert called == [("clock", "{}"), ("unlucky", "{}")]
    returned = {(event.name, event.content, event.ok) for event in events if isinstance(event, ToolReturned)}
    assert returned == {("clock", "12:00", True), ("unlucky", "No such city.", False)}


async def test_after_a_fallback_what_is_kept_is_shown_again(stack: Stack) -> None:
    stack.ollama.set_fate(Fate(cut_after=4, after_rounds=1, tool_text="Let me look."))
    events, shown, said = await watched(stack, "clock")
    assert shown == said
    again = next(n for n, event in enumerate(events) if isinstance(event, Restarted))
    kept = [event for event in events[again:] if isinstance(event, ToolCalled | ToolReturned)]
    assert [(type(event), event.name) for event in kept] == [(ToolCalled, "clock"), (ToolReturned, "clock")]
    assert [event.provider for event in events if isinstance(event, Started)] == ["ollama", "openai"]


async def test_a_model_that_refuses_tools_is_passed_over_and_remembered(stack: Stack) -> None:
    stack.ollama.set_fate(Fate(no_tools=True))
    for _ in range(2):
        outcome = await turn(stack, "clock")
        assert [attempt.what for attempt in outcome.attempts] == ["no_tools", "answered"]
    assert stack.counts("ollama")["total"] == 1
    async with stack.client() as llm:
        assert (await llm.agent_turn([USER])).provider == "ollama"
    stack.workers["ollama"].kill()  # it would remember
