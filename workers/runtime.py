"""One worker process beside Celery: everything wired in one place, started and stopped by the worker's hooks."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import uuid
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from celery.utils.imports import cwd_in_path
from prometheus_client import ProcessCollector

from understudy import tracing
from understudy.ending import end_tasks
from understudy.errors import SettingsError
from understudy.logs import set_up_logs
from understudy.pricing import priced, unpriced
from understudy.providers import absent, providers_from
from understudy.redis_client import redis_from
from understudy.settings import Settings, load_settings
from understudy.state.health import Health
from understudy.state.keys import Keys
from understudy.state.ledger import Ledger
from understudy.state.workers import Workers
from workers import celery_lines, prompt_log, traced
from workers.alerts import Alerts
from workers.broker import Broker
from workers.chat import Chat
from workers.checks import Checks
from workers.context import Context
from workers.deltas import Deltas
from workers.gauges import Gauges
from workers.heartbeat import Heartbeat
from workers.hooks import WorkerHooks
from workers.leases import Leases
from workers.loop import LoopThread, current
from workers.loop_lag import LoopLag
from workers.metrics import Metrics
from workers.metrics_server import MetricsServer, metrics_server
from workers.prober import Prober
from workers.reconciler import Reconciler
from workers.redispatch import tellings_of
from workers.revocations import Revocations
from workers.tools import load
from workers.watch import Watch
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
        found = providers_from(settings)
        self.providers = priced(found, settings)
        self.absent = [*absent(settings), *unpriced(found, settings)]
        if not self.providers:
            raise SettingsError("No provider is left: " + " ".join(self.absent))
        self.by_name = {provider.name: provider for provider in self.providers}
        self.broker = Broker(app)
        self.worker_id = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self.loop: LoopThread | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._server: MetricsServer | None = None
        self._checks: Checks | None = None
        self._revocations: Revocations | None = None

    def start(self, loop: LoopThread) -> None:
        """Start on the worker's loop; Redis may be away."""
        global _current  # noqa: PLW0603 - one worker a process, as Celery has it
        set_up_logs(self.settings)
        if self.settings.understudy_log == "json":
            celery_lines.as_json()
        if self.settings.understudy_log_prompts:
            log.warning(prompt_log.WARNING)
        if why := tracing.start(traced.SERVICE, instance=self.worker_id, is_ours=True):
            log.warning(why)
        for sentence in self.absent:
            log.warning(sentence)
        self._load_tools()
        self._listen()
        self.loop = loop
        loop.submit(self._start()).result(START_S)
        self._revocations = Revocations(loop, self.context, self._send)
        self._serve(loop)
        _current = self

    def _load_tools(self) -> None:
        """A worker without the tools that it should have would refuse calls that others answer."""
        try:
            with cwd_in_path():  # as `-A` looks there, too
                names = load(self.settings.understudy_tools)
        except SettingsError as error:
            log.critical(str(error))
            raise SystemExit(1) from None
        if names:
            log.info("tools", names=", ".join(names))

    def _listen(self) -> None:
        """A worker that nobody watches, where somebody meant to, does not start."""
        try:
            self._server = metrics_server(self.settings)
        except SettingsError as error:
            log.critical(str(error))
            raise SystemExit(1) from None

    def _serve(self, loop: LoopThread) -> None:
        if self._server is None:
            return
        self._checks = Checks(
            loop,
            self._tasks,
            ping=self.context.redis.ping,
            broker=self.broker.answers,
            consuming=lambda: self.heartbeat.is_consuming,
        )
        registry = self.context.metrics.registry
        registry.register(Gauges(self.context, loop))
        ProcessCollector(namespace="understudy", registry=registry)
        self._server.serve(registry, self._checks)

    async def _start(self) -> None:
        keys = Keys(self.settings.understudy_prefix)
        redis = redis_from(self.settings, max_connections=CONNECTIONS)
        ledger = Ledger(redis, keys, inbox_maxlen=self.settings.understudy_inbox_maxlen)
        self.context = Context(
            worker_id=self.worker_id,
            settings=self.settings,
            providers=self.providers,
            redis=redis,
            ledger=ledger,
            health=Health(redis, keys, self.providers),
            leases=Leases(ledger),
            chat=Chat(self.providers),
            deltas=Deltas(redis, keys, self.settings.understudy_inbox_maxlen),
            metrics=Metrics(self.providers),
        )
        self.work = Work(self.context)
        self.heartbeat = Heartbeat(Workers(redis, keys), self.worker_id)
        reconciler = Reconciler(self.context, self._depth, self._send)
        parts: dict[str, Coroutine[Any, Any, None]] = {
            "leases": self.context.leases.run(),
            "deltas": self.context.deltas.run(),
            "heartbeat": self.heartbeat.run(),
            "reconciler": reconciler.run(),
            "prober": Prober(self.context).run(),
            "alerts": Alerts(ledger, self.context.metrics).run(),
            "loop lag": LoopLag(self.context.metrics).run(),
        }
        if self.settings.understudy_watch:
            parts["watch"] = Watch(self.context).run()
        self._tasks |= {name: asyncio.create_task(part, name=name) for name, part in parts.items()}

    def consuming(self, queues: list[str], concurrency: int) -> None:
        """The worker consumes."""
        if self.loop:
            # a queue whose provider is absent here is none that this worker works on
            queues = [queue for queue in queues if queue.removesuffix(".batch") in self.by_name]
            if self.context.places is None:
                self.context.places = asyncio.BoundedSemaphore(concurrency)
            self.loop.call_soon(self.heartbeat.consuming, queues, concurrency)
            self.loop.submit(asyncio.to_thread(self.broker.warm))
        # What is loaded by now stays: looked through in each full collection, it would hold up every stream for 80 ms.
        gc.collect()
        gc.freeze()

    def consumer_stopped(self) -> None:
        """The worker consumes no longer."""
        if self.loop and self.loop.running:
            self.loop.call_soon(self.heartbeat.stopped)

    def revoked(self, ids: list[str]) -> None:
        """Somebody revoked these tasks."""
        if self._revocations:
            self._revocations.heard(ids)

    def revoke_stored(self, task_id: str) -> None:
        """A task's result says that it was revoked."""
        if self._revocations:
            self._revocations.stored(task_id)

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
        if self._server and self._checks:
            await asyncio.to_thread(self._server.stop)
            self._checks.close()
        await end_tasks(list(self._tasks.values()))
        await self.context.chat.close()
        await self.context.redis.aclose()
        _current = None
        if tracing.is_on():
            await asyncio.to_thread(tracing.stop, traced.STOP_S)

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
        on_revoke_stored=parts.revoke_stored,
    )
