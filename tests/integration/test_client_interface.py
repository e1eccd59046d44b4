"""What every client promises; run over the real one, with a real Redis, and over the one in memory."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from bot_client import (
    Action,
    AgentTurnResult,
    AllProvidersFailed,
    CallCancelled,
    CallError,
    DeadlineExceeded,
    InvalidRequest,
    KeyConflict,
    ModerationResult,
    NoWorkers,
    Quarantined,
    ThreadNamingResult,
    Unavailable,
    UnknownCall,
    Violation,
)
from bot_client.testing import FakeUnderstudy, Script
from tests.support.client_world import KINDS_OF_CLIENT, World, is_running, world_of
from tests.support.polling import aeventually
from tests.support.scripted_worker import ScriptedWorker
from understudy.contracts.ids import call_id_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SPAM = ModerationResult(
    helpful=False, violation=Violation.SPAM, quality_score=1, action=Action.DELETE, reason="It sells something."
)


@pytest.fixture(params=KINDS_OF_CLIENT)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with world_of(request) as made:
        yield made


def test_both_sides_of_this_suite_are_scripted_alike() -> None:
    assert issubclass(FakeUnderstudy, Script)
    assert issubclass(ScriptedWorker, Script)


async def test_each_kind_is_answered_with_its_own_model(world: World) -> None:
    world.script.answer("moderation", SPAM)
    world.script.answer("thread_naming", {"name": "Cheap pills"})
    world.script.answer("agent_turn", {"text": "Hello!", "finish_reason": "stop"})
    verdict = await world.llm.moderate("buy now", "no spam", chat_id=-100, message_id=5, user_id=7, author="Eve")
    named = await world.llm.name_thread("Where do I get cheap pills?", "English", 30)
    turn = await world.llm.agent_turn([{"role": "user", "content": "Hi"}], "Be brief.", max_tokens=50)
    assert verdict.result == SPAM
    assert named.result == ThreadNamingResult(name="Cheap pills")
    assert turn.result == AgentTurnResult(text="Hello!", finish_reason="stop")
    assert [verdict.kind, named.kind, turn.kind] == ["moderation", "thread_naming", "agent_turn"]


async def test_an_outcome_says_who_answered_after_what(world: World) -> None:
    world.script.fall_back("moderation", SPAM, failure="first_byte_timeout")
    outcome = await world.llm.moderate("buy now")
    assert (outcome.provider, outcome.degraded) == ("openai", False)
    assert [(a.provider, a.what) for a in outcome.attempts] == [
        ("ollama", "first_byte_timeout"),
        ("openai", "answered"),
    ]
    assert outcome.usage.total_tokens
    assert outcome.model_dump(mode="json")["result"]["violation"] == "spam"


async def test_a_degraded_answer_is_an_answer_and_says_so(world: World) -> None:
    world.script.degrade("thread_naming")
    outcome = await world.llm.name_thread("How do I cook rice?")
    assert outcome.degraded
    assert outcome.result is not None
    assert outcome.result.name == "How do I cook rice"


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("no_provider", AllProvidersFailed),
        ("deadline", DeadlineExceeded),
        ("no_workers", NoWorkers),
        ("quarantined", Quarantined),
        ("rejected", AllProvidersFailed),
        ("bug", CallError),
    ],
)
async def test_a_call_without_an_answer_raises_the_error_of_its_reason(
    world: World, reason: str, error: type[CallError]
) -> None:
    world.script.fail("moderation", reason, failures=["refused", "refused"])
    with pytest.raises(error) as raised:
        await world.llm.moderate("hello")
    assert [attempt["provider"] for attempt in raised.value.attempts] == ["ollama", "openai"]
    assert "hello" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"text": ""}, "moderation: text"),
        ({"text": "x" * 8001}, "moderation: text has 8,001 characters; at most 8,000"),
        ({"text": "x", "deadline_s": 0}, "call: deadline_s is 0; it must be more than 0"),
        ({"text": "x", "spend": "sometimes"}, "call: spend must be one of"),
        ({"text": "x", "key": ""}, "call: key"),
        ({"text": "x", "user_id": "u" * 201}, "moderation: user_id"),
    ],
)
async def test_bad_input_is_refused_in_one_sentence_before_anything_is_opened(
    world: World, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidRequest, match=f"^{sentence}") as raised:
        await world.llm.moderate(**options)
    assert str(raised.value).count("\n") == 0
    await world.llm.moderate("good")  # the script's first answer is still there, and the only message is this one
    assert world.opened == 1


async def test_an_unknown_kind_or_option_is_refused_by_name(world: World) -> None:
    with pytest.raises(InvalidRequest, match="kind must be one of moderation, thread_naming, agent_turn"):
        await world.llm.submit("translation", {"text": "x"})
    with pytest.raises(InvalidRequest, match="deadline is not a known field"):
        await world.llm.submit("moderation", {"text": "x"}, deadline=3)  # type: ignore[call-overload]
    with pytest.raises(InvalidRequest, match="agent_turn: messages must be a list, not text"):
        await world.llm.agent_turn("hello")  # type: ignore[arg-type]


async def test_submit_returns_a_handle_that_many_may_await(world: World) -> None:
    world.script.hold("moderation", SPAM)
    call = await world.llm.submit("moderation", {"text": "x", "user_id": 7}, user_id=7, deadline_s=20)
    assert (call.kind, call.done()) == ("moderation", False)
    assert call.id in repr(call)
    waiting = [asyncio.ensure_future(call.result()) for _ in range(3)]
    await asyncio.sleep(0)
    world.script.release()
    assert [outcome.result for outcome in await asyncio.gather(*waiting)] == [SPAM] * 3
    assert call.done()
    assert (await call).call_id == call.id
    assert (await call.status()).state == "done"


async def test_a_wait_that_is_over_leaves_the_call_running(world: World) -> None:
    world.script.hold("moderation", SPAM)
    call = await world.llm.submit("moderation", {"text": "x"})
    with pytest.raises(TimeoutError):
        await call.result(timeout_s=0.02)
    assert not call.done()
    world.script.release()
    assert (await call).result == SPAM


async def test_calls_with_the_same_key_are_one_call(world: World) -> None:
    world.script.answer("moderation", SPAM)
    together = await asyncio.gather(*(world.llm.moderate("x", key="chat:1") for _ in range(5)))
    later = await world.llm.moderate("x", key="chat:1")
    assert {outcome.call_id for outcome in (*together, later)} == {later.call_id}
    assert later.result == SPAM
    assert (await world.llm.moderate("x", key="chat:2")).call_id != later.call_id


async def test_a_key_of_another_request_is_refused(world: World) -> None:
    await world.llm.moderate("x", key="chat:1")
    with pytest.raises(KeyConflict, match="key already belongs to another moderation request"):
        await world.llm.moderate("y", key="chat:1")
    assert (await world.llm.name_thread("x", key="chat:1")).result is not None  # another kind is another call


async def test_a_key_whose_call_failed_is_tried_anew_under_the_samecall_id_for(world: World) -> None:
    world.script.fail("moderation", "no_provider")
    with pytest.raises(AllProvidersFailed) as raised:
        await world.llm.moderate("x", key="chat:1")
    outcome = await world.llm.moderate("x", key="chat:1")
    assert outcome.call_id == raised.value.call_id


async def test_a_cancelled_call_ends_as_cancelled(world: World) -> None:
    world.script.hold("moderation")
    call = await world.llm.submit("moderation", {"text": "x"}, key="k")
    await aeventually(lambda: is_running(world.llm, "moderation", "k"))
    assert await call.cancel()
    with pytest.raises(CallCancelled):
        await call
    assert (await call.status()).state == "cancelled"
    answered = await world.llm.moderate("y")
    assert not await world.llm.cancel(answered.call_id)


async def test_cancelling_the_task_that_awaits_a_question_cancels_the_call(world: World) -> None:
    world.script.hold("moderation")
    call = await world.llm.submit("moderation", {"text": "x"}, key="k")
    task = asyncio.ensure_future(call.result())
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (await call.status()).state in ("queued", "running")  # a handle's waiter only stops waiting
    asking = asyncio.ensure_future(world.llm.agent_turn([{"role": "user", "content": "hi"}], key="turn"))
    world.script.hold("agent_turn")
    await aeventually(lambda: is_running(world.llm, "agent_turn", "turn"))
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    status = await (await world.llm.call(call_id_for("agent_turn", "turn"))).status()
    assert status.state == "cancelled"


async def test_of_two_tasks_that_wait_for_one_key_one_may_be_cancelled(world: World) -> None:
    world.script.hold("moderation", SPAM)
    asking = [asyncio.ensure_future(world.llm.moderate("x", key="k")) for _ in range(2)]
    await aeventually(lambda: is_running(world.llm, "moderation", "k"))
    asking[0].cancel()
    await asyncio.gather(asking[0], return_exceptions=True)
    world.script.release()
    assert (await asking[1]).result == SPAM


async def test_a_call_is_found_again_by_its_id_after_a_restart(world: World) -> None:
    world.script.hold("moderation", SPAM)
    call = await world.llm.submit("moderation", {"text": "x"})
    waiting = asyncio.ensure_future(call.result())
    await asyncio.sleep(0.01)
    await world.restart()
    with pytest.raises(Unavailable, match="goes on"):
        await waiting
    found = await world.llm.call(call.id)
    assert not found.done()
    world.script.release()
    assert (await found).result == SPAM
    await world.restart()
    assert (await (await world.llm.call(call.id))).result == SPAM


async def test_an_id_of_no_call_is_unknown(world: World) -> None:
    with pytest.raises(UnknownCall):
        await world.llm.call("nobody")
    with pytest.raises(UnknownCall):
        await world.llm.cancel("nobody")


async def test_a_call_that_takes_longer_than_its_deadline_runs_out_of_time(world: World) -> None:
    world.script.answer("moderation", SPAM, delay_s=1.0)
    world.script.answer("thread_naming", {"name": "Too late"}, delay_s=1.0)
    with pytest.raises(DeadlineExceeded):
        await world.llm.moderate("x", deadline_s=0.3)
    assert (await world.llm.name_thread("Rice", deadline_s=0.3)).degraded


async def test_a_closed_client_takes_no_calls(world: World) -> None:
    await world.llm.aclose()
    await world.llm.aclose()
    with pytest.raises(RuntimeError, match="async with"):
        await world.llm.moderate("x")
