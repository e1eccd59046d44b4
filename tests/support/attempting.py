"""One attempt of a call that a ledger has granted, at a provider that answers as it is told."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

import tasks.moderation  # noqa: F401 - registers the kind
from tests.support.health import OLLAMA
from tests.support.ledger import Drive
from tests.support.reconciling import Reconciling
from understudy.contracts.call import Usage
from workers.arrival import Arrival
from workers.attempt import Attempting
from workers.chat_reply import Reply
from workers.leases import Lease
from workers.run import Run

if TYPE_CHECKING:
    import asyncio

    from redis.asyncio import Redis

    from workers.admission import Admission
    from workers.chat import Chat
    from workers.failures import ProviderFailure


GOOD = '{"helpful":true,"violation":null,"quality_score":7,"action":"none","reason":"It is on topic."}'


class Scripted:
    """A provider that fails as it is told, and then answers."""

    def __init__(self, *failures: ProviderFailure) -> None:
        self.failures = list(failures)
        self.ready = self.asked = 0

    async def complete(self, *_: Any, admission: Admission, **__: Any) -> Reply:
        """Ask, once admitted."""
        self.ready += 1
        try:
            await admission.admit()
            self.asked += 1
            if self.failures:
                raise self.failures.pop(0)
        finally:
            admission.release()
            admission.release()  # with the last byte, and once more at the end
        return Reply(
            text=GOOD,
            finish_reason="stop",
            refusal=None,
            tool_calls=(),
            usage=Usage(),
            model="m",
            ms=5,
            first_byte_ms=1,
            requests=1,
        )


async def begun(
    redis: Redis, chat: Scripted, places: asyncio.Semaphore | None = None, **options: Any
) -> tuple[Attempting, Lease, Drive]:
    """A call that a worker has begun at ollama, with nobody else there."""
    drive = await Drive(redis).ticking()
    parts = Reconciling(drive)
    parts.context.chat = cast("Chat", chat)
    parts.context.places = places
    at = time.monotonic()
    reply = await drive.begin(sent=(await drive.open(**options)).number("sent"), token="t", model="m")
    run = Run.of(Arrival("c1", "moderation", "ollama", OLLAMA, 1, "t", None), reply, at)
    lease = Lease("c1", run.epoch, run.rid, "ollama", "m", renewed=at)
    return Attempting(parts.context, run, lease), lease, drive
