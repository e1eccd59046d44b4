"""Workers are asked to end while they hold calls."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

from tests.support.polling import aeventually
from workers.stand_in import Fate

if TYPE_CHECKING:
    from bot_client import Call, ModerationResult
    from tests.support.stack import Stack

LIMIT_S = 90.0


async def test_a_worker_that_is_asked_to_end_loses_no_call(stack: Stack) -> None:
    worker = stack.workers["ollama"]
    async with stack.client() as llm, stack.look() as look:

        async def submit(
            text: str, number: int, spend: Literal["never", "allow"] = "allow"
        ) -> list[Call[ModerationResult]]:
            request = {"text": text}
            return [await llm.submit("moderation", request, deadline_s=80, spend=spend) for _ in range(number)]

        stack.ollama.set_fate(Fate(latency_ms=1500))
        short = await submit("answered within the grace", 3)
        await aeventually(lambda: stack.running("ollama") == 3)
        stack.ollama.set_fate(Fate(silence=True))
        handed_on = await submit("goes to the fallback", 3)
        kept = await submit("waits for another worker of the queue", 2, spend="never")
        await aeventually(lambda: stack.counts("ollama")["total"] == 8)
        worker.terminate()
        stack.ollama.set_fate(Fate())
        late = await submit("came after", 2)
        assert await worker.ended() == 0
        for call in (*short, *handed_on, *late):
            await call.result(LIMIT_S)
        assert not any(call.done() for call in kept)
        worker.start()
        outcomes = await asyncio.gather(*(call.result(LIMIT_S) for call in (*short, *handed_on, *kept)))
        ways = [[(each.provider, each.what) for each in outcome.attempts] for outcome in outcomes]
        assert ways[:3] == [[("ollama", "answered")]] * 3
        assert ways[3:6] == [[("ollama", "handed_back"), ("openai", "answered")]] * 3
        assert ways[6:] == [[("ollama", "handed_back"), ("ollama", "answered")]] * 2
        records = [await look.record(outcome.call_id) for outcome in outcomes]
        assert [record.crashes for record in records] == [0] * 8
    assert "Traceback" not in worker.text()
