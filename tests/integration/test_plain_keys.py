"""Plain Celery callers with a key: messages with the same kind and key are one call, whoever sends them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from celery import chain, chord
from celery.exceptions import TaskRevokedError

from tests.support.plain_parts import got
from tests.support.polling import aeventually
from understudy.contracts.ids import call_id_for
from understudy.errors import AllProvidersFailed, KeyConflict
from understudy.state.record import DONE
from workers.stand_in import Fate

if TYPE_CHECKING:
    from celery.canvas import Signature
    from celery.result import AsyncResult

    from tests.support.plain_parts import PlainCaller
    from tests.support.stack import Look, Stack

KEY = "chat-7:message-9"


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """One for each test: the stack is shared, and a key outlives its call."""
    return f"{KEY}:{request.node.name}"


@pytest.fixture
def call_id(key: str) -> str:
    """The id of the key's call."""
    return call_id_for("moderation", key)


async def has_waiters(look: Look, call_id: str, *results: AsyncResult) -> None:
    """Wait until these tasks, and no other, wait for the call."""

    async def they_do() -> bool:
        record = await look.ledger.record(call_id)
        return bool(record and record.waiters == {result.id for result in results})

    await aeventually(they_do)


async def rests(look: Look, call_id: str) -> None:
    """Wait until nobody is left to be told."""
    await has_waiters(look, call_id)

    async def off_the_list() -> bool:
        return await look.redis.zscore(look.keys.due(), call_id) is None

    await aeventually(off_the_list)


async def running_twice(stack: Stack, look: Look, call: Signature, call_id: str) -> tuple[AsyncResult, AsyncResult]:
    """One call that hangs at the primary, and the two tasks that wait for it; the first one's message runs it."""
    stack.ollama.set_fate(Fate(silence=True))
    first = call.delay()
    await aeventually(lambda: stack.running("ollama") == 1)
    second = call.delay()
    await has_waiters(look, call_id, first, second)
    return first, second


def same_outcome(*outcomes: dict[str, Any]) -> None:
    assert all(outcome == outcomes[0] for outcome in outcomes)
    assert outcomes[0]["status"] == "done"


async def test_messages_with_one_key_are_one_call_while_it_is_open_and_when_it_is_done(
    stack: Stack, bot: PlainCaller, key: str, call_id: str
) -> None:
    stack.ollama.set_fate(Fate(latency_ms=1000))
    results = [bot.call(key=key).delay() for _ in range(4)]
    outcomes = [got(result) for result in results]
    same_outcome(*outcomes, got(bot.call(key=key).delay()))
    assert outcomes[0]["call_id"] == call_id
    assert stack.requests() == 1
    async with stack.look() as look:
        await rests(look, call_id)
    assert bot.stored(call_id) == {}


async def test_other_keys_and_other_kinds_are_other_calls(stack: Stack, bot: PlainCaller, key: str) -> None:
    results = [bot.call(key=key), bot.call(key=f"{key}b"), bot.call("agent_turn", key=key), bot.call()]
    ids = {got(result.delay())["call_id"] for result in results}
    assert len(ids) == stack.requests() == 4


async def test_each_goes_on_in_its_own_chain_group_and_chord(stack: Stack, bot: PlainCaller, key: str) -> None:
    stack.ollama.set_fate(Fate(latency_ms=500))
    chains = [chain(bot.call(key=key), bot.keep()).delay() for _ in range(2)]
    joined = chord([bot.call(key=key), bot.call(key=key), bot.call(key=f"{key}b")])(bot.keep())
    collected = got(joined)
    same_outcome(*(got(each) for each in chains), *(got(each.parent) for each in chains), *collected[:2])
    assert collected[2]["call_id"] == call_id_for("moderation", f"{key}b")
    assert stack.requests() == 2


async def test_a_fallback_answers_all_of_them(stack: Stack, bot: PlainCaller, key: str, call_id: str) -> None:
    stack.ollama.set_fate(Fate(status=500, latency_ms=500))
    outcomes = [got(result) for result in [chain(bot.call(key=key), bot.keep()).delay() for _ in range(3)]]
    same_outcome(*outcomes)
    assert outcomes[0]["provider"] == "openai"
    assert stack.counts("openai")["total"] == 1
    async with stack.look() as look:
        await rests(look, call_id)


async def test_another_request_under_the_key_is_a_conflict(
    stack: Stack, bot: PlainCaller, key: str, call_id: str
) -> None:
    stack.ollama.set_fate(Fate(latency_ms=500))
    first = bot.call(text="one", key=key).delay()
    async with stack.look() as look:
        await has_waiters(look, call_id, first)
    with pytest.raises(KeyConflict, match="key already belongs to another moderation request"):
        got(bot.call(text="two", key=key).delay())
    assert got(first)["status"] == "done"
    with pytest.raises(KeyConflict):
        got(bot.call(text="two", key=key).delay())
    assert stack.requests() == 1


async def test_after_a_failure_the_key_is_tried_anew(stack: Stack, bot: PlainCaller, key: str, call_id: str) -> None:
    stack.ollama.set_fate(Fate(status=500, latency_ms=300))
    stack.openai.set_fate(Fate(status=500))
    async with stack.look() as look:
        for result in [bot.call(key=key, deadline_s=2.0).delay() for _ in range(2)]:
            with pytest.raises(AllProvidersFailed) as caught:
                got(result)
            assert caught.value.call_id == call_id
        await rests(look, call_id)
        stack.ollama.set_fate(Fate())
        stack.openai.set_fate(Fate())
        for provider in look.health.providers:
            await look.health.clear(provider)
    assert got(bot.call(key=key).delay())["status"] == "done"


async def test_a_bots_call_under_the_key_is_the_same_call(
    stack: Stack, bot: PlainCaller, key: str, call_id: str
) -> None:
    stack.ollama.set_fate(Fate(latency_ms=1000))
    async with stack.client() as llm, stack.look() as look:
        submitted = await llm.submit("moderation", {"text": "one for all"}, key=key)
        joined = bot.call(text="one for all", key=key).delay()
        await has_waiters(look, call_id, joined)
        outcome = await submitted
        same_outcome(got(joined), outcome.model_dump(mode="json"))

        opened = bot.call(text="the other way", key=f"{key}b").delay()
        await has_waiters(look, call_id_for("moderation", f"{key}b"), opened)
        attached = await llm.moderate("the other way", key=f"{key}b")
        assert got(opened)["call_id"] == attached.call_id
        with pytest.raises(KeyConflict):
            await llm.moderate("something else", key=f"{key}b")
    assert stack.requests() == 2


@pytest.mark.parametrize("terminate", [True, False])
async def test_a_revoked_task_leaves_the_call_to_the_other(
    stack: Stack, bot: PlainCaller, key: str, call_id: str, terminate: bool
) -> None:
    async with stack.look() as look:
        first, second = await running_twice(stack, look, bot.call(key=key), call_id)
        first.revoke(terminate=terminate)
        with pytest.raises(TaskRevokedError):
            got(first)
        await has_waiters(look, call_id, second)
        stack.ollama.set_fate(Fate())
        if not terminate:  # the attempt goes on under the other's name, and hangs: its worker dies
            stack.workers["ollama"].kill()
        outcome = got(second)
        assert outcome["status"] == "done"
        await rests(look, call_id)
    assert bot.stored(first.id)["status"] == "REVOKED"


async def test_with_the_last_task_that_is_revoked_the_call_is_cancelled(
    stack: Stack, bot: PlainCaller, key: str, call_id: str
) -> None:
    async with stack.look() as look:
        first, second = await running_twice(stack, look, bot.call(key=key), call_id)
        second.revoke()
        with pytest.raises(TaskRevokedError):
            got(second)
        assert stack.running("ollama") == 1
        first.revoke()
        with pytest.raises(TaskRevokedError):
            got(first)
        await aeventually(lambda: stack.running("ollama") == 0)
        await rests(look, call_id)
        stack.ollama.set_fate(Fate())
        assert got(bot.call(key=key).delay())["status"] == "done"


async def test_a_worker_that_dies_with_a_shared_call_leaves_nobody_without_an_answer(
    stack: Stack, bot: PlainCaller, key: str, call_id: str
) -> None:
    async with stack.look() as look:
        first, second = await running_twice(stack, look, bot.call(key=key), call_id)
        stack.workers["ollama"].kill()
        same_outcome(got(first), got(second))
        await rests(look, call_id)
        assert (await look.record(call_id)).state == DONE
    assert stack.counts("openai")["total"] == 1
