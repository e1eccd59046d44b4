"""Streams as a bot's tests see them: the client in memory, and the rules over what is shown."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from bot_client import AgentStream, AllProvidersFailed, CallCancelled, Delta, InvalidRequest
from bot_client.feed import MISSED, Feed
from bot_client.inbox import Event
from bot_client.order import Order
from bot_client.sync import Understudy as SyncUnderstudy
from bot_client.testing import FakeUnderstudy
from tests.support.polling import aeventually
from tests.support.watching import watch

ASKED = [{"role": "user", "content": "What is the weather?"}]
ANSWER = {"text": "It is sunny  in\nRome.", "finish_reason": "stop"}
CALL = {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
STEPS = [
    {"role": "assistant", "content": "Let me look.", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "t1", "content": "sunny"},
]


@pytest.fixture
def llm() -> FakeUnderstudy:
    return FakeUnderstudy()


async def test_a_scripted_answer_comes_word_by_word(llm: FakeUnderstudy) -> None:
    llm.answer("agent_turn", ANSWER)
    watched = await watch(llm.agent_turn(ASKED, stream=True))
    assert watched.is_whole
    assert [event.text for event in watched.events if isinstance(event, Delta)] == [
        "It",
        " is",
        " sunny",
        "  in",
        "\nRome.",
    ]
    assert watched.types == ["started", "delta", "done"]
    assert llm.calls[0].options.stream


async def test_a_scripted_fallback_begins_anew(llm: FakeUnderstudy) -> None:
    llm.fall_back("agent_turn", ANSWER, failure="cut", said="It rai")
    watched = await watch(llm.agent_turn(ASKED, stream=True))
    assert watched.types == ["started", "delta", "restarted", "started", "delta", "done"]
    assert [(restart.provider, restart.why) for restart in watched.restarts] == [("openai", "cut")]
    assert watched.is_whole


async def test_a_fallback_before_anything_was_said_begins_nothing_anew(llm: FakeUnderstudy) -> None:
    llm.fall_back("agent_turn", ANSWER)
    assert (await watch(llm.agent_turn(ASKED, stream=True))).types == ["started", "started", "delta", "done"]


async def test_scripted_steps_are_shown_with_the_text_before_them(llm: FakeUnderstudy) -> None:
    llm.answer("agent_turn", {**ANSWER, "steps": STEPS})
    watched = await watch(llm.agent_turn(ASKED, stream=True))
    assert watched.types == ["started", "delta", "tool_call", "tool_result", "delta", "done"]
    assert watched.shown == "Let me look.\n\nIt is sunny  in\nRome."


async def test_a_failed_turn_raises_out_of_the_iteration(llm: FakeUnderstudy) -> None:
    llm.fail("agent_turn", failures=("refused", "refused"))
    with pytest.raises(AllProvidersFailed):
        await watch(llm.agent_turn(ASKED, stream=True))


async def test_bad_input_raises_at_the_first_use_and_nothing_is_asked(llm: FakeUnderstudy) -> None:
    with pytest.raises(InvalidRequest):
        await watch(llm.agent_turn([], stream=True))
    assert llm.calls == []


async def test_a_held_turn_shows_its_beginning_and_goes_on_when_it_is_released(llm: FakeUnderstudy) -> None:
    llm.hold("agent_turn", ANSWER, said="It is")
    stream = llm.agent_turn(ASKED, stream=True)
    watching = asyncio.create_task(watch(stream))
    await aeventually(lambda: stream.text == "It is")
    llm.release()
    assert (await watching).is_whole


async def test_leaving_the_iteration_cancels_the_call(llm: FakeUnderstudy) -> None:
    llm.hold("agent_turn", said="It")
    stream = llm.agent_turn(ASKED, stream=True)
    async for event in stream:
        if isinstance(event, Delta):
            break
    with pytest.raises(CallCancelled):
        await stream.result()
    with pytest.raises(RuntimeError, match="iterated over once"):
        await watch(stream)


async def test_a_stream_that_is_cancelled_before_it_is_used_asks_nobody(llm: FakeUnderstudy) -> None:
    stream = llm.agent_turn(ASKED, stream=True)
    with pytest.raises(RuntimeError, match="not opened yet"):
        _ = stream.id
    assert not await stream.cancel()
    with pytest.raises(CallCancelled):
        await watch(stream)
    assert llm.calls == []


def test_a_script_without_a_loop_is_told_that_it_cannot_stream() -> None:
    with SyncUnderstudy(FakeUnderstudy()) as llm, pytest.raises(TypeError, match="needs an event loop"):
        llm.agent_turn(ASKED, stream=True)  # type: ignore[arg-type]


def said(n: int, kind: str, data: Any = "", epoch: int = 5) -> Event:
    return Event("c", kind, epoch, n, data if isinstance(data, str) else json.dumps(data))


STARTED = said(0, "started", {"provider": "ollama", "model": "m", "why": ""})
AGAIN = said(0, "started", {"provider": "openai", "model": "n", "why": "cut"}, epoch=6)
CALLED = said(1, "tool_call", {"id": "t1", "name": "weather", "arguments": "{}"})
ASKED_AGAIN = said(2, "restarted", {"provider": "ollama", "why": "empty"})
NEW = said(1, "mood", "x")
RESULT = {"id": "t1", "name": "weather", "content": "sunny", "ok": True}


@pytest.mark.parametrize(
    ("sentence", "events", "types"),
    [
        ("texts that wait are one", [STARTED, said(1, "delta", "A"), said(2, "delta", "b")], ["started", "delta"]),
        (
            "what tools do is shown",
            [STARTED, CALLED, said(2, "tool_result", RESULT)],
            ["started", "tool_call", "tool_result"],
        ),
        (
            "the next provider's answer begins anew",
            [STARTED, said(1, "delta", "A"), AGAIN, said(1, "delta", "B", 6)],
            ["started", "delta", "restarted", "started", "delta"],
        ),
        (
            "also one whose beginning is missing, and of that nothing is shown",
            [STARTED, said(1, "delta", "A"), said(1, "delta", "B", 6), said(2, "delta", "c", 6)],
            ["started", "delta", "restarted"],
        ),
        (
            "the same provider's second answer begins anew",
            [STARTED, said(1, "delta", "A"), ASKED_AGAIN, said(3, "delta", "B")],
            ["started", "delta", "restarted", "delta"],
        ),
        ("what a newer worker adds passes unseen", [STARTED, NEW, said(2, "delta", "A")], ["started", "delta"]),
        ("after a gap nothing is shown", [STARTED, said(2, "delta", "b"), said(3, "delta", "c")], ["started"]),
    ],
)  # fmt: skip
async def test_what_is_read_of_the_inbox_is_shown(sentence: str, events: list[Event], types: list[str]) -> None:
    order, feed = Order(), Feed()
    for event in events:
        feed.take(event, order.read(event))
    feed.close()
    read, position = await feed.after(0)
    assert [event.type for event in read] == types, sentence
    assert await feed.after(position) == ([], position)


@pytest.mark.parametrize(
    ("shown", "types"),
    [
        (["It is sunny"], ["delta", "delta", "done"]),
        (["It rains"], ["delta", "restarted", "delta", "done"]),
        ([], ["delta", "done"]),
    ],
)
async def test_after_missed_events_the_whole_answer_is_shown(
    llm: FakeUnderstudy, shown: list[str], types: list[str]
) -> None:
    llm.answer("agent_turn", ANSWER)
    call = await llm.submit("agent_turn", {"messages": ASKED})
    call.feed = Feed()
    for text in shown:
        call.feed.put(Delta(text))
    call.feed.close()

    async def opened() -> Any:
        return call

    watched = await watch(AgentStream(llm, opened))
    assert [event.type for event in watched.events] == types
    assert [restart.why for restart in watched.restarts] == [MISSED] * types.count("restarted")
    assert watched.is_whole
