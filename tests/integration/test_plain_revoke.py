"""Celery's `revoke` cancels a plain caller's call, wherever it is; and no event shows what a user wrote."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from celery import chain, chord
from celery.exceptions import TaskRevokedError

from tests.support.plain_parts import Eavesdropper, celery_is_told, got
from tests.support.polling import aeventually
from understudy.errors import AllProvidersFailed, DeadlineExceeded, InvalidRequest
from understudy.state.record import CANCELLED, PARKED, QUEUED
from workers.stand_in import Fate

if TYPE_CHECKING:
    from tests.support.plain_parts import PlainCaller
    from tests.support.stack import Look, Stack

SECRET = "marker-of-what-a-user-wrote"


def revoked(result: Any) -> None:
    """The caller hears that it was."""
    with pytest.raises(TaskRevokedError):
        got(result)
    assert result.state == "REVOKED"


async def cancelled(look: Look, call_id: str, *, in_rounds: int = 0) -> None:
    """The ledger has it as cancelled, and knows that Celery was told; each worker says REVOKED before that."""
    await aeventually(lambda: in_state(look, call_id, CANCELLED))
    await celery_is_told(look, call_id, in_rounds=in_rounds)


async def in_state(look: Look, call_id: str, state: str) -> bool:
    record = await look.ledger.record(call_id)
    return bool(record and record.state == state)


@pytest.mark.parametrize("terminate", [True, False])
async def test_revoke_stops_a_running_call(stack: Stack, bot: PlainCaller, terminate: bool) -> None:
    stack.ollama.set_fate(Fate(silence=True))
    result = bot.call().delay()
    await aeventually(lambda: stack.running("ollama") == 1)
    result.revoke(terminate=terminate)
    revoked(result)
    await aeventually(lambda: stack.running("ollama") == 0)
    async with stack.look() as look:
        await cancelled(look, result.id)
    assert stack.counts("ollama")["aborted"] == 1


async def test_a_call_revoked_before_it_began_never_begins(stack: Stack, bot: PlainCaller) -> None:
    stack.ollama.set_fate(Fate(latency_ms=1500))
    before = [bot.call().delay() for _ in range(stack.workers["ollama"].concurrency)]
    await aeventually(lambda: stack.running("ollama") == len(before))
    result = bot.call().delay()
    result.revoke()
    revoked(result)
    for each in before:
        assert got(each)["status"] == "done"
    async with stack.look() as look:
        assert await look.ledger.record(result.id) is None
    assert stack.requests() == len(before)


async def test_a_call_revoked_while_it_waits_at_the_next_provider_is_cancelled(stack: Stack, bot: PlainCaller) -> None:
    stack.ollama.set_fate(Fate(refuse=True))
    stack.workers["openai"].freeze()
    result = bot.call().delay()
    async with stack.look() as look:
        await aeventually(lambda: _waits_at(look, result.id, "openai"))
        result.revoke()
        await aeventually(lambda: in_state(look, result.id, CANCELLED))
        stack.workers["openai"].thaw()
        revoked(result)
        await cancelled(look, result.id)
    assert stack.counts("openai")["total"] == 0


async def test_a_parked_call_that_is_revoked_is_told_in_the_next_round(stack: Stack, bot: PlainCaller) -> None:
    stack.ollama.set_fate(Fate(status=500))
    result = bot.call(spend="never").delay()
    async with stack.look() as look:
        await aeventually(lambda: in_state(look, result.id, PARKED))
        result.revoke()
        revoked(result)
        await cancelled(look, result.id, in_rounds=1)


@pytest.mark.parametrize("terminate", [True, False])
async def test_a_revoked_part_fails_its_chord(stack: Stack, bot: PlainCaller, terminate: bool) -> None:
    stack.ollama.set_fate(Fate(silence=True))
    joined = chord([bot.call(), bot.call(queue="openai")])(bot.keep())
    part = joined.parent[0]
    await aeventually(lambda: stack.running("ollama") == 1)
    part.revoke(terminate=terminate)
    revoked(part)
    await aeventually(lambda: bot.stored(joined.id).get("status") == "FAILURE")
    assert bot.stored(joined.id)["result"]["exc_type"] == "ChordError"


async def test_no_event_shows_what_a_user_wrote(stack: Stack, bot: PlainCaller) -> None:
    with Eavesdropper(bot.app) as flower:
        answered = got(bot.call(text=f"{SECRET} answered").delay())
        rejected = bot.send("moderation", request={"text": SECRET * 400})
        with pytest.raises(InvalidRequest):
            got(rejected)
        stack.ollama.set_fate(Fate(refuse=True))
        moved = chain(bot.call(text=f"{SECRET} moved"), bot.keep()).delay()
        assert got(moved)["provider"] == "openai"
        stack.openai.set_fate(Fate(status=500))
        failed = bot.call(text=f"{SECRET} failed", deadline_s=2.0).delay()
        with pytest.raises((AllProvidersFailed, DeadlineExceeded)):
            got(failed)
        stack.ollama.set_fate(Fate(silence=True))
        async with stack.look() as look:
            for provider in look.health.providers:
                await look.health.clear(provider)
        stopped = bot.call(text=f"{SECRET} stopped").delay()
        await aeventually(lambda: stack.running("ollama") == 1)
        shown = bot.app.control.inspect(timeout=2).active()
        stopped.revoke(terminate=True)
        revoked(stopped)
        for call_id, kind in (
            (answered["call_id"], "task-succeeded"),
            (rejected.id, "task-failed"),
            (moved.parent.id, "task-succeeded"),
            (failed.id, "task-failed"),
            (stopped.id, "task-revoked"),
        ):
            await aeventually(partial(flower.showed, kind, call_id))
    ours = [event for event in flower.events if not event["hostname"].startswith("bot@")]
    assert stopped.id in json.dumps(shown)
    assert SECRET not in json.dumps(ours)
    assert SECRET not in json.dumps(shown)
    assert SECRET not in "".join(worker.text() for worker in stack.workers.values())


async def _waits_at(look: Look, call_id: str, queue: str) -> bool:
    record = await look.ledger.record(call_id)
    return bool(record and (record.state, record.queue) == (QUEUED, queue))
