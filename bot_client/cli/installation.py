"""The installation that the settings point to: its Redis, its ledger, and what operators do with it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis.exceptions import AuthenticationError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from understudy.errors import Unavailable
from understudy.providers import Provider, providers_from
from understudy.redis_client import redis_from
from understudy.settings import Settings, load_settings
from understudy.state.health import Health
from understudy.state.keys import Keys
from understudy.state.ledger import Ledger
from understudy.state.operations import Operations
from understudy.urls import mask_url

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from redis.asyncio import Redis


@dataclass(frozen=True)
class Installation:
    """What a command works with."""

    settings: Settings
    providers: Sequence[Provider]
    redis: Redis
    keys: Keys
    ledger: Ledger
    health: Health
    operations: Operations


@asynccontextmanager
async def installed() -> AsyncIterator[Installation]:
    """The installation, for the length of one command.

    Raises:
        SettingsError: a setting is wrong.
        Unavailable: Redis did not answer a command inside.
    """
    settings = load_settings()
    providers = providers_from(settings)
    redis, keys = redis_from(settings), Keys(settings.understudy_prefix)
    refusal = ""
    try:
        ledger = Ledger(redis, keys, inbox_maxlen=settings.understudy_inbox_maxlen)
        operations = Operations(redis, keys, providers, settings)
        yield Installation(settings, providers, redis, keys, ledger, Health(redis, keys, providers), operations)
    except RedisError as error:
        refusal = f"Redis at {mask_url(settings.redis_url)} {redis_fault(error)}."
    finally:
        await redis.aclose()
    if refusal:
        raise Unavailable(refusal)


def redis_fault(error: RedisError) -> str:
    """What is wrong with Redis, in words of ours: its own may quote what was sent."""
    if isinstance(error, AuthenticationError):
        return "refused the user or password"
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
        return "did not answer in time"
    if isinstance(error, RedisConnectionError):
        return "cannot be reached"
    code = str(error).split(" ", 1)[0]
    return f"refused a command ({code if code.isascii() and code.isupper() else type(error).__name__})"
