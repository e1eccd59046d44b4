"""A stack on a Redis that REDIS_URL names: without harm to whoever uses it already."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from redis.exceptions import RedisError, ResponseError

from understudy.errors import SettingsError
from understudy.providers import queue_names
from understudy.redis_client import now_ms, redis_from
from understudy.state.keys import WORKER_TTL_MS, Keys

if TYPE_CHECKING:
    from collections.abc import Sequence

    from understudy.providers import Provider
    from understudy.settings import Settings

HIGHEST_DATABASE = 15
"""Of the 16 that a server has by default."""

CLAIM = "understudy-throwaway-stack"
CLAIM_S = 600
# What Celery and kombu keep beside the queues.
_OF_CELERY = ("_kombu.", "unacked", "celery", "kombu")


def claim_database(settings: Settings) -> str:
    """The URL of an empty database on the server that REDIS_URL names, claimed for a throw-away stack.

    Raises:
        SettingsError: the server does not answer, or has no empty database.
    """
    parts = urlsplit(settings.redis_url)
    if parts.scheme not in ("redis", "rediss"):
        raise SettingsError(
            f"REDIS_URL starts with {parts.scheme}://: a throw-away stack takes an empty database of the server, which"
            " it can with redis:// and rediss:// only; unset it, and a Redis of its own is started."
        )
    for number in range(HIGHEST_DATABASE, 0, -1):
        url = urlunsplit(parts._replace(path=f"/{number}"))
        if asyncio.run(_claim(settings.model_copy(update={"redis_url": url}))):
            return url
    raise SettingsError(
        "The server that REDIS_URL names has no empty database from 1 to 15 for a throw-away stack; unset it, and a"
        " Redis of its own is started."
    )


def release_database(settings: Settings, providers: Sequence[Provider]) -> None:
    """Remove what a throw-away stack left in the database that it claimed; nothing else is touched."""
    with suppress(RedisError, OSError):
        asyncio.run(_release(settings, tuple(queue_names(providers))))


def require_unused(settings: Settings, stand_ins: Sequence[Provider]) -> None:
    """Refuse a Redis where others work, or where calls wait that a stand-in would answer.

    Raises:
        SettingsError: it is in use, or does not answer.
    """
    try:
        workers, waiting = asyncio.run(_in_use(settings, stand_ins))
    except (RedisError, OSError) as error:
        raise _unreachable(error) from None
    if workers:
        raise SettingsError(
            f"{workers} workers consume already on the Redis that REDIS_URL names, with the prefix"
            f" {settings.understudy_prefix}: these would take each other's calls."
            " End them, or unset REDIS_URL, and a Redis of its own is started."
        )
    if waiting:
        raise SettingsError(
            f"Calls wait on {', '.join(waiting)} on the Redis that REDIS_URL names, and a stand-in would answer them."
            " Unset REDIS_URL, and a Redis of its own is started."
        )


async def _claim(settings: Settings) -> bool:
    redis = redis_from(settings)
    try:
        if await redis.dbsize() or not await redis.set(CLAIM, "1", nx=True, ex=CLAIM_S):
            return False
        if await redis.dbsize() == 1:
            return True
        await redis.delete(CLAIM)
    except ResponseError as error:
        # No such database, or a cluster, which has one alone; anything else concerns every database.
        if "out of range" in str(error) or "SELECT is not allowed" in str(error):
            return False
        raise _unreachable(error) from None
    except (RedisError, OSError) as error:
        raise _unreachable(error) from None
    finally:
        await redis.aclose()
    return False


async def _release(settings: Settings, queues: tuple[str, ...]) -> None:
    redis = redis_from(settings)
    try:
        async for key in redis.scan_iter(count=500):
            # A queue's list of another priority is its name, a separator and the number.
            if key.startswith((settings.understudy_prefix, *_OF_CELERY)) or key.partition("\x06")[0] in queues:
                await redis.unlink(key)
        await redis.delete(CLAIM)
    finally:
        await redis.aclose()


async def _in_use(settings: Settings, stand_ins: Sequence[Provider]) -> tuple[int, list[str]]:
    redis, keys = redis_from(settings), Keys(settings.understudy_prefix)
    try:
        alive = await redis.zrangebyscore(keys.workers(), await now_ms(redis) - WORKER_TTL_MS, "+inf")
        waiting = []
        for queue in queue_names(stand_ins):
            listed = not (settings.broker_url or settings.redis_url).startswith("amqp") and await redis.llen(queue)
            if listed or await redis.zcard(keys.waiting(queue)):
                waiting.append(queue)
        return len(alive), waiting
    finally:
        await redis.aclose()


def _unreachable(error: Exception) -> SettingsError:
    return SettingsError(
        f"The Redis that REDIS_URL names cannot be used ({type(error).__name__}): start it, or unset REDIS_URL, and one"
        " is started."
    )
