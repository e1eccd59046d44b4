"""Opens calls in the ledger: all that wait together, in one round trip."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from understudy.errors import Unavailable
from understudy.routing import opening
from understudy.state.view import View

if TYPE_CHECKING:
    from understudy.routing import Policy
    from understudy.state.health import Health, Snapshot
    from understudy.state.ledger import Ledger, NewCall, Reply

ROUND_S = 0.8
"""Of one round trip, connecting included: a submit fails within a second."""

MAX_CALLS, MAX_CHARS = 12, 300_000
"""Of one round trip: more of it would hold up the event loop while it is packed."""


@dataclass
class Opening:
    """One call that waits to be opened; `reply` is the ledger's."""

    new: NewCall
    policy: Policy
    reply: asyncio.Future[Reply] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    sent: bool = False
    """It may have reached Redis: whether it was opened is not known until a reply says so."""


class Opener:
    """Chooses the provider and opens calls."""

    def __init__(self, ledger: Ledger, health: Health) -> None:
        self._ledger = ledger
        self._health = health
        self._waiting: deque[Opening] = deque()
        self._task: asyncio.Task[None] | None = None
        self._view = View(health)

    def open(self, new: NewCall, policy: Policy) -> Opening:
        """Open a call soon; provider and queue are chosen here.

        Its `reply` raises `Unavailable` within a second where Redis does not answer.
        """
        wanted = Opening(new, policy)
        self._waiting.append(wanted)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        return wanted

    def forget_health(self) -> None:
        """Read the providers' health anew for the next call: it was changed just now."""
        self._view.forget()

    async def aclose(self) -> None:
        """Refuse what still waits, and let what is on its way come back."""
        self._refuse(self._waiting, "the client was closed")
        self._waiting.clear()
        if self._task:
            await asyncio.wait([self._task])
        await self._view.aclose()

    async def _work(self) -> None:
        while batch := self._batch():
            try:
                async with asyncio.timeout(ROUND_S):
                    await self._open(batch)
            except (RedisError, OSError) as error:
                # Whoever came in the meantime would wait as long and hear the same.
                self._refuse([*batch, *self._waiting], type(error).__name__)
                self._waiting.clear()
            except BaseException as error:  # a bug: whoever waits must hear of it
                for one in (*batch, *self._waiting):
                    if not one.reply.done():
                        one.reply.set_exception(error)
                self._waiting.clear()
                raise

    def _batch(self) -> list[Opening]:
        batch: list[Opening] = []
        chars = 0
        while self._waiting and len(batch) < MAX_CALLS and chars < MAX_CHARS:
            one = self._waiting.popleft()
            if not one.reply.done():  # cancelled while it waited: never sent
                batch.append(one)
                chars += len(one.new.request)
        return batch

    async def _open(self, batch: list[Opening]) -> None:
        seen = await self._view.latest()
        placed = [_placed(one, self._health, seen) for one in batch]
        for one in batch:
            one.sent = True
        for one, reply in zip(batch, await self._ledger.open_many(placed), strict=True):
            if one.reply.done():
                continue
            if isinstance(reply, Exception):
                one.sent = False
                self._refuse([one], type(reply).__name__)
            else:
                one.reply.set_result(reply)

    @staticmethod
    def _refuse(openings: Any, why: str) -> None:
        for one in openings:
            if not one.reply.done():
                one.reply.set_exception(
                    Unavailable(f"Redis cannot be reached ({why}): the call is not known to be queued; try it again.")
                )


def _placed(wanted: Opening, health: Health, seen: Snapshot) -> NewCall:
    """The call with its provider and queue."""
    new, policy = wanted.new, wanted.policy
    deadline = new.deadline or seen.now + (new.deadline_ms or 0)
    name = opening(health.providers, seen, policy, deadline_ms=deadline)
    provider = next(p for p in health.providers if p.name == name)
    return replace(new, provider=provider.name, queue=policy.queue(provider))
