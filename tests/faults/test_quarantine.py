"""A call that kills its workers is given up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bot_client import Quarantined
from tests.support.polling import aeventually
from workers.stand_in import Fate

if TYPE_CHECKING:
    from tests.support.stack import Stack

LIMIT_S = 90.0


async def requests_reach_ollama(stack: Stack, number: int) -> None:
    """Wait until so many have."""
    await aeventually(lambda: stack.counts("ollama")["total"] == number, limit_s=LIMIT_S)


@pytest.mark.timeout(180)
async def test_a_call_whose_worker_dies_three_times_is_quarantined(stack: Stack) -> None:
    stack.ollama.set_fate(Fate(silence=True))
    worker = stack.workers["ollama"]
    async with stack.client() as llm, stack.look() as look:
        call = await llm.submit("moderation", {"text": "deadly"}, deadline_s=150, spend="never")
        for begun in range(1, 4):
            await requests_reach_ollama(stack, begun)
            worker.kill()
            await look.lease_runs_out(call.id)  # waited for in other tests
            if begun < 3:
                worker.start()
        with pytest.raises(Quarantined):
            await call.result(LIMIT_S)
        record = await look.record(call.id)
    assert record.crashes == 3
    assert [attempt.what for attempt in record.attempts] == ["worker_lost"] * 3
