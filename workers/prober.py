"""Tries a free provider that is out, so that its breaker goes half-open as soon as it is back."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

import structlog
from redis.exceptions import RedisError

from understudy.state.health import OPEN
from understudy.state.keys import PROBER_LEASE_MS
from workers.admission import Admitted
from workers.failures import Health, ProviderFailure
from workers.kind_work import Prompt
from workers.limits import Limits

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
    one starts at each turn beside those that wait, and the first that works counts. The first of them is patient: the
    model is loaded for its sake, and giving it up would have the loading begin anew; until it ends, no live call is let
    through that might.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._waiting: dict[str, set[asyncio.Task[None]]] = {}
        self._patient: dict[str, asyncio.Task[None]] = {}

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
                        await self._turn(provider)
                    elif breaker.state != OPEN:
                        self._stop(provider.name)
            except (RedisError, OSError) as error:
                log.debug("no probe", error=type(error).__name__)
            except Exception as error:  # noqa: BLE001 - a provider that is out would stay out
                log.error("no probe", error=type(error).__name__)

    async def _elected(self, provider: Provider) -> bool:
        key = self._context.ledger.keys.prober(provider.name, provider.model)
        return await self._context.ledger.elect(key, self._context.worker_id, PROBER_LEASE_MS)

    async def _turn(self, provider: Provider) -> None:
        patient = self._patient.get(provider.name)
        patience_s = self._context.settings.understudy_cold_start_s
        if provider.local and patience_s > provider.timeout_s and (patient is None or patient.done()):
            self._patient[provider.name] = self._start(provider, Limits(patience_s, patience_s, patience_s))
            return
        if patient is not None and not patient.done():
            await self._context.health.probed(provider, ok=False)
        if len(self._waiting.get(provider.name, ())) <= math.ceil(provider.timeout_s / PROBE_S):
            self._start(provider, Limits(provider.timeout_s, provider.first_byte_s, provider.first_byte_s))

    def _start(self, provider: Provider, limits: Limits) -> asyncio.Task[None]:
        waiting = self._waiting.setdefault(provider.name, set())
        task = asyncio.create_task(self._probe(provider, limits))
        waiting.add(task)
        task.add_done_callback(waiting.discard)
        return task

    def _stop(self, name: str, but: Any = None) -> None:
        for task in list(self._waiting.get(name, ())):
            if task is not but:
                task.cancel()

    async def _probe(self, provider: Provider, limits: Limits) -> None:
        try:
            failure = await self._ask(provider, limits)
        except Exception as error:  # noqa: BLE001 - nobody waits for this task
            log.error("probe failed", provider=provider.name, error=type(error).__name__)
            return
        ok = failure is None or failure.row.health in (Health.NONE, Health.QUALITY, Health.PAUSE)
        try:
            state = await self._context.health.probed(provider, ok=ok)
        except (RedisError, OSError):
            return
        self._context.metrics.probed(provider.name, ok=ok)
        log.info(
            "probed", provider=provider.name, ok=ok, what=failure.row.name if failure else "answered", breaker=state
        )
        if ok:
            self._stop(provider.name, asyncio.current_task())

    async def _ask(self, provider: Provider, limits: Limits) -> ProviderFailure | None:
        try:
            await self._context.chat.ping(provider, timeout_s=PING_S)
            await self._context.chat.complete(
                provider, QUESTION, admission=Admitted(limits), max_tokens=1, temperature=0.0, probe=True
            )
        except ProviderFailure as failure:
            return failure
        return None
