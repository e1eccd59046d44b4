"""A plain Celery caller gets its outcomes as JSON: alone, and in every shape that Celery's canvas knows."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest
from celery import chain, chord, group
from celery.result import AsyncResult

from tests.support.plain_parts import REQUESTS, celery_is_told, got
from understudy.contracts import KINDS
from understudy.contracts.call import AnyOutcome
from workers.stand_in import Fate

if TYPE_CHECKING:
    from tests.support.plain_parts import PlainCaller
    from tests.support.stack import Stack


@pytest.mark.parametrize("kind", REQUESTS)
async def test_a_plain_caller_gets_the_outcome_as_json(stack: Stack, bot: PlainCaller, kind: str) -> None:
    result = bot.send(kind, request=REQUESTS[kind])
    outcome = AnyOutcome.model_validate(got(result))
    assert (outcome.call_id, outcome.kind, outcome.status, outcome.provider) == (result.id, kind, "done", "ollama")
    assert KINDS[kind].result.model_validate(outcome.result)
    assert [attempt.what for attempt in outcome.attempts] == ["answered"]
    assert outcome.usage.total_tokens
    async with stack.look() as look:
        await celery_is_told(look, result.id)


async def test_the_arguments_may_be_positional_and_options_are_kept(stack: Stack, bot: PlainCaller) -> None:
    result = bot.send("moderation", {"text": "hello"}, {"deadline_s": 20, "user_id": 7, "spend": "never"})
    assert (got(result))["status"] == "done"
    async with stack.look() as look:
        record = await look.record(result.id)
    assert (record.deadline - record.created, record.options.user_id) == (20_000, "7")


async def test_a_call_sent_to_a_provider_that_its_options_shut_out_moves_to_one_they_allow(
    stack: Stack, bot: PlainCaller
) -> None:
    outcome = got(bot.call(queue="openai", local_only=True).delay())
    assert outcome["provider"] == "ollama"
    assert stack.counts("openai")["total"] == 0


async def test_a_result_that_is_ignored_is_stored_nowhere_and_the_ledger_rests(stack: Stack, bot: PlainCaller) -> None:
    result = bot.call().apply_async(ignore_result=True)
    async with stack.look() as look:
        await celery_is_told(look, result.id)
    assert bot.stored(result.id) == {}


@pytest.mark.parametrize("answering", ["ollama", "openai"])
async def test_canvas_works_and_a_fallback_in_its_middle_keeps_it(
    stack: Stack, bot: PlainCaller, answering: str
) -> None:
    if answering == "openai":
        stack.ollama.set_fate(Fate(refuse=True))
    chained = chain(bot.call(), bot.call("thread_naming"), bot.keep()).delay()
    grouped = group(bot.call(text=f"message {i}") for i in range(4)).delay()
    joined = chord([bot.call(text=f"message {i}") for i in range(4)])(bot.keep())
    link, never = uuid.uuid4().hex, uuid.uuid4().hex
    linked = bot.call()
    linked.link(bot.keep().set(task_id=link))
    linked.link_error(bot.keep().set(task_id=never))
    first = linked.delay()

    last = got(chained)
    assert (last["kind"], last["call_id"], last["provider"]) == ("thread_naming", chained.parent.id, answering)
    assert (got(chained.parent.parent))["provider"] == answering
    outcomes = got(grouped)
    assert [outcome["call_id"] for outcome in outcomes] == [each.id for each in grouped]
    collected = got(joined)
    assert [outcome["call_id"] for outcome in collected] == [each.id for each in joined.parent]
    assert got(first) == got(AsyncResult(link, app=bot.app))
    assert {each["provider"] for each in [*outcomes, *collected]} == {answering}
    assert bot.stored(never) == {}
    async with stack.look() as look:
        await celery_is_told(look, chained.parent.id, *(each.id for each in joined.parent))


async def test_a_moved_call_keeps_its_id_and_lists_both_attempts(stack: Stack, bot: PlainCaller) -> None:
    stack.ollama.set_fate(Fate(refuse=True))
    result = bot.call().delay()
    outcome = got(result)
    assert (outcome["call_id"], outcome["provider"]) == (result.id, "openai")
    assert [(each["provider"], each["what"]) for each in outcome["attempts"]][-1] == ("openai", "answered")
    assert outcome["attempts"][0]["provider"] == "ollama"
    assert [row["call"] for row in stack.openai.counts()["records"]] == [result.id]
