"""Workers die, or stand still, while they hold calls."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.support.figures import figure, sizes, spread
from tests.support.polling import aeventually
from workers.stand_in import Fate

if TYPE_CHECKING:
    from bot_client import Call, ModerationResult, Outcome
    from tests.support.stack import Stack

LIMIT_S = 90.0


async def all_ended(calls: list[Call[ModerationResult]]) -> list[Outcome[ModerationResult]]:
    """Their outcomes; a call that failed raises."""
    return list(await asyncio.wait_for(asyncio.gather(*(call.result() for call in calls)), LIMIT_S))


@sizes("times", 1, 5)
@pytest.mark.timeout(240)
async def test_calls_survive_that_every_worker_is_killed(stack: Stack, times: int) -> None:
    for _ in range(times):
        await stack.renew()
        for provider in stack.providers.values():
            provider.set_fate(Fate(latency_ms=(1000, 2000)))
        async with stack.client() as llm, stack.look() as look:
            calls = [await llm.submit("moderation", {"text": f"message {i}"}, deadline_s=80) for i in range(50)]
            await aeventually(lambda: stack.running("ollama") >= 10)
            killed = time.monotonic()
            for worker in stack.workers.values():
                worker.kill()
            for worker in stack.workers.values():
                worker.start()
            outcomes = await all_ended(calls)
            took = time.monotonic() - killed
            ids = [call.id for call in calls]
            records = [await look.record(call_id) for call_id in ids]
            told = await look.ends_told(ids)
        assert [outcome.call_id for outcome in outcomes] == ids
        assert told == Counter(ids)
        crashes = sum(record.crashes for record in records)
        assert crashes >= 1
        assert stack.requests() <= 50 + crashes
        figure(
            "both workers killed under 50 calls",
            f"50 answers, {sum(told.values())} told, {stack.requests()} requests, {crashes} attempts lost; the last "
            f"answer {took:.1f} s after the kill, the workers' own start included",
        )


@sizes("times", 1, 3)
async def test_calls_leave_a_queue_whose_workers_are_dead(stack: Stack, times: int) -> None:
    for _ in range(times):
        await stack.renew()
        stack.ollama.set_fate(Fate(silence=True))
        async with stack.client() as llm:
            calls = [await llm.submit("moderation", {"text": f"message {i}"}, deadline_s=60) for i in range(24)]
            await aeventually(lambda: stack.running("ollama") == 16)
            begun = {row["call"] for row in stack.ollama.counts()["records"]}
            killed = time.time()
            stack.workers["ollama"].kill()
            outcomes = await all_ended(calls)
        assert {outcome.provider for outcome in outcomes} == {"openai"}
        left = {
            outcome.call_id: next(each.what for each in outcome.attempts if each.provider == "ollama")
            for outcome in outcomes
        }
        assert left == {call.id: "worker_lost" if call.id in begun else "waited" for call in calls}
        arrived = {row["call"]: row["at"] - killed for row in stack.openai.counts()["records"]}
        for what, limit_s in (("waited", 8), ("worker_lost", 15)):
            figure(
                f"queue's workers killed, calls that were {what} reach the next provider (limit {limit_s} s)",
                spread([arrived[call_id] for call_id, how in left.items() if how == what]),
            )


async def test_a_worker_frozen_past_its_lease_changes_no_outcome(stack: Stack) -> None:
    stack.ollama.set_fate(Fate(latency_ms=1500))
    worker = stack.workers["ollama"]
    async with stack.client() as llm, stack.look() as look:
        followed = await llm.submit("moderation", {"text": "may be answered elsewhere"}, deadline_s=90)
        waits = await llm.submit("moderation", {"text": "may not"}, deadline_s=90, spend="never")
        await aeventually(lambda: stack.running("ollama") == 2)
        worker.freeze()
        try:
            elsewhere = await followed.result(LIMIT_S)
            assert not waits.done()
        finally:
            worker.thaw()
        own = await waits.result(LIMIT_S)
        await aeventually(lambda: f"call={followed.id}" in worker.text(), limit_s=LIMIT_S)
        told = await look.ends_told([followed.id, waits.id])
        assert (await look.record(followed.id)).parsed_outcome().provider == "openai"
    assert (elsewhere.provider, own.provider) == ("openai", "ollama")
    assert told == Counter([followed.id, waits.id])
    assert stack.counts("openai")["total"] == 1
