"""Tries a free provider that is out, so that its breaker goes half-open as soon as it is back."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

import structlog
from redis.exceptions import RedisError

from understudy.state.health import OPEN
from understudy.state.keys import PROBER_LEASE_MS
from workers.failures import Health, ProviderFailure
from workers.kind_work import Prompt

if TYPE_CHECKING:
    from understudy.providers import Provider
    from workers.context import Context

PROBE_S = 2.0
PING_S = 2.0
"""A provider that does not even list its models in this time is not asked to generate."""

QUESTION = Prompt(messages=[{"role": "user", "content": "Say yes."}], max_tokens=1, temperature=0.0)

log = structlog.get_logger("understudy.prober")


class Prober:
    """In every worker; one of them is elected for each provider.

    A generation may take long, for a model that is being loaded, and a hung provider may come back meanwhile: so a new
    one starts at each turn beside those that wait, and the first that works counts.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._waiting: dict[str, set[asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Probe for ever."""
        while True:
            await asyncio.sleep(PROBE_S)
            try:
                seen = await self._context.seen()
                for provider in self._context.providers:
                    if provider.paid:
                        continue
                    breaker = seen.breaker(provider.name)
                    if breaker.state == OPEN and breaker.floor <= seen.now and await self._elected(provider):
                        self._start(provider)
                    elif breaker.state != OPEN:
                        self._stop(provider.name)
            except (RedisError, OSError) as error:
                log.debug("no probe", error=type(error).__name__)
            except Exception as error:  # noqa: BLE001 - a provider that is out would stay out
                log.error("no probe", error=type(error).__name__)

    async def _elected(self, provider: Provider) -> bool:
        key = self._context.ledger.keys.prober(provider.name, provider.model)
        return await self._context.ledger.elect(key, self._context.worker_id, PROBER_LEASE_MS)

    def _start(self, provider: Provider) -> None:
        waiting = self._waiting.setdefault(provider.name, set())
        if len(waiting) < math.ceil(provider.timeout_s / PROBE_S):
            task = asyncio.create_task(self._probe(provider))
            waiting.add(task)
            task.add_done_callback(waiting.discard)

    def _stop(self, name: str, but: Any = None) -> None:
        for task in list(self._waiting.get(name, ())):
            if task is not but:
                task.cancel()

    async def _probe(self, provider: Provider) -> None:
        try:
            failure = await self._ask(provider)
        except Exception as error:  # noqa: BLE001 - nobody waits for this task
            log.error("probe failed", provider=provider.name, error=type(error).__name__)
            return
        ok = failure is None or failure.row.health in (Health.NONE, Health.QUALITY, Health.PAUSE)
        try:
            state = await self._context.health.probed(provider, ok=ok)
        except (RedisError, OSError):
            return
        log.info(
            "probed", provider=provider.name, ok=ok, what=failure.row.name if failure else "answered", breaker=state
        )
        if ok:
            self._stop(provider.name, asyncio.current_task())

    async def _ask(self, provider: Provider) -> ProviderFailure | None:
        try:
            await self._context.chat.ping(provider, timeout_s=PING_S)
            await self._context.chat.complete(
                provider, QUESTION, timeout_s=provider.timeout_s, max_tokens=1, temperature=0.0, probe=True
            )
        except ProviderFailure as failure:
            return failure
        return None
