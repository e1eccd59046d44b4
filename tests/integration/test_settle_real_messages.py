"""Real messages, many at once: each gets its outcome, and the books agree with what the providers saw."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.figures import figure, sizes
from tests.support.worker import ROOT
from workers.stand_in import Fate

if TYPE_CHECKING:
    from bot_client import ModerationResult, Outcome, Understudy
    from tests.support.stack import Stack

SMS = Path(os.environ.get("UNDERSTUDY_SMS") or ROOT.parent / "shared" / "data" / "sms.tsv")
ALL = 5_574
IN_FLIGHT = 200
DEADLINE_S = 300.0

pytestmark = pytest.mark.skipif(not SMS.exists(), reason="the messages are not here; UNDERSTUDY_SMS names their file")


def messages() -> list[str]:
    """All of them, as they were sent."""
    lines = SMS.read_text(encoding="utf-8").splitlines()
    return [line.partition("\t")[2] for line in lines]


@sizes("number, trouble", (300, 0.1), (ALL, 0.0))
@pytest.mark.timeout(900)
async def test_every_real_message_gets_its_outcome(stack: Stack, number: int, trouble: float) -> None:
    texts = messages()
    assert len(texts) == ALL
    await every_message(stack, texts[:: ALL // number][:number], trouble)


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_every_real_message_gets_its_outcome_from_providers_that_fail(stack: Stack) -> None:
    await every_message(stack, messages(), 0.1)


async def every_message(stack: Stack, texts: list[str], trouble: float) -> None:
    """Moderate all, a part of the answers being useless."""
    if trouble:
        stack.ollama.set_fate(Fate(answer="wrong_schema", share=trouble))
    slots = asyncio.Semaphore(IN_FLIGHT)

    async def one(llm: Understudy, text: str) -> Outcome[ModerationResult]:
        async with slots:
            return await llm.moderate(text, deadline_s=DEADLINE_S)

    began = time.monotonic()
    async with stack.client() as llm:
        outcomes = await asyncio.gather(*(one(llm, text) for text in texts))
    took = time.monotonic() - began
    assert len({outcome.call_id for outcome in outcomes}) == len(texts)
    assert all(outcome.result is not None for outcome in outcomes)
    recorded: Counter[str] = Counter()
    for outcome in outcomes:
        for attempt in outcome.attempts:
            recorded[attempt.provider] += attempt.requests
    seen = Counter({name: total for name in stack.providers if (total := stack.counts(name)["total"])})
    assert seen == recorded
    if trouble:
        assert sum(recorded.values()) > len(texts)
    figure(
        f"{len(texts)} real messages, {IN_FLIGHT} in flight, {trouble:.0%} of the primary's answers useless",
        f"{len(outcomes)} outcomes in {took:.1f} s ({len(outcomes) / took:.0f} a second), requests {dict(seen)}, "
        "as recorded",
    )
