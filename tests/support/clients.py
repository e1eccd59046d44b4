"""Clients of a test's own Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot_client import Understudy, load_settings
from understudy.state.keys import Keys
from understudy.state.ledger import Ledger

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from understudy.settings import Settings


def settings_for(url: str, **overrides: Any) -> Settings:
    """Settings with both providers, on one Redis; nothing comes from the environment's `.env`."""
    return load_settings(env_file=None, redis_url=url, openai_api_key="sk-none", **overrides)


def client_of(url: str, **overrides: Any) -> Understudy:
    """A client of that Redis."""
    return Understudy(settings_for(url, **overrides))


def ledger_of(redis: Redis) -> Ledger:
    """The ledger that those clients use."""
    return Ledger(redis, Keys("u:"))
