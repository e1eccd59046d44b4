"""Looks after local providers that nobody asks: that one is gone is known before a call has to find out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
from redis.exceptions import RedisError

from understudy.state.health import CLOSED
from understudy.state.keys import PROBER_LEASE_MS
from workers.failures import ProviderFailure

if TYPE_CHECKING:
    from understudy.providers import Provider
    from workers.context import Context

WATCH_S = 2.0
IDLE_MS = 2_000
"""Where an answer came more recently, nobody needs to look."""

TRIES, AGAIN_S = 3, 0.3
"""As many in a row as calls that open a breaker."""

PING_S = 2.0
GONE = frozenset({"refused", "dns", "connect_timeout"})
"""Only that no connection can be had: a server that is slow to list its models may be busy with answers."""

log = structlog.get_logger("understudy.watch")


class Watch:
    """In every worker; one of them is elected for each provider."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def run(self) -> None:
        """Watch for ever."""
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                seen = await self._context.seen()
                for provider in self._context.providers:
                    breaker = seen.breaker(provider.name)
                    rests = breaker.state == CLOSED and seen.now - breaker.ok_at > IDLE_MS
                    if provider.local and not provider.paid and rests and await self._elected(provider):
                        await self._look(provider)
            except (RedisError, OSError) as error:
                log.debug("not watched", error=type(error).__name__)
            except Exception as error:  # noqa: BLE001 - the next look may work
                log.error("not watched", error=type(error).__name__)

    async def _elected(self, provider: Provider) -> bool:
        key = self._context.ledger.keys.prober(provider.name, provider.model)
        return await self._context.ledger.elect(key, self._context.worker_id, PROBER_LEASE_MS)

    async def _look(self, provider: Provider) -> None:
        why = ""
        for _ in range(TRIES):
            try:
                await self._context.chat.ping(provider, timeout_s=PING_S)
            except ProviderFailure as failure:
                why = failure.row.name
            else:
                return
            if why not in GONE:
                return
            await asyncio.sleep(AGAIN_S)
        state = await self._context.health.gone(provider, why)
        self._context.metrics.probed(provider.name, ok=False)
        log.warning("a provider that nobody asks is gone", provider=provider.name, what=why, breaker=state)
