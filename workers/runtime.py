"""One worker process beside Celery: everything wired in one place, started and stopped by the worker's hooks."""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from understudy.ending import end_tasks
from understudy.logs import set_up_logs
from understudy.providers import absent, providers_from
from understudy.redis_client import redis_from
from understudy.settings import Settings, load_settings
from understudy.state.health import Health
from understudy.state.keys import Keys
from understudy.state.ledger import Ledger
from understudy.state.workers import Workers
from workers.broker import Broker
from workers.chat import Chat
from workers.context import Context
from workers.heartbeat import Heartbeat
from workers.hooks import WorkerHooks
from workers.leases import Leases
from workers.loop import LoopThread, current
from workers.prober import Prober
from workers.reconciler import Reconciler
from workers.redispatch import tellings_of
from workers.work import Work

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from celery import Celery

    from workers.ends import Publish

T = TypeVar("T")

START_S = 10.0
CONNECTIONS = 32
"""To Redis, of one process: each command takes well under a millisecond, so few carry a thousand calls."""

log = structlog.get_logger("understudy.worker")
_current: Runtime | None = None


class Runtime:
    """The parts of one worker process."""

    def __init__(self, app: Celery, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        self.providers = providers_from(settings)
        self.by_name = {provider.name: provider for provider in self.providers}
        self.broker = Broker(app)
        self.worker_id = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self.loop: LoopThread | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, loop: LoopThread) -> None:
        """Start on the worker's loop; Redis may be away."""
        global _current  # noqa: PLW0603 - one worker a process, as Celery has it
        set_up_logs(self.settings)
        for sentence in absent(self.settings):
            log.warning(sentence)
        self.loop = loop
        loop.submit(self._start()).result(START_S)
        _current = self

    async def _start(self) -> None:
        keys = Keys(self.settings.understudy_prefix)
        redis = redis_from(self.settings, max_connections=CONNECTIONS)
        ledger = Ledger(redis, keys)
        self.context = Context(
            worker_id=self.worker_id,
            settings=self.settings,
            providers=self.providers,
            redis=redis,
            ledger=ledger,
            health=Health(redis, keys, self.providers),
            leases=Leases(ledger),
            chat=Chat(self.providers),
        )
        self.work = Work(self.context)
        self.heartbeat = Heartbeat(Workers(redis, keys), self.worker_id)
        reconciler = Reconciler(self.context, self._depth, self._send)
        parts: list[Coroutine[Any, Any, None]] = [
            self.context.leases.run(),
            self.heartbeat.run(),
            reconciler.run(),
            Prober(self.context).run(),
        ]
        self._tasks = [asyncio.create_task(part) for part in parts]

    def consuming(self, queues: list[str], concurrency: int) -> None:
        """The worker consumes."""
        if self.loop:
            self.loop.call_soon(self.heartbeat.consuming, queues, concurrency)
            self.loop.submit(asyncio.to_thread(self.broker.warm))

    def consumer_stopped(self) -> None:
        """The worker consumes no longer."""
        if self.loop and self.loop.running:
            self.loop.call_soon(self.heartbeat.stopped)

    def revoked(self, ids: list[str]) -> None:
        """Somebody revoked these tasks: their calls are cancelled, wherever they are, unless others share them."""
        if self.loop:
            for task_id in ids:
                self.loop.submit(self._revoked(task_id))

    def run(self, coro: Coroutine[Any, Any, T]) -> T:
        """Run on the worker's loop, from a Celery thread that waits for it."""
        return current().run(coro)

    def told(self, task_id: str) -> None:
        """Celery has stored a plain caller's outcome; one that the ledger misses is told again."""
        current().submit(self.context.ledger.told(task_id))

    def tell_others(self, call_id: str, task: str) -> None:
        """A call has ended that other tasks share: each is told by a message; what fails is left to a reconciler."""
        current().submit(self._tell_others(call_id, task))

    async def stop(self) -> None:
        """End all parts; after the last job."""
        global _current  # noqa: PLW0603 - as above
        await end_tasks(self._tasks)
        await self.context.chat.close()
        await self.context.redis.aclose()
        _current = None

    async def _revoked(self, task_id: str) -> None:
        reply = await self.context.ledger.revoke(task_id)
        await self._send(tellings_of(reply, reply.text("id")))

    async def _tell_others(self, call_id: str, task: str) -> None:
        await self._send(tellings_of(await self.context.ledger.tell_others(call_id, task), call_id))

    async def _depth(self, queue: str) -> int:
        return await asyncio.to_thread(self.broker.depth, queue)

    async def _send(self, messages: list[Publish]) -> None:
        await asyncio.to_thread(self.broker.publish, messages)


def runtime() -> Runtime:
    """The runtime of this process.

    Raises:
        RuntimeError: this process is no worker.
    """
    if _current is None:
        raise RuntimeError("no worker runs in this process")
    return _current


def make_hooks(app: Celery) -> WorkerHooks:
    """The hooks of a worker process."""
    parts = Runtime(app, load_settings())
    return WorkerHooks(
        on_start=parts.start,
        on_consuming=parts.consuming,
        on_consumer_stopped=parts.consumer_stopped,
        on_stopping=parts.consumer_stopped,
        on_stop=parts.stop,
        on_revoked=parts.revoked,
        on_revoke_stored=parts.told,
    )
