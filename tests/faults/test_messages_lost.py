"""Messages vanish from the broker, or never come to it; the ledger finds out."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.polling import aeventually
from tests.support.worker import ROOT
from workers.stand_in import Fate

if TYPE_CHECKING:
    from bot_client import Call, ModerationResult, Understudy
    from tests.support.stack import Stack

LIMIT_S = 90.0


async def submit(llm: Understudy, number: int) -> list[Call[ModerationResult]]:
    """Calls that only ollama may answer, with time to be found."""
    return [
        await llm.submit("moderation", {"text": f"message {i}"}, deadline_s=80, spend="never") for i in range(number)
    ]


async def steal(stack: Stack, everything: bool) -> set[str]:
    """Take messages out of ollama's queue: the oldest one, or all; returns the ids of their calls."""
    with stack.broker() as broker:
        await aeventually(lambda: broker.llen("ollama") >= 2)
        stolen = broker.rpop("ollama", 100 if everything else 1)
    return {json.loads(message)["headers"]["id"] for message in stolen}


@pytest.mark.parametrize("everything", [False, True], ids=["others behind it", "the last ones"])
async def test_a_call_whose_message_is_lost_is_answered(stack: Stack, everything: bool) -> None:
    worker = stack.workers["ollama"]
    async with stack.client() as llm:
        worker.freeze()  # or it would be faster
        try:
            calls = await submit(llm, 5)
            lost = await steal(stack, everything)
        finally:
            worker.thaw()
        outcomes = await asyncio.gather(*(call.result(LIMIT_S) for call in calls))
    assert lost
    assert {outcome.provider for outcome in outcomes} == {"ollama"}
    assert stack.requests() == len(calls)


@pytest.mark.timeout(180)
async def test_a_lost_message_is_missed_while_others_keep_coming(stack: Stack) -> None:
    stack.ollama.set_fate(Fate(latency_ms=400))
    worker = stack.workers["ollama"]
    async with stack.client() as llm:
        worker.freeze()
        try:
            calls = await submit(llm, 40)
            lost = await steal(stack, everything=False)
        finally:
            worker.thaw()
        missing = next(call for call in calls if call.id in lost)
        while not missing.done() and len(calls) < 4000:
            calls += await submit(llm, 10)
            await asyncio.sleep(0.2)  # a steady flow
        outcomes = await asyncio.gather(*(call.result(LIMIT_S) for call in calls))
    assert missing.done()
    assert len(outcomes) == stack.counts("ollama")["total"]


async def test_a_call_whose_client_died_before_publishing_is_answered_and_found_by_its_id(stack: Stack) -> None:
    dying = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.dying_client",
        env={**os.environ, **stack.environment, "PYTHONPATH": str(ROOT)}, cwd=stack.directory,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await asyncio.wait_for(dying.communicate(), LIMIT_S)
    assert dying.returncode == -9
    async with stack.client() as llm:
        call = await llm.call(said.decode().strip())
        outcome = await call.result(LIMIT_S)
    assert outcome.result is not None
    assert stack.requests() == 1
