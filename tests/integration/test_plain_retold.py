"""A worker dies after the ledger has a plain call's outcome and before Celery has it: the call is told again."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from celery import chain, chord
from celery.exceptions import TimeoutError as CeleryTimeout
from celery.result import AsyncResult

from tests.support.plain_parts import LIMIT_S, celery_is_told, got
from tests.support.polling import aeventually
from understudy.contracts.call import AnyOutcome, Reason, Status
from understudy.errors import AllProvidersFailed
from understudy.providers import providers_from
from understudy.state.record import DONE, FAILED
from workers.arrival import Arrival, read_arrival

if TYPE_CHECKING:
    from tests.support.plain_parts import PlainCaller
    from tests.support.stack import Look, Stack
    from understudy.state.ledger import Reply

NOWHERE = "ollama.batch"
"""A queue that no worker of these tests consumes: what is sent there waits for the test's own hand."""

ANSWER = {"helpful": True, "violation": None, "quality_score": 7, "action": "none", "reason": "A greeting."}


@pytest.fixture(autouse=True)
async def nobody_consumes_it(stack: Stack) -> None:
    """A worker that another test has killed counts for 5 s more."""
    async with stack.look() as look:

        async def has_no_worker() -> bool:
            return not (await look.health.snapshot()).queue(NOWHERE).concurrency

        await aeventually(has_no_worker)


def taken(stack: Stack, bot: PlainCaller) -> Arrival:
    """Take the next message as a worker does."""
    with bot.app.connection_for_read() as connection:
        queue = connection.SimpleQueue(NOWHERE)
        message = queue.get(timeout=LIMIT_S)
        message.ack()
        _, kwargs, embed = message.payload
        about = {**message.headers, **embed, "delivery_info": {"routing_key": NOWHERE}}
        by_name = {provider.name: provider for provider in providers_from(stack.settings)}
        return read_arrival(
            about, about["task"], kwargs["request"], kwargs.get("call"), None, providers=by_name, token=uuid.uuid4().hex
        )


async def begun(look: Look, arrival: Arrival) -> Reply:
    """A worker of the test's own begins a call."""
    run = await look.ledger.begin(
        arrival.call_id,
        provider=arrival.provider.name,
        model=arrival.provider.model,
        queue=arrival.queue,
        sent=arrival.sent,
        token=arrival.token,
        worker="short-lived",
        adopt=arrival.adopt,
    )
    assert run.word == "run"
    return run


async def ended(look: Look, arrival: Arrival, outcome: AnyOutcome) -> None:
    """That worker has the outcome, writes it to the ledger, and dies; ten seconds later the call is due."""
    run = await begun(look, arrival)
    accepted = await look.ledger.finish(
        arrival.call_id,
        epoch=run.number("epoch"),
        token=arrival.token,
        st=DONE if outcome.status is Status.DONE else FAILED,
        outcome=outcome.model_dump_json(),
        reason=outcome.reason,
    )
    assert accepted.word == "accepted"
    await look.redis.zadd(look.keys.due(), {arrival.call_id: 0})


def answer(arrival: Arrival, **more: Any) -> AnyOutcome:
    given: dict[str, Any] = {"status": Status.DONE, "result": ANSWER, "provider": "ollama"} | more
    return AnyOutcome(call_id=arrival.call_id, kind=arrival.kind, **given)


async def test_an_answer_that_celery_missed_is_told_with_its_whole_canvas(stack: Stack, bot: PlainCaller) -> None:
    link = uuid.uuid4().hex
    first = bot.call(queue=NOWHERE)
    first.link(bot.keep().set(task_id=link))
    chained = chain(first, bot.call("thread_naming")).delay()
    chained_arrival = taken(stack, bot)
    joined = chord([bot.call(queue=NOWHERE), bot.call()])(bot.keep())
    part_arrival = taken(stack, bot)
    async with stack.look() as look:
        outcomes = [answer(chained_arrival), answer(part_arrival)]
        await ended(look, chained_arrival, outcomes[0])
        await ended(look, part_arrival, outcomes[1])
        assert AnyOutcome.model_validate(got(chained.parent)) == outcomes[0]
        assert got(chained)["kind"] == "thread_naming"
        assert got(AsyncResult(link, app=bot.app))["call_id"] == chained_arrival.call_id
        collected = got(joined)
        assert [each["call_id"] for each in collected] == [each.id for each in joined.parent]
        await celery_is_told(look, chained_arrival.call_id, part_arrival.call_id, in_rounds=1)
    assert stack.requests() == 2  # of the calls that the real workers began


async def test_a_failure_that_celery_missed_is_told(stack: Stack, bot: PlainCaller) -> None:
    noticed = uuid.uuid4().hex
    failing = bot.call(queue=NOWHERE)
    failing.link_error(bot.keep().set(task_id=noticed))
    result = failing.delay()
    arrival = taken(stack, bot)
    async with stack.look() as look:
        await ended(look, arrival, answer(arrival, status=Status.FAILED, result=None, reason=Reason.NO_PROVIDER))
        with pytest.raises(AllProvidersFailed):
            got(result)
        assert got(AsyncResult(noticed, app=bot.app)) == result.id


async def test_a_message_that_comes_again_after_the_end_is_answered_from_the_ledger(
    stack: Stack, bot: PlainCaller
) -> None:
    result = bot.call(queue=NOWHERE).delay()
    arrival = taken(stack, bot)
    async with stack.look() as look:
        await ended(look, arrival, answer(arrival))
        await look.redis.zrem(look.keys.due(), arrival.call_id)  # no round of the reconciler's
        bot.call().apply_async(task_id=result.id)  # as the broker delivers the dead worker's message
        assert got(result)["result"] == ANSWER
        await celery_is_told(look, result.id)
        bot.call().apply_async(task_id=result.id)  # and once more, when Celery has it
        await aeventually(lambda: f"moderation[{result.id}] ignored" in stack.workers["ollama"].text())
    assert got(result)["result"] == ANSWER
    assert stack.requests() == 0


async def test_a_begun_call_whose_worker_died_is_answered_by_another(stack: Stack, bot: PlainCaller) -> None:
    result = bot.call(queue=NOWHERE).delay()
    arrival = replace(taken(stack, bot), queue="ollama")
    async with stack.look() as look:
        await begun(look, arrival)
        with pytest.raises(CeleryTimeout):
            result.get(timeout=0.1)
        await look.redis.hset(look.keys.call(result.id), "lease", "1")  # ten seconds later
        await look.redis.zadd(look.keys.due(), {result.id: 0})
        outcome = got(result)
    assert outcome["call_id"] == result.id
    assert [attempt["what"] for attempt in outcome["attempts"]] == ["worker_lost", "answered"]
