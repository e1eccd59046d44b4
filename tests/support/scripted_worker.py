"""A worker that takes real messages from a real Redis and does what a test's script says, through the ledger."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any, Self

from redis.asyncio import Redis

from bot_client.testing import Plan, Script
from understudy.contracts import KINDS
from understudy.contracts.call import Reason, Status
from understudy.state.keys import Keys
from understudy.state.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from understudy.contracts.call import AnyOutcome
    from understudy.contracts.kind import Kind


class ScriptedWorker(Script):
    """Consumes the queues of both providers; always one call after the other is begun, and many run at once."""

    def __init__(self, url: str, prefix: str = "u:", queues: Sequence[str] = ("ollama", "openai")) -> None:
        super().__init__()
        self.taken: list[dict[str, Any]] = []
        """Every message, as the broker held it."""
        self.requests: list[dict[str, Any]] = []
        """Every request that was begun."""
        self._redis = Redis.from_url(url, decode_responses=True)
        self._ledger = Ledger(self._redis, Keys(prefix))
        self._queues = tuple(queues)
        self._released = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._consuming = asyncio.create_task(self._consume())
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in (self._consuming, *self._tasks):
            task.cancel()
        await asyncio.gather(self._consuming, *self._tasks, return_exceptions=True)
        await self._redis.aclose()

    def release(self) -> None:
        """Let the calls that are held end."""
        self._released.set()

    async def _consume(self) -> None:
        while True:
            popped: Any = await self._redis.brpop(list(self._queues), timeout=1)
            if popped:
                task = asyncio.create_task(self._run(popped[0], json.loads(popped[1])))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _run(self, queue: str, message: dict[str, Any]) -> None:
        self.taken.append(message)
        _, kwargs, _ = json.loads(base64.b64decode(message["body"]))
        call_id = message["headers"]["id"]
        begun = await self._ledger.begin(
            call_id, provider=queue, model="m", queue=queue, sent=kwargs["dispatch"]["sent"],
            token=f"token-{len(self.taken)}", worker="scripted",
        )  # fmt: skip
        if begun.word != "run":
            return
        self.requests.append(json.loads(begun.text("request")))
        kind = KINDS[begun.text("kind")]
        outcome = await self._outcome(call_id, kind, begun.number("deadline") - begun.number("now"), queue)
        await self._ledger.finish(
            call_id, epoch=begun.number("epoch"), token=f"end-{call_id}", reason=outcome.reason,
            st="D" if outcome.status is Status.DONE else "F", outcome=outcome.model_dump_json(),
        )  # fmt: skip

    async def _outcome(self, call_id: str, kind: Kind, left_ms: int, queue: str) -> AnyOutcome:
        plan, request = self.plan(kind.name), kind.parse(self.requests[-1])
        if plan.held:
            await self._released.wait()
        elif plan.delay_s * 1000 > left_ms:
            await asyncio.sleep(left_ms / 1000)
            plan = Plan(kind.degraded, reason=Reason.DEADLINE, degraded=True)
        else:
            await asyncio.sleep(plan.delay_s)
        providers = [queue, *(other for other in self._queues if other != queue)]
        return plan.outcome(call_id, kind, request, providers)
