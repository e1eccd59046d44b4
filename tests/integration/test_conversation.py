"""Conversations, over the real client with a real Redis and over the one in memory."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from bot_client import AllProvidersFailed, CallCancelled, DeadlineExceeded, InvalidRequest, Unavailable
from bot_client.testing import FakeUnderstudy
from tests.support.client_world import KINDS_OF_CLIENT, World, world_of
from tests.support.polling import aeventually
from understudy.history import UNANSWERED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from understudy.contracts.agent_turn import AgentTurnRequest

SPEC = {"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
CALLING = {
    "text": "",
    "finish_reason": "tool_calls",
    "tool_calls": [CALL],
    "steps": [{"role": "assistant", "tool_calls": [CALL]}],
}


@pytest.fixture(params=KINDS_OF_CLIENT)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with world_of(request) as made:
        made.script.answer("agent_turn", echo, always=True)
        yield made


def echo(request: AgentTurnRequest) -> dict[str, Any]:
    """An answer that says what was asked."""
    return {"text": f"re {request.messages[-1].content}", "finish_reason": "stop"}


def asked(world: World) -> list[list[str]]:
    """The messages of each call that was made, by their text."""
    if isinstance(world.script, FakeUnderstudy):
        requests = [call.request.model_dump(mode="json", exclude_defaults=True) for call in world.script.calls]
    else:
        requests = world.script.requests
    return [[message.get("content") or "" for message in request["messages"]] for request in requests]


async def begun(world: World, calls: int = 1) -> None:
    """Wait until so many calls were begun."""
    await aeventually(lambda: len(asked(world)) == calls)


async def texts(world: World, conversation: str = "chat") -> list[str]:
    return [message.get("content", "") for message in await world.llm.conversation(conversation).history()]


async def test_a_turn_is_asked_with_all_that_was_said_before(world: World) -> None:
    chat = world.llm.conversation("chat")
    assert (await chat.say("one")).result.text == "re one"
    await chat.say("two", name="eve")
    assert asked(world) == [["one"], ["one", "re one", "two"]]
    assert (await chat.history())[2] == {"role": "user", "content": "two", "name": "eve"}
    assert await texts(world) == ["one", "re one", "two", "re two"]


async def test_conversations_do_not_know_of_each_other_and_one_outlives_its_client(world: World) -> None:
    await world.llm.conversation("a").say("one")
    await world.llm.conversation(2).say("two")
    await world.restart()
    await world.llm.conversation("2").say("three")
    assert asked(world) == [["one"], ["two"], ["two", "re two", "three"]]


async def test_system_prompt_and_language_are_of_the_turn_and_not_of_the_history(world: World) -> None:
    await world.llm.conversation("chat", system="Be brief.", language="German").say("one")
    await world.llm.conversation("chat").say("two")
    systems: list[Any]
    if isinstance(world.script, FakeUnderstudy):
        systems = [getattr(call.request, "system", None) for call in world.script.calls]
    else:
        systems = [request.get("system") for request in world.script.requests]
    assert systems[0].startswith("Be brief.")
    assert "German" in systems[0]
    assert systems[1] is None
    assert len(await texts(world)) == 4


async def test_turns_of_one_conversation_run_one_after_another_in_the_order_they_came(world: World) -> None:
    chat, same = world.llm.conversation("chat"), world.llm.conversation("chat")
    outcomes = await asyncio.gather(*((chat, same)[i % 2].say(str(i)) for i in range(6)))
    assert [outcome.result.text for outcome in outcomes] == [f"re {i}" for i in range(6)]
    said = [text for i in range(6) for text in (str(i), f"re {i}")]
    assert asked(world) == [said[: 2 * i + 1] for i in range(6)]
    assert await texts(world) == said


async def test_other_conversations_go_on_beside_one_that_waits(world: World) -> None:
    world.script.hold("agent_turn")
    first = asyncio.create_task(world.llm.conversation("a").say("held"))
    await begun(world)
    behind = asyncio.create_task(world.llm.conversation("a").say("behind"))
    assert (await world.llm.conversation("b").say("beside")).result.text == "re beside"
    assert not behind.done()
    world.script.release()
    assert (await first).result.text
    assert (await behind).result.text == "re behind"


async def test_a_streamed_turn_is_in_the_history_when_it_is_done(world: World) -> None:
    events = [event async for event in world.llm.conversation("chat").say("one", stream=True)]
    assert events[-1].type == "done"
    assert await texts(world) == ["one", "re one"]


async def test_a_turn_that_fails_leaves_no_half_exchange(world: World) -> None:
    chat = world.llm.conversation("chat")
    await chat.say("one")
    world.script.fail("agent_turn")
    with pytest.raises(AllProvidersFailed):
        await chat.say("two")
    await chat.say("three")
    assert await texts(world) == ["one", "re one", "three", "re three"]


async def test_a_turn_that_is_cancelled_leaves_none_either_and_the_next_one_goes_on(world: World) -> None:
    chat = world.llm.conversation("chat")
    world.script.hold("agent_turn")
    turn = asyncio.create_task(chat.say("one"))
    await begun(world)
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    await chat.say("two")
    assert await texts(world) == ["two", "re two"]


async def test_a_stream_that_is_left_frees_the_conversation(world: World) -> None:
    chat = world.llm.conversation("chat")
    world.script.hold("agent_turn")
    async with chat.say("one", stream=True):
        await begun(world)
    await chat.say("two")
    assert await texts(world) == ["two", "re two"]


async def test_a_turn_that_waits_can_be_given_up_and_was_never_asked(world: World) -> None:
    chat = world.llm.conversation("chat")
    world.script.hold("agent_turn")
    first = asyncio.create_task(chat.say("one"))
    await begun(world)
    stream = chat.say("two", stream=True)
    waiting = asyncio.create_task(stream.result())
    task = asyncio.create_task(chat.say("three"))
    await asyncio.sleep(0)
    assert await stream.cancel() is False
    with pytest.raises(CallCancelled):
        await waiting
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    world.script.release()
    await first
    await chat.say("four")
    assert world.opened == 2


async def test_what_a_turn_waits_counts_toward_its_deadline(world: World) -> None:
    chat = world.llm.conversation("chat")
    world.script.hold("agent_turn")
    first = asyncio.create_task(chat.say("one"))
    await begun(world)
    with pytest.raises(DeadlineExceeded, match=r"the earlier turns of its conversation took all of its 0\.2 s"):
        await chat.say("two", deadline_s=0.2)
    world.script.release()
    await first
    assert world.opened == 1


async def test_the_same_key_is_one_turn(world: World) -> None:
    chat = world.llm.conversation("chat")
    first, again = await asyncio.gather(chat.say("one", key="m1"), chat.say("one", key="m1"))
    assert first == again
    await chat.say("two", key="m2")
    assert await chat.say("one", key="m1") == first
    assert await texts(world) == ["one", "re one", "two", "re two"]
    assert world.opened == 2


async def test_a_key_whose_turn_failed_may_be_asked_again(world: World) -> None:
    chat = world.llm.conversation("chat")
    world.script.fail("agent_turn")
    with pytest.raises(AllProvidersFailed):
        await chat.say("one", key="m1")
    await chat.say("between")
    assert (await chat.say("one", key="m1")).result.text == "re one"


async def test_what_is_kept_is_limited_in_whole_exchanges(world: World) -> None:
    chat = world.llm.conversation("chat", max_messages=4)
    for i in range(5):
        await chat.say(str(i))
    assert asked(world)[-1] == ["2", "re 2", "3", "re 3", "4"]
    assert await texts(world) == ["3", "re 3", "4", "re 4"]
    small = world.llm.conversation("chat", max_tokens=1)
    await small.say("x")
    assert asked(world)[-1] == ["4", "re 4", "x"]
    assert await texts(world) == ["x", "re x"]


async def test_clear_forgets_and_a_turn_under_way_is_not_kept_either(world: World) -> None:
    chat = world.llm.conversation("chat")
    await chat.say("one")
    world.script.hold("agent_turn")
    turn = asyncio.create_task(chat.say("two"))
    await begun(world, 2)
    await chat.clear()
    world.script.release()
    await turn
    assert await texts(world) == []
    await chat.say("three")
    assert await texts(world) == ["three", "re three"]


async def test_the_bots_own_tools_are_answered_within_the_same_exchange(world: World) -> None:
    chat = world.llm.conversation("chat", max_messages=4)
    await chat.say("zero")
    world.script.answer("agent_turn", CALLING)
    outcome = await chat.say("one", tools=[SPEC])
    assert [call.id for call in outcome.result.tool_calls] == ["c1"]
    assert (await chat.give_results({"c1": "seen"}, tools=[SPEC])).result.text == "re seen"
    assert [m["role"] for m in await chat.history()] == ["user", "assistant", "tool", "assistant"]
    await chat.say("two")
    assert asked(world)[-1] == ["one", "", "seen", "re seen", "two"]
    assert await texts(world) == ["two", "re two"]


async def test_a_tool_call_that_the_bot_left_open_is_told_as_not_run(world: World) -> None:
    chat = world.llm.conversation("chat")
    world.script.answer("agent_turn", CALLING)
    await chat.say("one", tools=[SPEC])
    await chat.say("never mind")
    assert asked(world)[-1] == ["one", "", UNANSWERED, "never mind"]
    with pytest.raises(InvalidRequest, match="results names a tool call that the latest answer"):
        await chat.give_results({"c1": "late"})


async def test_out_of_reach_is_said_so(world: World) -> None:
    if not isinstance(world.script, FakeUnderstudy):
        pytest.skip("the real client's outages have tests of their own")
    world.script.unavailable = True
    chat = world.llm.conversation("chat")
    for work in (chat.say("x"), chat.history(), chat.clear()):
        with pytest.raises(Unavailable):
            await work
