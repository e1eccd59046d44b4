"""A reconciler over a ledger that a test drives by hand, with a broker that only remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from tests.support.health import OLLAMA, OPENAI
from understudy.settings import load_settings
from understudy.state.health import Health
from understudy.state.workers import Workers
from workers.context import Context
from workers.leases import Leases
from workers.reconciler import Reconciler

if TYPE_CHECKING:
    from tests.support.ledger import Drive
    from workers.chat import Chat
    from workers.deltas import Deltas
    from workers.ends import Publish


class Reconciling:
    """One worker's reconciler; `published` is what it sent, `depths` what the broker says."""

    def __init__(self, drive: Drive) -> None:
        self.drive = drive
        self.published: list[Publish] = []
        self.depths: dict[str, int] = {}
        self.workers: dict[str, int] = {}
        keys = drive.keys
        self.context = Context(
            worker_id="first",
            settings=load_settings(env_file=None, openai_api_key="sk-test"),
            providers=(OLLAMA, OPENAI),
            redis=drive.redis,
            ledger=drive.ledger,
            health=Health(drive.redis, keys, (OLLAMA, OPENAI), shift_ms=lambda: drive.shift),
            leases=Leases(drive.ledger),
            chat=cast("Chat", None),
            deltas=cast("Deltas", None),
        )
        self.reconciler = Reconciler(self.context, self._depth, self._send)

    async def _depth(self, queue: str) -> int:
        return self.depths.get(queue, 1)

    async def _send(self, messages: list[Publish]) -> None:
        self.published += messages

    async def tick(self, after_ms: int = 0) -> int:
        """Let time pass, and tick; those in `workers` (queue and concurrency) are alive."""
        self.drive.shift += after_ms
        workers = Workers(self.drive.redis, self.drive.keys)
        workers.lua._shift_ms = lambda: self.drive.shift
        for queue, number in self.workers.items():
            await workers.beat(f"on-{queue}", {"queues": queue, "concurrency": number})
        await self.drive.redis.delete(self.drive.keys.tick() + ":lock")
        await self.drive.redis.hset(self.drive.keys.tick(), "last", str(await self.drive.now() - 1))
        return await self.reconciler.tick()

    def sent_to(self, queue: str) -> list[str]:
        """The calls whose messages went to a queue."""
        return [message.call_id for message in self.published if message.queue == queue]
