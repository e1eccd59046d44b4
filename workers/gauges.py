"""What all workers share, read from Redis when Prometheus asks; left out while Redis does not answer."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from understudy.providers import queue_names
from understudy.settings_money import Budgets
from understudy.state.health import HALF_OPEN, OPEN, Snapshot
from understudy.state.job import LOST_MS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from workers.context import Context
    from workers.loop import LoopThread

KEPT_S = 1.0
"""How long what was read serves further scrapes."""

READ_S = 1.5
"""How long Redis may take; a scrape is given 10 s by default."""

LOOP_S = 0.5
"""What the loop may take beyond that."""

log = structlog.get_logger("understudy.metrics")


@dataclass(frozen=True)
class Shared:
    """What was read at one moment."""

    snapshot: Snapshot
    day_microusd: int
    month_microusd: int
    jobs: int
    calls: int


class Gauges(Collector):
    """Reads on the worker's loop, from the thread of a scrape.

    Args:
        loop: the worker's.
    """

    def __init__(self, context: Context, loop: LoopThread) -> None:
        self._context = context
        self._loop = loop
        self._lock = threading.Lock()
        self._shared: Shared | None = None
        self._read_at = -KEPT_S

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing: registering must not read."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges; those of Redis only where it answers."""
        shared = self._latest()
        yield _gauge("running_calls", "Calls that this worker works on.", {(): len(self._context.leases)})
        yield _gauge("redis_up", "Whether Redis answered this worker.", {(): int(shared is not None)})
        if shared is not None:
            yield from self._of_providers(shared.snapshot)
            yield from self._of_queues(shared.snapshot)
            yield from self._of_money(shared)
            yield _gauge("jobs_running", "Batch jobs whose runner is there, paused ones too.", {(): shared.jobs})
            yield _gauge("open_calls", "Calls that wait, run, or are to be told to Celery.", {(): shared.calls})

    def _latest(self) -> Shared | None:
        with self._lock:
            if time.monotonic() - self._read_at >= KEPT_S:
                self._shared = self._read_now()
                self._read_at = time.monotonic()
            return self._shared

    def _read_now(self) -> Shared | None:
        try:
            reading = self._loop.submit(self._read())
        except RuntimeError:  # the loop has ended
            return None
        try:
            return reading.result(READ_S + LOOP_S)
        except Exception as error:  # noqa: BLE001 - whatever it is, what this process counted is still told
            reading.cancel()
            log.debug("gauges left out", error=type(error).__name__)
            return None

    async def _read(self) -> Shared:
        keys, redis = self._context.ledger.keys, self._context.redis
        async with asyncio.timeout(READ_S):
            seen = await self._context.look()
            today = datetime.fromtimestamp(seen.now / 1000, UTC)
            async with redis.pipeline(transaction=False) as pipe:
                pipe.hget(keys.spend_day(f"{today:%Y%m%d}"), "total")
                pipe.hget(keys.spend_month(f"{today:%Y%m}"), "total")
                pipe.zcount(keys.jobs(), seen.now - LOST_MS, "+inf")
                pipe.zcard(keys.due())
                day, month, jobs, calls = await pipe.execute()
        return Shared(seen, int(float(day or 0)), int(float(month or 0)), jobs, calls)

    def _of_providers(self, seen: Snapshot) -> Iterator[GaugeMetricFamily]:
        names = [provider.name for provider in self._context.providers]
        breakers = {name: seen.breaker(name) for name in names}

        def each(name: str, help_text: str, values: Mapping[str, float]) -> GaugeMetricFamily:
            return _gauge(name, help_text, {(provider,): value for provider, value in values.items()}, "provider")

        forced = seen.forced.provider if seen.forced else None
        yield each("breaker_open", "1: not asked.", {n: int(b.state == OPEN) for n, b in breakers.items()})
        half = {n: int(b.state == HALF_OPEN) for n, b in breakers.items()}
        yield each("breaker_half_open", "1: a few calls try it.", half)
        free = {n: b.permits_free for n, b in breakers.items()}
        yield each("permits_free", "Calls that a half-open breaker lets through now.", free)
        yield each("provider_primary", "1: preferred by configuration.", {n: int(n == names[0]) for n in names})
        paid = {provider.name: int(provider.paid) for provider in self._context.providers}
        yield each("provider_paid", "1: its requests cost money.", paid)
        yield each("provider_forced", "1: an operator forced it.", {n: int(n == forced) for n in names})
        preferred = {n: int(n == seen.preferred) for n in names}
        yield each("provider_preferred", "1: the fallback that is known to work.", preferred)

    def _of_queues(self, seen: Snapshot) -> Iterator[GaugeMetricFamily]:
        names = queue_names(self._context.providers)
        queues = {name: seen.queue(name) for name in names}
        serving = [queue for worker in seen.workers for queue in str(worker["queues"]).split(",")]

        def each(name: str, help_text: str, values: Mapping[str, float]) -> GaugeMetricFamily:
            return _gauge(name, help_text, {(queue,): value for queue, value in values.items()}, "queue")

        yield each("queue_depth", "Calls that wait.", {n: q.depth for n, q in queues.items()})
        oldest = {n: max(0, q.oldest_ms) / 1000 for n, q in queues.items()}
        yield each("queue_oldest_seconds", "How long the oldest of them has waited.", oldest)
        yield each("queue_workers", "Workers that consume it.", {n: serving.count(n) for n in names})
        at_once = {n: q.concurrency for n, q in queues.items()}
        yield each("queue_concurrency", "Calls that they work on at once.", at_once)
        paused = {n: int(q.paused_ms > 0) for n, q in queues.items()}
        yield each("queue_paused", "1: nothing begins there, for a rate limit or by an operator.", paused)

    def _of_money(self, shared: Shared) -> Iterator[GaugeMetricFamily]:
        yield _gauge("spend_today_microusd", "What this day of UTC has cost.", {(): shared.day_microusd})
        budgets = Budgets.of(self._context.settings)
        limits = {"day": (shared.day_microusd, budgets.day), "month": (shared.month_microusd, budgets.month)}
        used: dict[tuple[str, ...], float] = {
            (name,): (spent / limit if limit else 1.0) for name, (spent, limit) in limits.items() if limit is not None
        }
        yield _gauge("budget_used_ratio", "Of a budget, 1 is all.", used, "budget")


def _gauge(name: str, help_text: str, values: Mapping[tuple[str, ...], float], *labels: str) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"understudy_{name}", help_text, labels=labels)
    for row, value in values.items():
        family.add_metric(list[Any](row), value)
    return family
