"""Whether the parts of a stack have come up."""

from __future__ import annotations

import asyncio
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from understudy.redis_client import redis_from
from understudy.state.health import Health
from understudy.state.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from understudy.providers import Provider
    from understudy.settings import Settings

LOOK_S = 2.0

# Without the proxies of the environment, which know nothing of our loopback.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


def workers_consume(settings: Settings, providers: Sequence[Provider], *, batch: bool = False) -> bool:
    """Whether a worker has announced itself on each provider's queue, and on that of its batch rows."""
    wanted = {provider.queue for provider in providers}
    wanted |= {provider.batch_queue for provider in providers if batch}
    with suppress(RedisError, OSError):
        return asyncio.run(_consumed(settings, providers)) >= wanted
    return False


def flower_answers(url: str) -> bool:
    """Whether Flower serves its pages."""
    with suppress(OSError), _open(f"{url}/healthcheck", timeout=LOOK_S) as response:
        return bool(response.read())
    return False


async def _consumed(settings: Settings, providers: Sequence[Provider]) -> set[str]:
    redis = redis_from(settings)
    try:
        seen = await Health(redis, Keys(settings.understudy_prefix), providers).snapshot()
    finally:
        await redis.aclose()
    return {name for name, queue in seen.queues.items() if queue.concurrency}
